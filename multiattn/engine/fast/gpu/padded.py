"""A model over a padded batch, for a GPU: no shape depends on a value, so a graph can hold it.

On a CPU rows leave the loop when their target ends (``unroll.py``). On a GPU that costs more than
it saves: here every row takes all T steps, and features are read off where targets are real. Rows,
steps and slots are rounded up, so that a few shapes serve a whole training.

Letters: B rows, T target steps, S slots, each rounded up; M real target tokens, E embedding,
F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.engine.batch import Packing, Targets, rounded_up
from multiattn.engine.fast import input_feeding, parallel
from multiattn.engine.fast.gpu import loop
from multiattn.engine.fast.gpu.graphs import Captured
from multiattn.engine.fast.gpu.recording import Function
from multiattn.engine.fast.unroll import unroll_step_by_step
from multiattn.engine.layouts import Grid
from multiattn.engine.memory import Memory
from multiattn.engine.output_layer import Linear
from multiattn.engine.trees import first_rows, leaves, with_leaves
from multiattn.symbols import PAD


def encode_batch(
    encode: Function,
    captured: Captured,
    encoder: nn.Module,
    values: Tensor,
    lengths: Tensor,
    *,
    part: str,
    any_length: bool,
) -> Memory:
    """The same as ``encode(values, lengths)``, which uses the parameters of ``encoder``.

    values: (R, …), or (R, L, …) where ``any_length`` says that L may be rounded up; lengths: (R,).
    Rows are rounded up, with inputs of length 1, unless the encoder has buffers, which may be
    statistics of what it has seen. part: which part of the encoder ``encode`` is.
    """
    count, stateful = len(values), any(True for _ in encoder.buffers())
    extra_rows = 0 if stateful else rounded_up(count) - count
    extra_length = rounded_up(values.size(1)) - values.size(1) if any_length else 0
    if extra_rows or extra_length:
        sides = [0, extra_length, 0, extra_rows] if values.dim() > 1 else [0, extra_rows]
        values = F.pad(values, [0] * (2 * values.dim() - len(sides)) + sides)
        lengths = F.pad(lengths, (0, extra_rows), value=1)
    memory: Memory = captured(encode, (values, lengths), encoder, part)
    return first_rows(memory, count) if extra_rows else memory


class Unrolled(NamedTuple):
    """Features (M, F), embedded words (M, E) and per source weights (M, S).

    Words that the output does not read have no columns, weights that nobody asks for no sources.
    """

    features: Tensor
    embedded: Tensor
    weights: dict[str, Tensor]


def unroll_batch(
    decoder: Any,
    captured: Captured,
    targets: Targets,
    packing: Packing,
    memories: Mapping[str, Memory],
    with_weights: bool,
) -> Unrolled:
    """Unroll the decoder over a whole batch, in the order of ``packing``."""
    batch_size, steps = len(targets.tokens), len(packing.counts)
    rows, columns = rounded_up(batch_size), rounded_up(steps)
    words = F.pad(
        targets.inputs()[:, :steps], (0, columns - steps, 0, rows - batch_size), value=PAD
    )
    lengths = F.pad(targets.lengths, (0, rows - batch_size))
    reads_words = type(decoder.output) is not Linear
    padded = {  # which slots can be copied is asked after the loop
        name: padded_memory(replace(memory, symbols=None), rows, slot_bucket(memory))
        for name, memory in memories.items()
    }

    def run(words: Tensor, lengths: Tensor, *parts: Tensor) -> Any:
        given = with_leaves(padded, parts)
        shared, state = decoder.begin(given, rows)
        embedded = decoder.dropout(decoder.embedding(words.t()))  # (T, B, E)
        features, weights = unroll_padded(decoder.recurrence, embedded, lengths, state, shared.keys)
        words = embedded if reads_words else embedded.new_empty(*embedded.shape[:2], 0)
        return features, words, weights if with_weights else {}

    layouts = tuple((name, repr(memory.layout)) for name, memory in padded.items())
    inputs = [words, lengths, *leaves(padded)]
    features, embedded, weights = captured(run, inputs, decoder, (layouts, with_weights))
    at = packing.steps * rows + packing.rows  # (M,)
    return Unrolled(
        features.flatten(0, 1).index_select(0, at),
        embedded.flatten(0, 1).index_select(0, at),
        {
            name: leaf.flatten(0, 1).index_select(0, at)[:, : memories[name].mask.size(1)]
            for name, leaf in weights.items()
        },
    )


def padded_memory(memory: Memory, rows: int, slots: int) -> Memory:
    """The same memory with masked slots and rows added, up to these numbers."""
    more_rows, more_slots = rows - len(memory.mask), slots - memory.mask.size(1)
    if not more_rows and not more_slots:
        return memory
    corner = (0, more_slots, 0, more_rows)
    summary, symbols = memory.summary, memory.symbols
    return Memory(
        F.pad(memory.values, (0, 0, *corner)),
        F.pad(memory.mask, corner),
        memory.layout,
        None if summary is None else F.pad(summary, (0, 0, 0, more_rows)),
        None if symbols is None else F.pad(symbols, corner, value=-1),
    )


def slot_bucket(memory: Memory) -> int:
    """How many slots a memory is given. A grid has as many in every batch as it is."""
    slots = memory.mask.size(1)
    return slots if isinstance(memory.layout, Grid) else rounded_up(slots)


def unroll_padded(
    recurrence: Any, embedded: Tensor, lengths: Tensor, state: Any, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """As ``unroll_step_by_step``, by the fastest path: (T, B, E) -> (T, B, F), weights (T, B, S).

    What a row gives from its length (B,) on is not defined, but finite.
    """
    if loop.applies(recurrence, keys):
        return loop.unroll(recurrence, embedded, lengths, state, keys)
    steps, rows, _ = embedded.shape
    counts = (rows,) * steps
    if parallel.applies(recurrence, counts, keys):
        return parallel.unroll_padded(recurrence, embedded, state, keys)
    path = unroll_step_by_step
    if input_feeding.applies_to_any_keys(recurrence, embedded):
        path = input_feeding.unroll
    features, weights = path(recurrence, embedded.flatten(0, 1), counts, state, keys)
    return features.view(steps, rows, -1), {
        name: leaf.view(steps, rows, -1) for name, leaf in weights.items()
    }
