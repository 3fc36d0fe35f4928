"""A bidirectional LSTM over sequences of unequal length, for encoders.

Equivalent to ``nn.LSTM(bidirectional=True)`` over packed sequences, but without packing, which is
slow on a CPU: the backward direction is a forward LSTM over rows that are each reversed within
their own length, so that padding comes last in both directions and no real slot follows it.

Letters: B batch, S slots, D width, H width of one direction.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiattn.engine.memory import length_mask

GROUP_ROWS = 16  # fewer rows make slow matrix products


def one_direction(width: int, hidden_dim: int) -> nn.LSTM:
    """One direction of one layer: (B, S, width) -> (B, S, H)."""
    return initialise_lstm(nn.LSTM(width, hidden_dim, batch_first=True))


def bidirectional(values: Tensor, lengths: Tensor, ahead: nn.LSTM, back: nn.LSTM) -> Tensor:
    """One layer over values (B, S, D) with lengths (B,), each at least 1: (B, S, 2H).

    Forward half first, then backward; zero in padded slots.
    """
    mask = length_mask(lengths, values.shape[1])  # (B, S)
    turned = _reversal(mask, lengths)  # (B, S)

    def backwards() -> Tensor:
        return _reverse(back(_reverse(values, turned))[0], turned)

    both = torch.cat(_side_by_side(lambda: ahead(values)[0], backwards), 2)  # (B, S, 2H)
    return both.masked_fill(~mask.unsqueeze(2), 0.0)


def _side_by_side(one: Callable[[], Tensor], other: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Compute both; in a CUDA graph as branches that run at the same time, backward too."""
    if not (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()):
        return one(), other()
    main, side = torch.cuda.current_stream(), _side_stream()
    side.wait_stream(main)
    with torch.cuda.stream(side):
        second = other()
    first = one()
    main.wait_stream(side)
    return first, second


@functools.cache
def _side_stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def final_states(values: Tensor, lengths: Tensor) -> Tensor:
    """Final state of each direction of ``values`` (B, S, 2H): last slot, first slot: (B, 2H)."""
    width = values.shape[2] // 2
    rows = torch.arange(len(lengths), device=lengths.device)
    return torch.cat([values[rows, lengths - 1, :width], values[:, 0, width:]], 1)


def encode_in_groups(
    encode: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], inputs: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Encode a batch in groups of similar length, each padded only to its own longest row.

    encode: inputs (b, L, …) and lengths (b,) -> values (b, S, D), padded with zeros, and final
        states (b, D').
    Returns the values and final states of the whole batch, with the S of its longest row.
    """
    groups = similar_lengths(lengths)
    if not groups:
        return encode(inputs, lengths)
    parts = [encode(inputs[rows, : int(lengths[rows].max())], lengths[rows]) for rows in groups]
    slots = max(values.shape[1] for values, _ in parts)
    position = torch.cat(groups).argsort()  # (B,), where each row is among the groups
    values = torch.cat([F.pad(part, (0, 0, 0, slots - part.shape[1])) for part, _ in parts])
    final = torch.cat([part for _, part in parts])
    return values.index_select(0, position), final.index_select(0, position)


def similar_lengths(lengths: Tensor) -> list[Tensor]:
    """Group a batch's rows by similar length; empty unless that saves a tenth of the slots.

    On a CPU padding costs as much as real slots, and four calls cost at most a tenth more than one
    of the same size. A GPU is better off with one large call.
    """
    count = len(lengths) // GROUP_ROWS
    if lengths.device.type == "cpu" and count > 1:
        groups = list(lengths.argsort(stable=True).chunk(count))
        slots = sum(len(rows) * int(lengths[rows].max()) for rows in groups)
        if slots <= 0.9 * len(lengths) * int(lengths.max()):
            return groups
    return []


def _reversal(mask: Tensor, lengths: Tensor) -> Tensor:
    """Positions that reverse each row within its length and leave padding in place: (B, S).

    The permutation is its own inverse.
    """
    positions = torch.arange(mask.shape[1], device=mask.device)  # (S,)
    return torch.where(mask, lengths.unsqueeze(1) - 1 - positions, positions)  # (B, S)


class _Reverse(torch.autograd.Function):
    """Gather slots (B, S, D) by ``positions`` (B, S), a permutation that is its own inverse.

    The backward is therefore the same gather, and nothing is scattered.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
        return _gather_slots(values, positions)

    @staticmethod
    def backward(ctx: Any, d_values: Tensor) -> tuple[Tensor, None]:
        (positions,) = ctx.saved_tensors
        return _gather_slots(d_values, positions), None


def _reverse(values: Tensor, positions: Tensor) -> Tensor:
    turned: Tensor = _Reverse.apply(values, positions)  # type: ignore[no-untyped-call]
    return turned


def _gather_slots(values: Tensor, positions: Tensor) -> Tensor:
    """Gather whole slots at a time, which is faster than gathering single numbers."""
    starts = torch.arange(len(values), device=values.device).unsqueeze(1) * values.shape[1]
    slots = values.reshape(-1, values.shape[2])  # (B · S, D)
    return slots.index_select(0, (starts + positions).flatten()).view_as(values)


LSTMModule = TypeVar("LSTMModule", nn.LSTM, nn.LSTMCell)


def initialise_lstm(lstm: LSTMModule) -> LSTMModule:
    """Initialise each gate: input weights as Glorot & Bengio 2010, recurrent as Saxe et al. 2014.

    Biases are 0, except 1 for the forget gate (Jozefowicz et al. 2015).
    """
    for name, leaf in lstm.named_parameters():
        gates = leaf.data.chunk(4)  # input, forget, candidate, output
        if name.startswith("weight_ih"):
            for gate in gates:
                nn.init.xavier_uniform_(gate)
        elif name.startswith("weight_hh"):
            for gate in gates:
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(leaf)
            if name.startswith("bias_ih"):
                nn.init.ones_(gates[1])
    return lstm
