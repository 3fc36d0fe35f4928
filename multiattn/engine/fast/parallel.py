"""``Luong`` without feedback from attention: one LSTM call and one attention for all time steps.

The reference is ``Luong`` step by step. Letters: M real tokens, B batch, T steps, S slots,
A attention width, E embedding, H hidden.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import without_gate
from multiattn.engine.recurrence import Luong, State

LARGEST_COMPARISON = 2**26  # elements of a (B, T, S, A) tensor worth holding at once


def applies(recurrence: Any, counts: Sequence[int], keys: Any) -> bool:
    """Whether all steps can be computed at once, and the tensor that this needs fits in memory."""
    if type(recurrence) is not Luong or recurrence.fusion.recurrent:
        return False
    attentions = getattr(recurrence.fusion, "attentions", {})
    cells = counts[0] * len(counts)
    return all(
        cells * keys.sources[name].keys.shape[1:].numel() <= LARGEST_COMPARISON
        for name, attention in attentions.items()
        if type(without_gate(attention)) is Additive
    )


def unroll(
    recurrence: Luong, embedded: Tensor, counts: Sequence[int], state: State, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """As ``unroll_step_by_step``: embedded (M, E) -> features (M, H) and weights (M, S)."""
    alive = torch.arange(counts[0]) < torch.tensor(counts).unsqueeze(1)  # (T, B)
    alive = alive.to(embedded.device)
    padded = embedded.new_zeros(*alive.shape, embedded.size(1))
    padded = padded.masked_scatter(alive.unsqueeze(-1), embedded)  # (T, B, E)
    vectors, weights = unroll_padded(recurrence, padded, state, keys)
    return vectors[alive], {name: leaf[alive] for name, leaf in weights.items()}


def unroll_padded(
    recurrence: Luong, embedded: Tensor, state: State, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """Unroll all rows to the end: (T, B, E) -> features (T, B, H) and weights (T, B, S)."""
    hidden = lstm(recurrence, embedded, state).transpose(0, 1)  # (B, T, H)
    vectors, weights, _ = recurrence.attend(hidden, keys, None)
    return vectors.transpose(0, 1), {name: leaf.transpose(0, 1) for name, leaf in weights.items()}


def lstm(recurrence: Luong, inputs: Tensor, state: State) -> Tensor:
    """Run all steps of the recurrence's cells in one call: (T, B, E) -> (T, B, H)."""
    weights: list[Tensor] = []
    for cell in recurrence.cell.cells:
        weights += [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]  # type: ignore[list-item]
    start = [
        torch.stack([layer[part].squeeze(1) for layer in state.layers]) for part in range(2)
    ]  # each (L, B, H)
    layers, learning = len(state.layers), torch.is_grad_enabled()  # cuDNN needs it for a backward
    with warnings.catch_warnings():
        # They are parameters of cells, so cuDNN copies them into one piece in every call.
        warnings.filterwarnings("ignore", "RNN module weights are not part of single")
        output, _, _ = torch.lstm(inputs, start, weights, True, layers, 0.0, learning, False, False)
    return output
