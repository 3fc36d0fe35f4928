"""Conformance checks of objectives and scorers.

Letters: B batch, N hypotheses, T output tokens, S slots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_lowercase
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor, nn

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import Batch, Inputs, Targets
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.model import Model
from multiattn.engine.trees import tree_map
from multiattn.recipe.settings import TokenizerSettings
from multiattn.registry.host import Component, Host
from multiattn.search.scorers import PreparedScorer
from multiattn.symbols import PAD, UNK
from multiattn.testing.fixtures import (
    VOCABULARY,
    WIDTH,
    build,
    expect,
    expect_close,
    memory_of,
    padded,
    select,
    targets_of,
)
from multiattn.training.objectives import CountedObjective, Loss

SLOTS = (12, 9, 10)  # enough for an objective that aligns slots and words
LENGTHS = (4, 6, 2)
TARGETS = targets_of(LENGTHS)
SINGLE_PRECISION = 1e-5  # relative: a loss may be computed in float32


def _model(host: Host, objective: Any) -> Model:
    """A small model with the objective's heads, the same at every call."""
    specs = {"source": MemorySpec(WIDTH, WIDTH)}
    small = {"embedding_dim": WIDTH, "hidden_dim": WIDTH}
    decoder = build(host, "decoder", "multiattn/lstm", VOCABULARY, specs, **small)
    heads: Mapping[str, nn.Module] = objective.heads(VOCABULARY, specs)
    return Model({}, decoder, heads).double().eval()


def _batch(memory: Memory, targets: Targets) -> Batch:
    """A batch of which every input has the source."""
    size = len(targets.lengths)
    inputs = Inputs(memory.values, memory.mask.sum(1), torch.arange(size))
    return Batch(tuple(f"example {row}" for row in range(size)), {"source": inputs}, targets)


def _loss(model: Model, objective: Any, memory: Memory, targets: Targets) -> Loss:
    """Sum and count of an objective for one source."""
    batch = _batch(memory, targets)
    memories = {"source": memory}
    output = model.decoder(targets, memories, None, objective.keep)
    loss: Loss = objective.loss(model, batch, memories, output)
    return loss


def shards_add_up_to_the_batch(host: Host, row: Component) -> None:
    """Sums and counts add up, so that a step can be split into shards and processes."""
    objective = build(host, "objective", row.full_name)
    model, memory, targets = _model(host, objective), memory_of(SLOTS, symbols=True), TARGETS
    whole = _loss(model, objective, memory, targets)
    shards = [
        _loss(model, objective, select(memory, rows), select(targets, rows))
        for rows in ([0, 2], [1])
    ]
    for position, name in enumerate(("sum", "count")):
        added = torch.stack([shard[position].double() for shard in shards]).sum()
        sentence = f"expected the shards' {name}s to add up to the batch's"
        expect_close(added, whole[position].double(), sentence, SINGLE_PRECISION)
    expect(bool(whole[1] > 0), f"expected a count above 0, got {whole[1]}")


def padding_is_not_counted(host: Host, row: Component) -> None:
    """More padding, of the targets and of the memory, changes neither sum nor count."""
    objective = build(host, "objective", row.full_name)
    model, memory, targets = _model(host, objective), memory_of(SLOTS, symbols=True), TARGETS
    more = replace(targets, tokens=nn.functional.pad(targets.tokens, (0, 3), value=PAD))
    wanted = _loss(model, objective, memory, targets)
    actual = _loss(model, objective, padded(memory, 2), more)
    for position, name in enumerate(("sum", "count")):
        expect_close(
            actual[position].double(),
            wanted[position].double(),
            f"expected padding to change no {name} of the loss; leave out what is past an end",
            SINGLE_PRECISION,
        )


def loss_teaches_the_model(host: Host, row: Component) -> None:
    """The sum has a gradient with respect to a parameter of the decoder or of a head."""
    objective = build(host, "objective", row.full_name)
    model = _model(host, objective)
    total, _ = _loss(model, objective, memory_of(SLOTS, symbols=True), TARGETS)
    advice = "compute it from the output, without detach, item or no_grad"
    expect(total.requires_grad, f"expected a loss with a gradient, got a detached one; {advice}")
    total.backward()  # type: ignore[no-untyped-call]
    taught = any(leaf.grad is not None and leaf.grad.any() for leaf in model.parameters())
    expect(taught, f"expected a gradient of some parameter, got none but zeros; {advice}")


def count_is_known_before_the_loss(host: Host, row: Component) -> None:
    """``count(batch)`` is what ``loss`` divides by; without it, the number of target tokens."""
    objective, memory = build(host, "objective", row.full_name), memory_of(SLOTS, symbols=True)
    _, count = _loss(_model(host, objective), objective, memory, TARGETS)
    if isinstance(objective, CountedObjective):
        what, wanted = "count(batch)", objective.count(_batch(memory, TARGETS))
    else:
        what, wanted = "the number of target tokens", sum(LENGTHS)
    expect(
        float(count) == float(wanted),
        f"expected loss to count {what}, {wanted}, got {float(count):g}; count these, or give a "
        "method count(batch)",
    )


def _heads(host: Host) -> dict[str, nn.Module]:
    """The heads of all objectives; a scorer may need one."""
    heads: dict[str, nn.Module] = {}
    for row in host.records("objective"):
        try:
            objective = build(host, "objective", row.full_name)
            heads |= objective.heads(VOCABULARY, {"source": MemorySpec(WIDTH, WIDTH)})
        except (AssertionError, SkipTest):
            continue  # reported by the objective's own checks
    return {name: head.double().eval() for name, head in heads.items()}


def _scorer(host: Host, row: Component) -> Any:
    """The scorer, prepared for a vocabulary of letters if it needs to know the vocabulary."""
    scorer = build(host, "scorer", row.full_name)
    if isinstance(scorer, PreparedScorer):
        letters = ascii_lowercase[: VOCABULARY - UNK - 1]
        scorer.prepare(Tokenizer.train([letters], TokenizerSettings(kind="char")))
    return scorer


def scorer_terms_are_bounded_and_follow_hypotheses(host: Host, row: Component) -> None:
    """Scores added per token stay within the ceiling; the state is reordered by indexing."""
    scorer = _scorer(host, row)
    memories: dict[str, Memory] = {"source": memory_of(SLOTS)}
    shared, state = scorer.start(memories, _heads(host), len(SLOTS))
    tokens = torch.full((len(SLOTS), 1), 5)  # (B, N)
    mask = memories["source"].mask
    weights = {"source": (mask / mask.sum(1, keepdim=True)).double().unsqueeze(1)}  # (B, N, S)
    for _ in range(2):
        additions, state = scorer.score(tokens, weights, state, shared)
        shape = tuple(additions.shape)
        expect(
            shape in ((len(SLOTS), 1, 1), (len(SLOTS), 1, VOCABULARY)),
            f"expected additions (B, N, 1) or (B, N, V), got {shape}",
        )
        expect(bool((additions <= scorer.ceiling).all()), "expected no addition above the ceiling")
    final = scorer.finish(state, shared)
    if final is not None:
        expect(tuple(final.shape) == (len(SLOTS), 1), "expected final terms (B, N)")
        expect(bool((final <= 0).all()), "expected final terms of at most 0")
        later_state, later_shared = select((state, shared), [2, 0, 1])
        moved = scorer.finish(later_state, later_shared)
        expect_close(
            moved, final[[2, 0, 1]], "expected final terms to be reordered like their inputs"
        )


def inputs_started_together_are_independent(host: Host, row: Component) -> None:
    """Nothing of an input is kept on ``self``: two batches may be scored in turns."""
    batches = [memory_of(SLOTS), select(memory_of(SLOTS, seed=5), [2, 0, 1])]
    together = _terms_in_turns(host, row, batches)
    for memory, terms in zip(batches, together, strict=True):
        (alone,) = _terms_in_turns(host, row, [memory])
        for actual, wanted in zip(terms, alone, strict=True):
            expect_close(
                actual,
                wanted,
                "expected the terms of a batch not to depend on one that was started before it is "
                "scored; keep nothing of an input on self",
            )


def _terms_in_turns(host: Host, row: Component, batches: Sequence[Memory]) -> list[list[Tensor]]:
    """Start all batches, then score each in turn, twice: additions and final terms of each."""
    scorer, heads = _scorer(host, row), _heads(host)
    started = [scorer.start({"source": memory}, heads, len(SLOTS)) for memory in batches]
    states = [state for _, state in started]
    terms: list[list[Tensor]] = [[] for _ in batches]
    for token in (5, 6):
        tokens = torch.full((len(SLOTS), 1), token)  # (B, N)
        for place, memory in enumerate(batches):
            attended = {"source": memory.mask.double().unsqueeze(1) / 4}  # (B, N, S)
            shared = started[place][0]
            additions, states[place] = scorer.score(tokens, attended, states[place], shared)
            terms[place].append(additions)
    for place, (shared, _) in enumerate(started):
        final = scorer.finish(states[place], shared)
        terms[place] += [] if final is None else [final]
    return terms


def hypotheses_are_scored_independently(host: Host, row: Component) -> None:
    """N hypotheses of an input do not affect each other; states are reordered by indexing."""
    scorer, heads, memory = _scorer(host, row), _heads(host), memory_of(SLOTS)
    together = _terms_of_hypotheses(scorer, heads, memory, [0, 1, 2])
    for hypotheses in ([2, 0, 1], [0], [1], [2]):
        alone = _terms_of_hypotheses(scorer, heads, memory, hypotheses)
        for actual, wanted in zip(alone, together, strict=True):
            expect_close(
                actual,
                wanted[:, hypotheses],
                "expected the terms of a hypothesis not to depend on the others, nor on its place "
                "among them",
            )


def _terms_of_hypotheses(
    scorer: Any, heads: Mapping[str, nn.Module], memory: Memory, hypotheses: Sequence[int]
) -> list[Tensor]:
    """Additions at three steps (B, N, V or 1), and final terms (B, N), of these of three."""
    shared, state = scorer.start({"source": memory}, heads, len(SLOTS))
    state = tree_map(lambda leaf: leaf[:, [0] * len(hypotheses)], state)
    generator = torch.Generator().manual_seed(6)
    terms: list[Tensor] = []
    for _ in range(3):
        tokens = torch.randint(UNK + 1, VOCABULARY, (len(SLOTS), 3), generator=generator)
        scores = torch.randn(len(SLOTS), 3, memory.mask.size(1), generator=generator).double()
        attended = scores.masked_fill(~memory.mask.unsqueeze(1), -torch.inf).softmax(2)
        weights = {"source": attended[:, hypotheses]}  # (B, N, S)
        additions, state = scorer.score(tokens[:, hypotheses], weights, state, shared)
        terms.append(additions)
    final = scorer.finish(state, shared)
    return terms if final is None else [*terms, final]


OBJECTIVE_CHECKS = (
    shards_add_up_to_the_batch,
    padding_is_not_counted,
    loss_teaches_the_model,
    count_is_known_before_the_loss,
)
SCORER_CHECKS = (
    hypotheses_are_scored_independently,
    scorer_terms_are_bounded_and_follow_hypotheses,
    inputs_started_together_are_independent,
)
