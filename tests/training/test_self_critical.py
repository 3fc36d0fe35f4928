"""Self-critical training: its gradient by enumeration, what it learns from, runs that use it."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_runs
import torch

from multiattn.data.collation import Collator
from multiattn.data.rows import Row
from multiattn.engine.attention import Additive
from multiattn.engine.batch import Batch
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import MemorySpec
from multiattn.engine.model import Model
from multiattn.engine.recurrence import Luong
from multiattn.engine.trees import tree_map
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.registry.schema import WeightedComponent
from multiattn.symbols import BOS, EOS, UNK
from multiattn.training import self_critical
from multiattn.training.loss import Losses
from multiattn.training.objectives import CrossEntropy, ObjectiveContext, WeightedObjective
from multiattn.training.self_critical import SelfCritical
from multiattn.training.trainer import Trainer

VOCABULARY, LIMIT, WIDTH = 7, 2, 3
SENTENCES = [
    words
    for length in range(LIMIT + 1)
    for words in itertools.product(range(UNK, 7), repeat=length)
]


class Letters:
    """A tokenizer that only decodes."""

    def decode(self, words):
        return "".join(map(str, words))


class Drawn:
    """A metric of two values: a number for each pair of texts, and nothing at all."""

    def __init__(self, references=()) -> None:
        self.references = references

    def statistics(self, hypotheses, references):
        pairs = zip(hypotheses, references, strict=True)
        return np.array([[self.of(text, several), 1.0] for text, several in pairs])

    def aggregate(self, sums, count):
        assert count == 1  # every output is rewarded alone
        return {"nothing": 0.0, "drawn": sums[0]}

    @staticmethod
    def of(text, several):
        return sum((ord(letter) * 7 + place) % 5 for place, letter in enumerate(text)) + len(
            several
        )

    def fitted(self, references):
        return Drawn(references)


def prepared(metric=Drawn, *, higher_is_better=True, samples=1, references=(), max_length=LIMIT):
    """The objective as a run would have it."""
    record = SimpleNamespace(name="drawn", higher_is_better=higher_is_better)
    rows = {("metric", "d"): SimpleNamespace(record=record)}
    host = SimpleNamespace(find=lambda kind, name: rows[kind, name])
    named = WeightedComponent.model_validate({"name": "self-critical", "reward": {"name": "d"}})
    objective = SelfCritical(reward=metric, samples=samples)
    search = SearchSettings(beam=3, max_length=max_length)
    objective.prepare(ObjectiveContext(named, search, host, Letters(), references))
    return objective


def model_of(**keywords) -> Model:
    specs = {"text": MemorySpec(WIDTH)}
    keywords = {"attention": partial(Additive, dim=3), "hidden_dim": 4, **keywords}
    decoder = LSTMDecoder(VOCABULARY, specs, embedding_dim=3, **keywords)
    with torch.no_grad():  # untrained scores are nearly uniform; make them decide
        for parameter in decoder.parameters():
            parameter.mul_(3)
    return Model({}, decoder, {})


def batch_of(*names: str) -> Batch:
    return Batch(names, {}, None, tuple((name,) * (place + 1) for place, name in enumerate(names)))


def gradient(loss, model) -> torch.Tensor:
    found = torch.autograd.grad(loss, list(model.decoder.parameters()), allow_unused=True)
    return torch.cat([leaf.flatten() for leaf in found if leaf is not None])


def draws(monkeypatch, *sentences) -> None:
    """Let these be drawn, one for each input."""
    found = [[SimpleNamespace(tokens=words) for words in several] for several in sentences]
    monkeypatch.setattr(self_critical, "sample", lambda *given: found)


def probability(model, memories, words) -> torch.Tensor:
    """Of drawing these words, step by step; PAD and BOS may not come, at the limit only EOS may."""
    shared, state = model.decoder.begin(memories, 1)
    total, fed = torch.ones(()), BOS
    for step, token in enumerate((*words, EOS)):
        scores, state, _ = model.decoder.step(torch.tensor([[fed]]), state, shared)
        may = [EOS, *range(UNK, VOCABULARY)] if step < LIMIT else [EOS]
        shares = {word: scores[0, 0, word].exp() for word in may}
        total, fed = total * shares[token] / sum(shares.values()), token
    return total


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_expected_gradient_is_that_of_the_expected_reward(
    higher_is_better, memory_of, monkeypatch
):
    """Over every sentence there is; the baseline changes nothing in the mean."""
    model, memories, batch = model_of(), {"text": memory_of([3], WIDTH)}, batch_of("example")
    objective = prepared(higher_is_better=higher_is_better)
    likely = {words: probability(model, memories, words) for words in SENTENCES}
    assert sum(likely.values()).item() == pytest.approx(1, abs=1e-12)
    sign = 1 if higher_is_better else -1
    reward = {words: sign * Drawn.of(Letters().decode(words), [""]) for words in SENTENCES}
    expected = gradient(-sum(likely[words] * reward[words] for words in SENTENCES), model)
    found, value = 0, 0
    for words in SENTENCES:
        draws(monkeypatch, [words])
        loss, count = objective.loss(model, batch, memories, None)
        assert loss.item() == pytest.approx(-reward[words])
        assert count.item() == 1
        value = value + likely[words].item() * loss.item()
        found = found + likely[words].detach() * gradient(loss, model)
    assert expected.norm() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_several_draws_of_several_inputs_are_their_mean_and_sum(memory_of, monkeypatch):
    model, memories = model_of(recurrence=Luong), {"text": memory_of([3, 2], WIDTH)}
    sentences = [[(4, 5), (6,)], [(), (3, 3)]]
    draws(monkeypatch, *sentences)
    whole, count = prepared(samples=2).loss(model, batch_of("one", "two"), memories, None)
    whole_gradient, parts, gradients = gradient(whole, model), [], []
    for place, (name, several) in enumerate(zip(("one", "two"), sentences, strict=True)):
        batch = dataclasses.replace(batch_of("one", "two"), ids=(name,))
        batch = dataclasses.replace(batch, references=batch.references[place : place + 1])
        for words in several:
            draws(monkeypatch, [words])
            alone = {"text": memories["text"].select(torch.tensor([place]))}
            part, _ = prepared().loss(model, batch, alone, None)
            parts.append(part / 2)
            gradients.append(gradient(part, model) / 2)
    assert count.item() == 2
    assert whole.item() == pytest.approx(sum(parts).item())
    torch.testing.assert_close(whole_gradient, sum(gradients), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_what_is_no_better_than_the_likeliest_words_teaches_nothing(memory_of):
    class Even(Drawn):
        @staticmethod
        def of(text, several):
            return 3.0

        def fitted(self, references):
            return self

    model, memories = model_of(), {"text": memory_of([3, 2], WIDTH)}
    loss, _ = prepared(Even).loss(model, batch_of("one", "two"), memories, None)
    assert loss.item() == -6
    assert not gradient(loss, model).any()


@pytest.mark.usefixtures("double")
def test_shards_of_a_batch_draw_what_the_batch_draws(memory_of):
    model, memories = model_of(), {"text": memory_of([3, 2, 4], WIDTH)}
    batch, objective, found = batch_of("a", "b", "c"), prepared(samples=3), []
    for rows in ([0, 1, 2], [2, 0], [1]):
        torch.manual_seed(4)
        part = {"text": memories["text"].select(torch.tensor(rows))}
        names, texts = zip(*((batch.ids[row], batch.references[row]) for row in rows), strict=True)
        loss, count = objective.loss(model, Batch(names, {}, None, texts), part, None)
        found.append((loss, count, gradient(loss, model)))
    whole, *shards = found
    for position, leaf in enumerate(whole):
        torch.testing.assert_close(sum(shard[position] for shard in shards), leaf)
    assert objective.count(batch) == whole[1] == 3


def test_draws_move_on_with_the_generator(memory_of):
    model, memories = model_of(), {"text": memory_of([3] * 8, WIDTH)}
    batch, objective = batch_of(*"abcdefgh"), prepared(max_length=9)
    torch.manual_seed(1)
    losses = [objective.loss(model, batch, memories, None)[0].item() for _ in range(3)]
    torch.manual_seed(1)
    assert objective.loss(model, batch, memories, None)[0].item() == losses[0]
    assert len(set(losses)) > 1


def test_dropout_is_off_in_the_decoder_and_on_again(memory_of):
    model, memories = model_of(dropout=0.9).train(), {"text": memory_of([3, 2], WIDTH)}
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter)
    batch, objective, found = batch_of("one", "two"), prepared(samples=2), []
    for dropout in (0.9, 0.0):
        model.decoder.dropout.p = dropout
        torch.manual_seed(2)
        loss, _ = objective.loss(model, batch, memories, None)
        found.append(gradient(loss, model))
        assert model.decoder.training
        assert model.decoder.dropout.training
    torch.testing.assert_close(*found)
    assert found[0].any()


def test_without_a_gradient_the_likeliest_words_are_rewarded(memory_of, monkeypatch):
    monkeypatch.delattr(self_critical, "sample")  # nothing is drawn
    model, memories, batch = model_of(), {"text": memory_of([3, 2], WIDTH)}, batch_of("a", "b")
    with torch.no_grad():
        loss, count = prepared().loss(model.eval(), batch, memories, None)
    assert count.item() == 2
    search = self_critical.MemorySearch(model.decoder, memories, batch.ids)
    best = search(SearchSettings(beam=1, max_length=LIMIT))
    texts = [Letters().decode(words) for words in best]
    earned = [Drawn.of(text, refs) for text, refs in zip(texts, batch.references, strict=True)]
    assert loss.item() == pytest.approx(-sum(earned))


def test_a_metric_with_statistics_of_a_corpus_takes_them_from_the_training_references():
    references = (("a dog", "a small dog"), ("a cat",))
    assert prepared(references=references)._setup.critic.metric.references == references


def test_under_autocast_it_draws_in_full_precision(memory_of):
    model, memories, batch = model_of(), {"text": memory_of([3, 2], WIDTH)}, batch_of("a", "b")
    narrow = tree_map(lambda leaf: leaf.bfloat16() if leaf.is_floating_point() else leaf, memories)
    with torch.autocast("cpu", torch.bfloat16):
        loss, count = prepared(samples=2).loss(model, batch, narrow, None)
    assert loss.dtype == count.dtype == torch.float32
    assert gradient(loss, model).isfinite().all()


def test_a_recipe_without_sources_is_refused():
    with pytest.raises(UserError, match=r"no sources; train it with cross-entropy"):
        SelfCritical(reward=Drawn).heads(VOCABULARY, {})


def test_no_output_is_computed_that_no_objective_needs(memory_of, targets_of, monkeypatch):
    model = model_of()
    memory = memory_of([3, 2], WIDTH)
    monkeypatch.setattr(Model, "encode", lambda *given: {"text": memory})
    batch = dataclasses.replace(batch_of("a", "b"), targets=targets_of([4], [5, 6]))
    critical = WeightedObjective("self-critical", 1.0, prepared())
    entropy = WeightedObjective("cross-entropy", 0.5, CrossEntropy())
    calls = []
    model.decoder.register_forward_pre_hook(lambda module, given: calls.append(given[0].tokens))
    Losses(model, [critical])(batch)
    assert len(calls) == 1  # of what was drawn
    assert not torch.equal(calls[0], batch.targets.tokens)
    Losses(model, [critical, entropy])(batch)
    assert len(calls) == 3
    assert torch.equal(calls[1], batch.targets.tokens)


SECOND_STAGE = {"objectives": [{"name": "self-critical", "reward": "tiny-accuracy", "samples": 5}]}


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    """A run of cross-entropy that has only begun to learn."""
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("first")))


def second(first, *overrides: str, run: str = "second", **parts):
    """The second stage, from the weights of the first."""
    parts = {**SECOND_STAGE, **parts}
    started = tiny_runs.start(first.path.parent, overrides, run, **parts)
    return dataclasses.replace(started, init=first)


def test_a_second_stage_raises_the_reward(first_stage):
    steps = ["training.steps=40", "training.validate_every=40", "training.log_every=10"]
    larger = ["training.batch_tokens=300", "training.schedule=constant"]
    log = tiny_runs.log_of(tiny_runs.trained(second(first_stage, *steps, *larger)))
    rewards = [-line["loss"] for line in log if line["kind"] == "training"]
    assert rewards[-1] > 1.5 * rewards[0] > 0
    (reached,) = [line for line in log if line["kind"] == "validation"]
    assert reached.keys() >= {"loss", "perplexity", "tiny-accuracy"}
    assert -1 <= reached["loss"] <= 0


def test_a_run_that_stops_in_the_middle_goes_on_bit_for_bit(first_stage, monkeypatch):
    undisturbed = tiny_runs.trained(second(first_stage, run="undisturbed"))
    started = second(first_stage, run="killed")

    class Killed(BaseException):
        pass

    def train(trainer, number, batches, original=Trainer._train):
        if number == 8:
            raise Killed
        original(trainer, number, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train", train)
        with pytest.raises(Killed):
            tiny_runs.trained(started)
    continued = tiny_runs.trained(started)
    assert tiny_runs.log_of(continued) == tiny_runs.log_of(undisturbed)
    assert continued.weights.read_bytes() == undisturbed.weights.read_bytes()


def test_it_joins_cross_entropy_and_a_step_may_be_cut(first_stage):
    objectives = [*SECOND_STAGE["objectives"], {"name": "cross-entropy", "weight": 0.2}]
    cut = ["training.accumulate=2", "training.steps=4"]
    started = second(first_stage, *cut, run="joined", objectives=objectives)
    for line in tiny_runs.log_of(tiny_runs.trained(started)):
        if line["kind"] == "training":
            wanted = line["self-critical"] + 0.2 * line["cross-entropy"]
            assert line["loss"] == pytest.approx(wanted)
            assert -1 <= line["self-critical"] <= 0  # minus a share of right letters


def test_a_reward_that_is_no_metric_is_refused_with_the_recipe(first_stage):
    unknown = [{"name": "self-critical", "reward": "tiny-acuracy"}]
    with pytest.raises(UserError, match=r"objectives\.0\.reward: .*did you mean tiny-accuracy"):
        second(first_stage, objectives=unknown)
    with pytest.raises(UserError, match=r"objectives\.0\.reward: expected a value, got none"):
        second(first_stage, objectives=["self-critical"])


def test_an_example_with_references_of_its_own_reaches_the_objective():
    rows = [Row("a#0", {}, ("x",), references=("x", "y")), Row("b", {}, ("z",))]
    assert Collator({})(rows).references == (("x", "y"), ("z",))
    moved = Collator({})(rows).to("cpu")
    assert moved.references == (("x", "y"), ("z",))


def test_a_reward_compares_texts_in_one_unicode_form():
    class Equal(Drawn):
        def statistics(self, hypotheses, references):
            pairs = zip(hypotheses, references, strict=True)
            return np.array([[text == own[0], 1.0] for text, own in pairs])

    writer = SimpleNamespace(decode=lambda words: "fu\u0308r")
    reward = self_critical.Reward(Equal(), "drawn", 1.0, writer)
    assert reward.rewards([(4,)], [["f\u00fcr"]]) == [1.0]
