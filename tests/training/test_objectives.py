"""Objectives against formulas, loops and brute force; shards of a batch add up to the batch."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, kl_divergence

from multiattn.data.rows import BadRows, Row
from multiattn.engine.batch import Batch, Inputs, Packing
from multiattn.engine.decoder import DecoderOutput
from multiattn.engine.memory import MemorySpec
from multiattn.errors import UserError
from multiattn.training.ctc_objective import CTC
from multiattn.training.objectives import Coverage, CrossEntropy, DoublyStochastic, RDrop

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY = 6


@pytest.fixture
def targets(targets_of):
    return targets_of([4], [4, 5, 3], [5, 5])


@pytest.fixture
def memories(memory_of):
    """The second input has no sound."""
    return {"text": memory_of([3, 5, 2], 3), "sound": memory_of([4, 0, 6], 2)}


@pytest.fixture
def model():
    """What objectives see of a model: a CTC head on the sound, of width 2, alone or not."""
    head = nn.Linear(2, VOCABULARY)
    return SimpleNamespace(heads={"ctc": head, "ctc-sound": head}, training=False)


@pytest.fixture
def batch(targets):
    return Batch(ids=("first", "second", "third"), sources={}, targets=targets)


@pytest.fixture
def output(targets, memories):
    """Random scores, and weights that sum to one over the real slots of each source."""
    packing = Packing.of(targets.lengths)
    steps = torch.arange(targets.tokens.size(1)) < targets.lengths.unsqueeze(1)
    weights = {}
    for name, memory in memories.items():
        scores = torch.randn(*steps.shape, memory.mask.size(1))
        scores = scores.masked_fill(~memory.mask.unsqueeze(1), -math.inf)
        weights[name] = torch.softmax(scores, -1).nan_to_num(0.0) * steps.unsqueeze(-1)
    scores = torch.randn(len(packing.rows), VOCABULARY, requires_grad=True)
    return DecoderOutput(scores, packing.rows, packing.steps, {"weights": weights})


def shard(rows: list[int], batch, memories, output):
    """These rows as a batch of their own."""
    chosen = torch.tensor(rows)
    kept = torch.isin(output.rows, chosen)
    place = {row: position for position, row in enumerate(rows)}
    tokens, lengths = batch.targets.tokens[chosen], batch.targets.lengths[chosen]
    return (
        replace(
            batch,
            ids=tuple(batch.ids[row] for row in rows),
            targets=replace(batch.targets, tokens=tokens, lengths=lengths),
        ),
        {name: memory.select(chosen) for name, memory in memories.items()},
        DecoderOutput(
            output.scores[kept],
            torch.tensor([place[row] for row in output.rows[kept].tolist()]),
            output.steps[kept],
            {"weights": {name: leaf[chosen] for name, leaf in output.kept["weights"].items()}},
        ),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_its_formula(smoothing, model, batch, memories, output):
    total, count = CrossEntropy(label_smoothing=smoothing).loss(model, batch, memories, output)
    expected = 0.0
    places = zip(output.rows.tolist(), output.steps.tolist(), strict=True)
    for scores, (row, step) in zip(output.scores.tolist(), places, strict=True):
        normaliser = math.log(sum(math.exp(score) for score in scores))
        surprises = [normaliser - score for score in scores]
        gold = surprises[int(batch.targets.tokens[row, step])]
        expected += (1 - smoothing) * gold + smoothing * sum(surprises) / VOCABULARY
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count.item() == 2 + 4 + 3


def test_r_drop_without_dropout_is_cross_entropy(model, batch, memories, output):
    expected = CrossEntropy(label_smoothing=0.1).loss(model, batch, memories, output)
    found = RDrop(label_smoothing=0.1).loss(model, batch, memories, output)
    torch.testing.assert_close(found, expected)


def test_r_drop_is_its_formula(batch, memories, output):
    other = torch.randn_like(output.scores)
    model = Mock(training=True, return_value=(memories, replace(output, scores=other)))
    total, count = RDrop(alpha=3.0, label_smoothing=0.1).loss(model, batch, memories, output)
    smoothed = CrossEntropy(label_smoothing=0.1)
    expected = 0.0
    for scores in (output.scores, other):
        expected += smoothed.loss(model, batch, memories, replace(output, scores=scores))[0] / 2
    for row, again in zip(output.scores, other, strict=True):
        p, q = Categorical(logits=row), Categorical(logits=again)
        expected += 3.0 / 2 * (kl_divergence(p, q) + kl_divergence(q, p)) / 2
    torch.testing.assert_close(total, expected)
    assert count.item() == 2 + 4 + 3
    model.assert_called_once_with(batch)


OBJECTIVES = {
    "cross-entropy": CrossEntropy(label_smoothing=0.1),
    "r-drop": RDrop(label_smoothing=0.1),
    "ctc": CTC(source="sound"),
    "coverage": Coverage(),
    "doubly-stochastic": DoublyStochastic(),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("rows", [[[0], [1], [2]], [[2, 0], [1]]])
def test_sums_and_counts_of_shards_add_up(objective, rows, model, batch, memories, output):
    whole = objective.loss(model, batch, memories, output)
    parts = [objective.loss(model, *shard(part, batch, memories, output)) for part in rows]
    for both, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
        assert both.item() == pytest.approx(sum(part.item() for part in of_parts), rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_an_objective_names_what_it_needs(objective, memories, output):
    specs = {name: MemorySpec(memory.values.size(2)) for name, memory in memories.items()}
    assert set(objective.keep) <= set(output.kept)
    heads = objective.heads(VOCABULARY, specs)
    assert set(heads) == ({"ctc-sound"} if isinstance(objective, CTC) else set())


def collapsed(path: tuple[int, ...]) -> list[int]:
    """Graves et al. 2006, section 3.1: repeats are one, then blanks (0) go."""
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


@pytest.mark.parametrize("words", [[], [4], [1, 2], [3, 3], [1, 2, 1], [1, 1, 2]])
def test_ctc_sums_over_all_alignments(words, model, memory_of, targets_of):
    memory, targets = memory_of([4], 2, slots=6), targets_of(words, steps=5)
    total, count = CTC(source="sound").loss(
        model, Batch(("only",), {}, targets), {"sound": memory}, None
    )
    slots = torch.softmax(model.heads["ctc"](memory.values[0, :4]), -1).tolist()
    likelihood = sum(
        math.prod(slot[symbol] for slot, symbol in zip(slots, path, strict=True))
        for path in itertools.product(range(VOCABULARY), repeat=4)
        if collapsed(path) == words
    )
    assert total.item() == pytest.approx(-math.log(likelihood), rel=1e-9)
    assert count.item() == len(words)


def test_ctc_leaves_out_inputs_without_the_source(model, batch, memories, output):
    total, count = CTC(source="sound").loss(model, batch, memories, output)
    there = shard([0, 2], batch, memories, output)
    expected, expected_count = CTC(source="sound").loss(model, *there)
    assert total.item() == pytest.approx(expected.item(), rel=1e-9)
    assert count.item() == expected_count.item() == 1 + 2


def test_ctc_of_a_batch_without_the_source_is_nothing(model, batch, memories, output):
    there = shard([1], batch, memories, output)
    total, count = CTC(source="sound").loss(model, *there)
    assert (total.item(), count.item()) == (0, 0)
    total.backward()
    assert all(not leaf.grad.any() for leaf in model.heads["ctc"].parameters())


@pytest.mark.parametrize(
    ("words", "slots", "needed"), [([1, 2, 3], 2, 3), ([1, 1], 2, 3), ([2, 2, 2], 4, 5)]
)
def test_ctc_names_a_row_whose_target_is_too_long_before_training(words, slots, needed):
    row = Row("long", {"sound": "long.wav"}, ("…",), "train.jsonl, line 3")
    CTC().check(row, words, {"sound": needed})
    CTC(source="text").check(row, words, {"sound": slots})
    message = re.escape(
        f"objective 'ctc' needs {needed} slots for the target of example 'long' (train.jsonl, "
        f"line 3), got {slots} of long.wav"
    )
    with pytest.raises(UserError, match=message):
        CTC().check(row, words, {"sound": slots})


@pytest.mark.parametrize(
    ("words", "slots", "needed"), [([1, 2, 3], 2, 3), ([1, 1], 2, 3), ([2, 2, 2], 4, 5)]
)
def test_ctc_names_the_example_whose_target_is_too_long(
    words, slots, needed, model, memory_of, targets_of
):
    memory = memory_of([9, 0, slots], 2)
    batch = Batch(("short", "silent", "long"), {}, targets_of([1], [1] * 8, words))
    message = f"needs {needed} slots for the target of example 'long', got {slots}"
    with pytest.raises(UserError, match=message):
        CTC(source="sound").loss(model, batch, {"sound": memory}, None)


def test_ctc_adds_nothing_for_a_bad_row_that_is_skipped_and_counts_it_once(
    model, memory_of, targets_of
):
    memory = memory_of([9, 2], 2)
    batch = Batch(("fits", "long"), {}, targets_of([1, 2], [1, 2, 3]))
    ctc = CTC(source="sound")
    ctc.bad_rows = BadRows("skip")
    for _epoch in range(2):
        total, count = ctc.loss(model, batch, {"sound": memory}, None)
    fits = Batch(("fits",), {}, targets_of([1, 2]))
    alone, _ = CTC(source="sound").loss(model, fits, {"sound": memory.select(slice(1))}, None)
    assert total.item() == pytest.approx(alone.item(), rel=1e-9)
    assert count.item() == 2 + 3  # what ``count`` said before
    assert len(ctc.bad_rows.sentences) == 1
    assert "'long'" in ctc.bad_rows.sentences[0]
    total.backward()
    assert all(leaf.grad.isfinite().all() for leaf in model.heads["ctc"].parameters())


def test_ctc_accepts_a_target_that_just_fits(model, memory_of, targets_of):
    batch = Batch(("fits",), {}, targets_of([1, 1, 2]))
    total, _ = CTC(source="sound").loss(model, batch, {"sound": memory_of([4], 2)}, None)
    assert total.isfinite()


def test_ctc_takes_the_only_source_and_asks_where_there_are_several():
    assert CTC().heads(VOCABULARY, {"sound": MemorySpec(3)})["ctc"].in_features == 3
    specs = {"text": MemorySpec(3), "sound": MemorySpec(2)}
    assert CTC(source="sound").heads(VOCABULARY, specs)["ctc-sound"].in_features == 2
    with pytest.raises(UserError, match="got None; choose one of text, sound"):
        CTC().heads(VOCABULARY, specs)
    with pytest.raises(UserError, match="got 'speech'; choose one of text, sound"):
        CTC(source="speech").heads(VOCABULARY, specs)
    with pytest.raises(UserError, match="no sources"):
        CTC().heads(VOCABULARY, {})


def test_two_ctc_objectives_have_a_head_each(memories):
    specs = {name: MemorySpec(memory.values.size(2)) for name, memory in memories.items()}
    heads = CTC(source="text").heads(VOCABULARY, specs) | CTC(source="sound").heads(
        VOCABULARY, specs
    )
    assert {name: head.in_features for name, head in heads.items()} == {
        "ctc-text": 3,
        "ctc-sound": 2,
    }


@pytest.mark.parametrize("source", [None, "sound"])
def test_ctc_says_before_it_is_computed_what_it_is_a_mean_over(
    source, model, batch, memories, output
):
    there = Inputs(torch.zeros(2, 1), torch.ones(2), torch.tensor([0, 2]))
    batch = replace(batch, sources={"sound": there})
    objective = CTC(source=source)
    _, count = objective.loss(model, batch, {"sound": memories["sound"]}, output)
    assert objective.count(batch) == count.item() == 1 + 2
    assert CTC(source="text").count(batch) == objective.count(replace(batch, sources={})) == 0


def test_coverage_is_its_loop(model, batch, memories, output):
    """See et al. 2017, equation 12."""
    total, count = Coverage().loss(model, batch, memories, output)
    expected = 0.0
    for weights in output.kept["weights"].values():
        for looks in weights.tolist():
            covered = [0.0] * len(looks[0])
            for look in looks:
                expected += sum(min(now, seen) for now, seen in zip(look, covered, strict=True))
                covered = [now + seen for now, seen in zip(look, covered, strict=True)]
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count.item() == 2 + 4 + 3


def test_doubly_stochastic_is_its_loop(model, batch, memories, output):
    """Xu et al. 2015, equation 14, over the slots that are there."""
    total, count = DoublyStochastic().loss(model, batch, memories, output)
    expected = 0.0
    for name, weights in output.kept["weights"].items():
        for row, looks in enumerate(weights.tolist()):
            for slot, seen in enumerate(map(sum, zip(*looks, strict=True))):
                if memories[name].mask[row, slot]:
                    expected += (1 - seen) ** 2
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count.item() == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "per_input"),
    [("cross-entropy", 2), ("ctc", 1), ("coverage", 2), ("doubly-stochastic", 1)],
)
def test_counts_are_exact_in_any_precision(name, per_input, dtype, model, memory_of, targets_of):
    """257 is the first whole number that bfloat16 lacks."""
    rows, ids = 257, tuple(map(str, range(257)))
    batch = Batch(ids, {}, targets_of(*[[4]] * rows))
    memory = memory_of([3] * rows, 2)
    sound = replace(memory, values=memory.values.to(dtype))
    packing = Packing.of(batch.targets.lengths)
    kept = {"weights": {"sound": torch.full((rows, 2, 3), 1 / 3, dtype=dtype)}}
    scores = torch.randn(len(packing.rows), VOCABULARY, dtype=dtype)
    output = DecoderOutput(scores, packing.rows, packing.steps, kept)
    model.heads["ctc"].to(dtype)
    total, count = OBJECTIVES[name].loss(model, batch, {"sound": sound}, output)
    assert count.item() == per_input * rows
    assert total.isfinite()
