"""Conformance checks of decoders and of the attentions, fusions, recurrences or outputs in them.

There are two sources; one input lacks one of them.

Letters: B batch, N hypotheses, T steps, V vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.trees import tree_map
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import (
    VOCABULARY,
    WIDTH,
    Subject,
    build,
    expect_close,
    expect_gradients,
    expect_overfitting,
    expect_round_trip,
    first_row_of,
    log_probabilities,
    memory_of,
    negative_log_likelihood,
    padded,
    select,
    targets_of,
)

BASE_DECODER = "multiattn/lstm"  # the decoder that parts are tested in
LENGTHS = (4, 6, 2)


def decoder_of(host: Host, row: Component, seed: int = 0) -> Any:
    """Build the decoder, or the core's decoder with this part and otherwise its defaults."""
    supplied = VOCABULARY, {name: MemorySpec(WIDTH, WIDTH) for name in memories_of()}
    if row.record.kind == "decoder":
        return build(host, "decoder", row.full_name, *supplied, seed=seed)
    part = {row.record.kind: row.full_name}
    small = {"embedding_dim": WIDTH, "hidden_dim": WIDTH}
    return build(host, "decoder", BASE_DECODER, *supplied, seed=seed, **small, **part)


def memories_of(seed: int = 0) -> dict[str, Memory]:
    """Make one source that can be copied from, and one that is missing from the second input."""
    return {
        "first": memory_of((5, 3, 4), seed=seed, symbols=True),
        "second": memory_of((2, 0, 3), seed=seed + 1),
    }


def target_log_probabilities(
    decoder: Any, memories: Mapping[str, Memory], rows: slice = slice(None)
) -> Tensor:
    """Log-probabilities (B, T, V) of these rows of the targets under teacher forcing."""
    targets = select(targets_of(LENGTHS), list(range(3))[rows])
    return log_probabilities(decoder(targets, memories), targets)


def stepping_equals_the_forward_pass(host: Host, row: Component) -> None:
    """Decoding step by step computes the same as teacher forcing."""
    decoder, memories, targets = decoder_of(host, row), memories_of(), targets_of(LENGTHS)
    wanted = target_log_probabilities(decoder, memories)
    shared, state = decoder.begin(memories, len(LENGTHS))
    for step, tokens in enumerate(targets.inputs().unbind(1)):
        scores, state, _ = decoder.step(tokens.unsqueeze(1), state, shared)
        alive = (targets.lengths > step).view(-1, 1)
        actual = scores.log_softmax(-1).squeeze(1) * alive
        expect_close(actual, wanted[:, step], "expected a step to score like the forward pass")


def padding_changes_no_score(host: Host, row: Component) -> None:
    """Additional padded slots have no influence."""
    decoder, memories = decoder_of(host, row), memories_of()
    more = {name: padded(memory, 3) for name, memory in memories.items()}
    sentence = "expected padding to change no score"
    expect_close(
        target_log_probabilities(decoder, more),
        target_log_probabilities(decoder, memories),
        sentence,
    )


def batch_order_changes_no_score(host: Host, row: Component) -> None:
    """Each input is decoded independently."""
    decoder, memories, order = decoder_of(host, row), memories_of(), [2, 0, 1]
    targets = select(targets_of(LENGTHS), order)
    actual = log_probabilities(decoder(targets, select(memories, order)), targets)
    expect_close(
        actual,
        target_log_probabilities(decoder, memories)[order],
        "expected scores to be reordered like their inputs",
    )


def batching_changes_no_score(host: Host, row: Component) -> None:
    """The other inputs of a batch and their lengths do not matter."""
    decoder, memories = decoder_of(host, row), memories_of()
    together = target_log_probabilities(decoder, memories)
    for index in range(len(LENGTHS)):
        alone = target_log_probabilities(
            decoder, first_row_of(memories, index), slice(index, index + 1)
        )
        expect_close(alone[0], together[index], "expected the same scores in a batch as alone")


def training_mixes_no_scores(host: Host, row: Component) -> None:
    """In training too, scores depend on their own input: so a step can be cut into shards."""
    decoder, memories = decoder_of(host, row).train(), memories_of()
    others = tree_map(_all_but_the_first_turned, memories)
    scores = []
    for given in (memories, others):
        torch.manual_seed(4)
        with torch.no_grad():
            scores.append(target_log_probabilities(decoder, given)[0])
    expect_close(
        scores[1],
        scores[0],
        "expected the scores of an input in training mode not to depend on the others; normalise "
        "by layer or group instead of by batch",
    )


def _all_but_the_first_turned(leaf: Tensor) -> Tensor:
    """The same masks and symbols, and the values of all inputs but the first times -1."""
    return torch.cat([leaf[:1], -leaf[1:]]) if leaf.is_floating_point() else leaf


def inputs_begun_together_are_independent(host: Host, row: Component) -> None:
    """Nothing of an input is kept on ``self``: two batches may be decoded in turns."""
    batches = memories_of(), select(memories_of(seed=5), [2, 0, 1])
    together = _scores_in_turns(decoder_of(host, row), batches)
    for memories, actual in zip(batches, together, strict=True):
        (alone,) = _scores_in_turns(decoder_of(host, row), [memories])
        expect_close(
            actual,
            alone,
            "expected the scores of a batch not to depend on one that was begun before it is "
            "decoded; keep nothing of an input on self",
        )


def _scores_in_turns(decoder: Any, batches: Sequence[Mapping[str, Memory]]) -> list[Tensor]:
    """Begin all batches, then take each step for one after the other: scores (B, T, V) of each."""
    begun = [decoder.begin(memories, len(LENGTHS)) for memories in batches]
    states = [state for _, state in begun]
    scores: list[list[Tensor]] = [[] for _ in batches]
    for tokens in targets_of(LENGTHS).inputs().unbind(1):
        for place, (shared, _) in enumerate(begun):
            step, states[place], _ = decoder.step(tokens.unsqueeze(1), states[place], shared)
            scores[place].append(step)
    return [torch.cat(each, 1) for each in scores]


def indexing_a_state_equals_recomputing_it(host: Host, row: Component) -> None:
    """Hypotheses are reordered, repeated and dropped by plain indexing."""
    decoder, memories = decoder_of(host, row), memories_of()
    shared, start = decoder.begin(memories, len(LENGTHS))
    words = torch.tensor([[4, 5, 6]] * len(LENGTHS))  # (B, N): three hypotheses
    order = [2, 0, 0, 1]
    start = tree_map(lambda leaf: leaf[:, [0, 0, 0]], start)
    _, state, _ = decoder.step(words, start, shared)
    indexed = tree_map(lambda leaf: leaf[:, order], state)
    again = tree_map(lambda leaf: leaf[:, [0, 0, 0, 0]], start)
    _, recomputed, _ = decoder.step(words[:, order], again, shared)
    following = torch.tensor([[7, 8, 9, 10]] * len(LENGTHS))
    actual, _, _ = decoder.step(following, indexed, shared)
    wanted, _, _ = decoder.step(following, recomputed, shared)
    expect_close(actual, wanted, "expected an indexed state to equal a recomputed one")


def every_decoder_parameter_gets_a_gradient(host: Host, row: Component) -> None:
    """Gradients of teacher-forced scores, with a source missing from one input."""
    expect_gradients(_subject(host, row))


def decoder_state_dict_is_complete(host: Host, row: Component) -> None:
    """Another instance computes the same after loading the state dict."""
    expect_round_trip(_subject(host, row))


def decoder_overfits_one_batch(host: Host, row: Component) -> None:
    """It can memorise three targets."""
    decoder, memories, targets = decoder_of(host, row), memories_of(), targets_of(LENGTHS)
    expect_overfitting(
        decoder, lambda: negative_log_likelihood(decoder(targets, memories), targets)
    )


def _subject(host: Host, row: Component) -> Subject:
    memories = memories_of()
    return Subject(
        decoder_of(host, row),
        functools.partial(decoder_of, host, row, seed=1),
        lambda decoder: (target_log_probabilities(decoder, memories),),
    )


CHECKS = (
    stepping_equals_the_forward_pass,
    padding_changes_no_score,
    batch_order_changes_no_score,
    batching_changes_no_score,
    training_mixes_no_scores,
    inputs_begun_together_are_independent,
    indexing_a_state_equals_recomputing_it,
    every_decoder_parameter_gets_a_gradient,
    decoder_state_dict_is_complete,
    decoder_overfits_one_batch,
)
