"""The steps of the Triton loop: the tensors that the kernels share and the order of launches.

Letters: T steps, B rows, S slots, E word width, H hidden, A attention width, K filters,
Q columns of ``asked``, as in ``loop.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multiattn.engine.fast.gpu import gradients, kernels
from multiattn.engine.fast.gpu.shapes import KEYS_BLOCK, KEYS_TILE, Shape, block_of, toeplitz


class Tape(NamedTuple):
    """What the kernels read and write, and the backward needs again.

    inputs (T + 1, B, E + 2H) [word; fed; hidden], gates (T, B, 4H) after their nonlinearity,
    cells (T + 1, B, H), asked (T, B, Q), features (T, B, H), weights (T, B, S). The last four
    belong to location: see ``kernels.py``; without it they stand for nothing.
    """

    keys: Tensor
    values: Tensor
    gate_weight: Tensor
    query_weight: Tensor
    bias: Tensor
    energy: Tensor
    mask: Tensor
    reach: Tensor
    lengths: Tensor
    inputs: Tensor
    gates: Tensor
    cells: Tensor
    asked: Tensor
    features: Tensor
    weights: Tensor
    feature: Tensor
    convolution: Tensor
    looked: Tensor
    responses: Tensor


def location_tape(
    shape: Shape, keys: Tensor, mask: Tensor, convolution: Tensor | None, feature: Tensor | None
) -> tuple[Tensor, ...]:
    """The tape's part for location; the weights before the first step are uniform."""
    if convolution is None or feature is None:
        return keys, keys, keys, keys
    steps, rows, slots, padded = shape.steps, shape.rows, shape.slots, shape.padded_slots
    transposed = keys.new_zeros(shape.filters, shape.key_dim)
    transposed[: feature.size(1)] = feature.t()
    looked = keys.new_empty(steps + 1, rows, padded)
    looked[0, :, :slots] = mask / mask.sum(1, keepdim=True).clamp(min=1)
    looked[0, :, slots:] = 0
    return (
        transposed,
        toeplitz(convolution.to(keys.dtype), padded, shape.filters),
        looked,
        keys.new_empty(steps, rows, padded, shape.filters),
    )


def run_forward(shape: Shape, tape: Tape) -> None:
    """Fill the tape step by step."""
    rows, word_dim, hidden_dim = shape.rows, shape.word_dim, shape.hidden_dim
    block = shape.cell_block
    halves = shape.halves(shape.key_dim, hidden_dim)
    energies = tape.weights.new_empty(rows, shape.slots)
    from_inputs, from_hidden = tape.gate_weight[:, word_dim:].t(), tape.query_weight.t()
    for step in range(shape.steps):
        tape.gates[step].addmm_(tape.inputs[step, :, word_dim:], from_inputs)
        kernels.lstm_forward[rows, hidden_dim // block](
            *(tape.gates, tape.cells, tape.inputs, tape.lengths),
            *(step, rows, word_dim, hidden_dim, block),
            num_warps=max(1, block // 64),
        )
        torch.mm(tape.inputs[step + 1, :, -hidden_dim:], from_hidden, out=tape.asked[step])
        if shape.filters:
            out = tape.responses[step].view(rows, -1)
            torch.mm(tape.looked[step], tape.convolution, out=out)
        for programs, cuts in halves:
            kernels.attend_forward[rows, programs](
                *(tape.asked, tape.keys, tape.values, tape.energy, tape.bias, tape.mask),
                *(tape.reach, tape.lengths, tape.feature, tape.responses, energies),
                *(tape.weights, tape.looked, tape.features, tape.inputs),
                *(step, rows, shape.slots, shape.padded_slots),
                **shape.widths("word_dim", "hidden_dim"),
                **cuts,
            )


class Pull(NamedTuple):
    """Gradients that the backward fills step by step, named as in ``Tape``.

    inputs (B, 2H) and cell (B, H) hold those of the step before; ``shared`` (T, B, S) are the
    weights times the gate, whose product with the sums' gradients is that of the values.
    """

    inputs: Tensor
    cell: Tensor
    gates: Tensor
    asked: Tensor
    scores: Tensor
    shared: Tensor
    responses: Tensor


def run_backward(
    shape: Shape, tape: Tape, d_features: Tensor | None, d_weights: Tensor | None
) -> Pull:
    """Gradients of everything inside the loop, last step first."""
    rows, slots, hidden_dim, block = shape.rows, shape.slots, shape.hidden_dim, shape.cell_block
    sizes = rows, slots, shape.padded_slots
    halves = shape.halves(hidden_dim, shape.key_dim)
    pull = Pull(
        tape.asked.new_zeros(rows, 2 * hidden_dim),
        torch.zeros_like(tape.cells[0]),
        torch.empty_like(tape.gates),
        torch.empty_like(tape.asked),
        torch.empty_like(tape.weights),
        tape.asked.new_empty(shape.steps, rows, slots),
        torch.empty_like(tape.responses) if shape.filters else tape.responses,
    )
    d_features = torch.zeros_like(tape.features) if d_features is None else d_features.contiguous()
    given = tape.weights if d_weights is None else d_weights.contiguous()
    d_looked = tape.asked.new_zeros(rows, shape.padded_slots)
    d_attended = tape.weights.new_empty(rows, slots)
    from_asked = tape.asked.new_empty(rows, hidden_dim)
    read_by_all = (tape.reach, tape.lengths, tape.feature, tape.responses)
    for step in range(shape.steps - 1, -1, -1):
        for programs, cuts in halves:
            gradients.attend_backward[rows, programs](
                *(tape.asked, tape.keys, tape.values, tape.energy, tape.bias),
                *(*read_by_all, tape.weights, tape.features, d_features, given),
                *(d_looked, pull.inputs, d_attended, pull.asked, pull.scores, pull.shared),
                *(step, *sizes),
                **shape.widths("hidden_dim"),
                **cuts,
                weighed=d_weights is not None,
            )
        if shape.filters:
            gradients.location_backward[rows, -(-shape.padded_slots // 32)](
                *(tape.asked, tape.keys, tape.energy, *read_by_all),
                *(pull.scores, pull.responses, step, *sizes),
                **shape.widths(),
                block=block_of(shape.key_dim, 128),
                tile=32,
                fast=shape.fast,
            )
            torch.mm(pull.responses[step].view(rows, -1), tape.convolution.t(), out=d_looked)
        torch.mm(pull.asked[step], tape.query_weight, out=from_asked)
        kernels.lstm_backward[rows, hidden_dim // block](
            *(tape.gates, tape.cells, tape.lengths, from_asked),
            *(pull.inputs, pull.cell, pull.gates, step, rows, hidden_dim, block),
            num_warps=max(1, block // 64),
        )
        torch.mm(pull.gates[step], tape.gate_weight[:, shape.word_dim :], out=pull.inputs)
    return pull


def keys_gradient(shape: Shape, tape: Tape, pull: Pull) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of keys (B, S, A), energy (A,) and feature (K, A), summed over the steps."""
    block, tile = block_of(shape.key_dim, KEYS_BLOCK), min(KEYS_TILE, shape.all_slots)
    tiles = -(-shape.slots // tile)
    d_keys = torch.empty_like(tape.keys)
    d_energy = tape.energy.new_empty(shape.rows, tiles, shape.key_dim)
    d_feature = tape.energy.new_empty(shape.rows, tiles, shape.filters, shape.key_dim)
    gradients.keys_backward[shape.rows, -(-shape.key_dim // block), tiles](
        *(tape.asked, tape.keys, tape.energy, tape.reach, tape.lengths, tape.feature),
        *(tape.responses, pull.scores, d_keys, d_energy, d_feature),
        *(shape.rows, shape.slots, shape.padded_slots),
        **shape.widths(),
        block=block,
        tile=tile,
        fast=shape.fast,
    )
    return d_keys, d_energy.sum((0, 1)), d_feature.sum((0, 1))
