"""The largest steps are found by sources and targets, and the rows that make them so are named."""

from __future__ import annotations

import numpy as np

from multiattn.data.batch_plan import Costs, Plan, Position, Step
from multiattn.data.step_costs import (
    batch_shapes,
    costliest_steps,
    outlier_warnings,
    padded_size,
)
from multiattn.recipe.settings import TrainingSettings


def costs_of(target, **sources) -> Costs:
    columns = {name: np.array(lengths) for name, lengths in sources.items()}
    return Costs([f"e{n}" for n in range(len(target))], np.array(target), columns)


def step_of(number, *shards) -> Step:
    return Step(Position(0, number), Position(0, number + 1), shards, accumulate=len(shards))


def test_the_largest_steps_are_those_of_the_longest_source_target_and_of_both():
    costs = costs_of([9, 9, 2, 2, 6, 6], english=[3, 4, 30, 1, 20, 5], image=[1, 0, 1, 0, 0, 0])
    steps = [step_of(n, (2 * n, 2 * n + 1)) for n in range(3)]
    # english × target: 2·4·9 = 72, 2·30·2 = 120, 2·20·6 = 240; the image's first largest is step 0
    assert costliest_steps(costs, steps) == {
        steps[0]: "target, image, image × target",
        steps[1]: "english",
        steps[2]: "english × target",
    }


def test_shards_are_padded_each_to_its_own_longest():
    costs = costs_of([9, 2, 3], english=[4, 10, 6])
    step = step_of(0, (0,), (1, 2), ())
    assert padded_size(costs, step, "target") == 9 + 2 * 3
    assert padded_size(costs, step, "english", "target") == 4 * 9 + 2 * 10 * 3


def test_shapes_of_batches_are_rounded_up_and_counted():
    costs = costs_of([9, 2, 3, 10], english=[4, 41, 6, 5])
    steps = [step_of(0, (0,), (3,)), step_of(1, (1, 2), ())]
    assert batch_shapes(costs, steps) == {(4, 12, 4): 1, (4, 12, 8): 1, (4, 4, 44): 1}


def test_a_source_of_30_000_words_is_in_a_costliest_step_and_named_with_the_bound_to_set():
    generator = np.random.default_rng(3)
    english = generator.integers(5, 30, size=500)
    english[17] = 30_000
    costs = costs_of(generator.integers(5, 30, size=500), english=english)
    steps = Plan(costs, TrainingSettings(batch_tokens=400), seed=1).steps(0)
    (found,) = [step for step in steps if 17 in step.indices]
    assert "english" in costliest_steps(costs, steps)[found]
    (warning,) = outlier_warnings(costs, "train", bounded=True)
    assert warning.startswith("in 1 of 500 rows of train the length of english is more than 20 ")
    assert "'e17' has 30,000; " in warning
    assert warning.endswith("; training.max_source.english=29 leaves such rows out")
    (warning,) = outlier_warnings(costs, "dev", bounded=False)
    assert "training." not in warning


def test_many_outliers_are_counted_and_the_longest_named():
    costs = costs_of([*range(500, 600, 10), *[4] * 90], photo=[1] * 100, absent=[0] * 100)
    (warning,) = outlier_warnings(costs, "train", bounded=True)
    assert warning.startswith("in 10 of 100 rows of train the length of target")
    assert "'e9' has 590, 'e8' has 580, 'e7' has 570, …; " in warning
    assert warning.endswith("training.max_target_tokens=4 leaves such rows out")


def test_lengths_as_they_usually_vary_are_no_outliers():
    lengths = np.random.default_rng(1).lognormal(4, 0.6, size=10_000).astype(np.int64)
    assert not list(outlier_warnings(costs_of(lengths, body=lengths), "train", bounded=True))
