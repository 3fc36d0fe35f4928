"""Which examples make which step: complete, within budget, the same however it is cut."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiattn.data.batch_plan import Costs, Plan, Position, Step
from multiattn.errors import UserError
from multiattn.recipe.settings import TrainingSettings
from multiattn.seeds import derive


def costs_of(target, **sources) -> Costs:
    return Costs(
        ids=[f"example-{index}" for index in range(len(target))],
        target=np.array(target, dtype=np.int64),
        sources={name: np.array(lengths, dtype=np.int64) for name, lengths in sources.items()},
    )


def sentence_lengths(count: int, seed: int = 0) -> Costs:
    """Pairs as in translation: about 14 tokens, source and target of related length."""
    generator = np.random.default_rng(seed)
    source = 2 + generator.gamma(9, 1.4, count).astype(int)
    target = np.maximum(1, source * generator.normal(1, 0.15, count)).astype(int)
    return costs_of(target, english=source)


@st.composite
def problems(draw) -> tuple[Costs, TrainingSettings]:
    """Anything legal: absent sources, budgets that just fit, caps, accumulation."""
    rows = draw(
        st.lists(
            st.tuples(*[st.integers(1, 30), st.integers(0, 9), st.integers(0, 400)]), min_size=1
        )
    )
    target, words, frames = zip(*rows, strict=True)
    settings = TrainingSettings(
        batch_tokens=max(target) + draw(st.integers(0, 200)),
        batch_size=draw(st.none() | st.integers(1, 12)),
        source_budget={"frames": max(1, *frames) + draw(st.integers(0, 1000))},
        accumulate=draw(st.integers(1, 3)),
    )
    return costs_of(target, words=words, frames=frames), settings


def padded(lengths, step: Step) -> int:
    present = [int(lengths[index]) for index in step.indices if lengths[index]]
    return len(present) * max(present, default=0)


@given(problems(), st.integers(), st.integers(0, 1000))
def test_every_example_is_in_exactly_one_step_of_an_epoch(problem, seed, epoch):
    costs, settings = problem
    steps = Plan(costs, settings, seed=seed).steps(epoch)
    planned = [index for step in steps for shard in step.shards for index in shard]
    assert sorted(planned) == list(range(len(costs.target)))
    assert all(step.indices for step in steps)


@given(problems(), st.integers())
def test_no_step_exceeds_a_budget(problem, seed):
    costs, settings = problem
    for step in Plan(costs, settings, seed=seed).steps(0):
        assert padded(costs.target, step) <= settings.batch_tokens
        assert padded(costs.sources["frames"], step) <= settings.source_budget["frames"]
        assert len(step.indices) <= (settings.batch_size or len(costs.target))


@given(problems(), st.integers(1, 5), st.integers(1, 4))
def test_a_step_holds_the_same_examples_whatever_world_and_accumulation(problem, world, accumulate):
    costs, settings = problem
    alone = Plan(costs, settings.model_copy(update={"accumulate": 1}), seed=3).steps(2)
    settings = settings.model_copy(update={"accumulate": accumulate})
    together = Plan(costs, settings, seed=3, world=world).steps(2)
    assert [step.indices for step in alone] == [step.indices for step in together]
    for step in together:
        by_rank = [step.shards_of(rank) for rank in range(world)]
        assert all(len(shards) == accumulate for shards in by_rank)
        assert tuple(itertools.chain.from_iterable(by_rank)) == step.shards


@given(problems(), st.integers(1, 5))
def test_shards_differ_by_one_example_at_most_so_none_is_empty_unless_it_must(problem, world):
    costs, settings = problem
    for step in Plan(costs, settings, seed=3, world=world).steps(0):
        sizes = [len(shard) for shard in step.shards]
        assert max(sizes) - min(sizes) <= 1


def test_shards_of_a_step_cost_nearly_the_same():
    costs = sentence_lengths(5000)
    steps = Plan(costs, TrainingSettings(batch_tokens=4000), seed=1, world=4).steps(0)
    for step in steps:
        shards = [[int(costs.target[index]) for index in shard] for shard in step.shards]
        padded_tokens = [len(shard) * max(shard) for shard in shards]
        assert min(padded_tokens) > 0.75 * max(padded_tokens)


def test_a_plan_is_a_function_of_seed_and_epoch():
    costs, settings = sentence_lengths(300), TrainingSettings(batch_tokens=200)
    plan = Plan(costs, settings, seed=1)
    first = plan.steps(0)
    plan.steps(5)
    assert plan.steps(0) == first == Plan(costs, settings, seed=1).steps(0)
    assert plan.steps(1) != replace_epoch(first, 1)
    assert Plan(costs, settings, seed=2).steps(0) != first


def replace_epoch(steps, epoch):
    moved = [replace(step, position=Position(epoch, step.position.step)) for step in steps]
    return [
        replace(step, after=Position(epoch + step.after.epoch, step.after.step)) for step in moved
    ]


def test_following_from_any_step_is_continuing():
    plan = Plan(sentence_lengths(60), TrainingSettings(batch_tokens=150), seed=1)
    undisturbed = list(itertools.islice(plan.follow(Position()), 20))
    assert undisturbed[-1].position.epoch >= 2
    for done, step in enumerate(undisturbed[:10], start=1):
        fresh = Plan(sentence_lengths(60), TrainingSettings(batch_tokens=150), seed=1)
        assert list(itertools.islice(fresh.follow(step.after), 10)) == undisturbed[done:][:10]


def test_positions_count_up_and_turn_over_at_the_end_of_an_epoch():
    plan = Plan(costs_of([3] * 10), TrainingSettings(batch_tokens=12), seed=1)
    steps = list(itertools.islice(plan.follow(Position()), 7))
    assert [step.position for step in steps[:4]] == [(Position(0, n)) for n in range(3)] + [
        Position(1, 0)
    ]
    for step, following in itertools.pairwise(steps):
        assert step.after == following.position


def test_alike_lengths_meet_so_that_little_is_padded():
    costs = sentence_lengths(20_000)
    steps = Plan(costs, TrainingSettings(batch_tokens=2000), seed=1).steps(0)
    for lengths, most in ((costs.target, 0.13), (costs.sources["english"], 0.07)):
        waste = 1 - lengths.sum() / sum(padded(lengths, step) for step in steps)
        assert waste < most  # batches drawn blindly: about 0.5


def test_a_budget_is_used_up():
    costs = sentence_lengths(20_000)
    steps = Plan(costs, TrainingSettings(batch_tokens=2000), seed=1).steps(0)
    assert np.mean([padded(costs.target, step) for step in steps]) > 0.95 * 2000


def test_other_examples_meet_in_the_next_epoch():
    plan = Plan(sentence_lengths(20_000), TrainingSettings(batch_tokens=2000), seed=1)
    home = {index: number for number, step in enumerate(plan.steps(0)) for index in step.indices}
    largest_groups = []
    for step in plan.steps(1):
        homes = [home[index] for index in step.indices]
        largest_groups.append(max(homes.count(number) for number in homes) / len(homes))
    assert np.mean(largest_groups) < 1 / 3


def test_long_and_short_steps_come_in_any_order():
    costs = sentence_lengths(20_000)
    steps = Plan(costs, TrainingSettings(batch_tokens=1000), seed=1).steps(0)
    means = [costs.target[list(step.indices)].mean() for step in steps]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.2


def test_the_last_step_of_an_epoch_is_not_all_but_empty():
    steps = Plan(costs_of([1] * 101), TrainingSettings(batch_tokens=10), seed=1).steps(0)
    assert len(steps) == 11
    assert min(len(step.indices) for step in steps) >= 8


def test_a_source_without_budget_is_free():
    costs = costs_of([2] * 8, photo=[50_000] * 8)
    assert len(Plan(costs, TrainingSettings(batch_tokens=16), seed=1).steps(0)) == 1


def test_an_absent_source_costs_nothing():
    costs = costs_of([1] * 10, photo=[100] + [0] * 9)
    settings = TrainingSettings(batch_tokens=10, source_budget={"photo": 100})
    assert len(Plan(costs, settings, seed=1).steps(0)) == 1


def test_an_example_that_does_not_fit_alone_is_named():
    with pytest.raises(
        UserError, match=r"'example-1' has length 31 .* 30; raise training.batch_tok"
    ):
        Plan(costs_of([3, 31, 4]), TrainingSettings(batch_tokens=30), seed=1)


def test_an_example_whose_source_does_not_fit_alone_is_named():
    settings = TrainingSettings(source_budget={"speech": 900})
    with pytest.raises(
        UserError, match=r"speech of 'example-2' .* 901 .* training.source_budget.sp"
    ):
        Plan(costs_of([3, 3, 3], speech=[0, 900, 901]), settings, seed=1)


def test_multi30k_is_planned_in_less_than_a_second():
    costs = sentence_lengths(29_000)
    start = time.process_time()
    Plan(costs, TrainingSettings(batch_tokens=2000, accumulate=2), seed=1, world=2).steps(0)
    assert time.process_time() - start < 1


def test_derived_seeds_are_the_same_on_every_machine_and_differ_by_part():
    # printf '1\0000\000a\000target' | b2sum --length 64
    assert derive(1, 0, "a", "target").to_bytes(8, "little").hex() == "ac496c2287729fde"
    parts = [(1, 0, "a"), (1, 0, "b"), (10, "a"), (0, 1, "a"), (-1, 0, "a"), (1, "0a")]
    assert len({derive(*part) for part in parts}) == len(parts)
