"""Conformance checks of objectives and scorers.

Letters: B batch, N hypotheses, T output tokens, S slots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor, nn

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import Batch
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.model import Model
from multiattn.recipe.settings import TokenizerSettings
from multiattn.registry.host import Component, Host
from multiattn.search.scorers import PreparedScorer
from multiattn.symbols import UNK
from multiattn.testing.fixtures import (
    VOCABULARY,
    WIDTH,
    build,
    expect,
    expect_close,
    memory_of,
    select,
    targets_of,
)

SLOTS = (12, 9, 10)  # enough for an objective that aligns slots and words
LENGTHS = (4, 6, 2)
SINGLE_PRECISION = 1e-5  # relative: a loss may be computed in float32


def _loss(host: Host, objective: Any, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Sum and count of an objective over these rows of one batch, under a fixed model."""
    memories = {"source": select(memory_of(SLOTS, symbols=True), rows)}
    specs = {"source": MemorySpec(WIDTH, WIDTH)}
    small = {"embedding_dim": WIDTH, "hidden_dim": WIDTH}
    decoder = build(host, "decoder", "multiattn/lstm", VOCABULARY, specs, **small)
    heads: Mapping[str, nn.Module] = objective.heads(VOCABULARY, specs)
    model = Model({}, decoder, heads).double().eval()
    targets = select(targets_of(LENGTHS), rows)
    batch = Batch(tuple(f"example {row}" for row in rows), {}, targets)
    output = decoder(targets, memories, None, objective.keep)
    loss: tuple[Tensor, Tensor] = objective.loss(model, batch, memories, output)
    return loss


def shards_add_up_to_the_batch(host: Host, row: Component) -> None:
    """Sums and counts add up, so that a step can be split into shards and processes."""
    objective = build(host, "objective", row.full_name)
    torch.manual_seed(0)
    whole = _loss(host, objective, [0, 1, 2])
    shards = []
    for rows in ([0, 2], [1]):
        torch.manual_seed(0)
        shards.append(_loss(host, objective, rows))
    for position, name in enumerate(("sum", "count")):
        added = torch.stack([shard[position].double() for shard in shards]).sum()
        sentence = f"expected the shards' {name}s to add up to the batch's"
        expect_close(added, whole[position].double(), sentence, SINGLE_PRECISION)
    expect(bool(whole[1] > 0), f"expected a count above 0, got {whole[1]}")


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


OBJECTIVE_CHECKS = (shards_add_up_to_the_batch,)
SCORER_CHECKS = (
    scorer_terms_are_bounded_and_follow_hypotheses,
    inputs_started_together_are_independent,
)
