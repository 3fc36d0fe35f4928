"""Triton kernels of the input-feeding loop: a step's cells and attention, forward and backward.

Needs Triton, so it is imported only where the kernels are used (``triton_loop.py``). A program
handles one row of the batch at one step and leaves at once if the row's target has ended, after
writing the zeros that later products read. Widths are compile-time constants, powers of two divide
them: ``block`` columns at a time. Loads may have any floating type; arithmetic is in float32.

Letters: T steps, B rows, S slots, A attention width (``key_dim``), H hidden width, E word width,
Q columns of ``asked``: [query A; W_h h H; and 8 if the attention is gated, of which one is used].
``reach`` (B,) is one more than each row's last real slot, ``lengths`` (B,) its number of steps.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tanh(x, fast: tl.constexpr):
    """Hyperbolic tangent of float32; ``fast``: NVIDIA's approximation, off by up to 5e-4."""
    if fast:
        return tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    power = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - power) / (1.0 + power)
    return tl.where(x < 0.0, -size, size)


@triton.jit
def store_zeros(pointer, count, block: tl.constexpr):
    """Write ``count`` zeros."""
    for start in range(0, count, block):
        column = start + tl.arange(0, block)
        zero = tl.zeros((block,), tl.float32).to(pointer.dtype.element_ty)
        tl.store(pointer + column, zero, mask=column < count)


@triton.jit
def load_tile(matrix, slot, column, reach, width: tl.constexpr):
    """Rows ``slot`` before ``reach``, others 0, of a matrix (S, width), in float32."""
    places = matrix + slot[:, None] * width + column[None, :]
    return tl.load(places, mask=slot[:, None] < reach, other=0.0).to(tl.float32)


@triton.jit(do_not_specialize=["step"])
def lstm_forward(
    gates,
    cells,
    inputs,
    lengths,
    step,
    rows,
    word_dim: tl.constexpr,
    hidden_dim: tl.constexpr,
    block: tl.constexpr,
):
    """Apply the gates' nonlinearity in place; write the cell and the next step's hidden input.

    gates (T, B, 4H), cells (T + 1, B, H) float32, inputs (T + 1, B, E + 2H).
    """
    row = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * block + tl.arange(0, block)
    place = step * rows + row
    hidden = inputs + (place + rows + 1) * (word_dim + 2 * hidden_dim) - hidden_dim + unit
    if step >= tl.load(lengths + row):
        tl.store(hidden, tl.zeros((block,), tl.float32).to(inputs.dtype.element_ty))
        return
    gate = gates + place * 4 * hidden_dim + unit
    enter = tl.sigmoid(tl.load(gate).to(tl.float32))
    keep = tl.sigmoid(tl.load(gate + hidden_dim).to(tl.float32))
    candidate = tanh(tl.load(gate + 2 * hidden_dim).to(tl.float32), False)
    show = tl.sigmoid(tl.load(gate + 3 * hidden_dim).to(tl.float32))
    cell = keep * tl.load(cells + place * hidden_dim + unit) + enter * candidate
    tl.store(gate, enter.to(gates.dtype.element_ty))
    tl.store(gate + hidden_dim, keep.to(gates.dtype.element_ty))
    tl.store(gate + 2 * hidden_dim, candidate.to(gates.dtype.element_ty))
    tl.store(gate + 3 * hidden_dim, show.to(gates.dtype.element_ty))
    tl.store(cells + (place + rows) * hidden_dim + unit, cell)
    tl.store(hidden, (show * tanh(cell, False)).to(inputs.dtype.element_ty))


@triton.jit(do_not_specialize=["step"])
def lstm_backward(
    gates,
    cells,
    lengths,
    from_asked,
    d_inputs,
    d_cell,
    d_gates,
    step,
    rows,
    hidden_dim: tl.constexpr,
    block: tl.constexpr,
):
    """Write d_gates (T, B, 4H) before the nonlinearity; make d_cell the last cell's gradient.

    The gradient of the hidden state is from_asked (B, H) plus the second half of d_inputs (B, 2H).
    """
    row = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * block + tl.arange(0, block)
    place = step * rows + row
    d_gate = d_gates + place * 4 * hidden_dim + unit
    kind = d_gates.dtype.element_ty
    if step >= tl.load(lengths + row):
        zero = tl.zeros((block,), tl.float32).to(kind)
        for part in tl.static_range(4):
            tl.store(d_gate + part * hidden_dim, zero)
        return
    gate = gates + place * 4 * hidden_dim + unit
    enter = tl.load(gate).to(tl.float32)
    keep = tl.load(gate + hidden_dim).to(tl.float32)
    candidate = tl.load(gate + 2 * hidden_dim).to(tl.float32)
    show = tl.load(gate + 3 * hidden_dim).to(tl.float32)
    last_cell = tl.load(cells + place * hidden_dim + unit)
    squashed = tanh(tl.load(cells + (place + rows) * hidden_dim + unit), False)
    d_hidden = tl.load(from_asked + row * hidden_dim + unit).to(tl.float32)
    d_hidden += tl.load(d_inputs + (row * 2 + 1) * hidden_dim + unit).to(tl.float32)
    d_now = tl.load(d_cell + row * hidden_dim + unit)
    d_now += d_hidden * show * (1.0 - squashed * squashed)
    tl.store(d_gate, (d_now * candidate * enter * (1.0 - enter)).to(kind))
    tl.store(d_gate + hidden_dim, (d_now * last_cell * keep * (1.0 - keep)).to(kind))
    tl.store(d_gate + 2 * hidden_dim, (d_now * enter * (1.0 - candidate * candidate)).to(kind))
    tl.store(d_gate + 3 * hidden_dim, (d_hidden * squashed * show * (1.0 - show)).to(kind))
    tl.store(d_cell + row * hidden_dim + unit, d_now * keep)


@triton.jit(do_not_specialize=["step"])
def attend_forward(
    asked,
    keys,
    values,
    energy,
    bias,
    mask,
    reach,
    lengths,
    energies,
    weights,
    features,
    inputs,
    step,
    rows,
    slots,
    word_dim: tl.constexpr,
    hidden_dim: tl.constexpr,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    hidden_block: tl.constexpr,
    key_block: tl.constexpr,
    value_tile: tl.constexpr,
    key_tile: tl.constexpr,
    all_slots: tl.constexpr,
    fast: tl.constexpr,
):
    """Energies, softmax, context and feature of a step; the feature is the next step's input too.

    asked (T, B, Q), keys (B, S, A), values (B, S, H), energy (A,), bias (H,) or (H + 1,),
    mask (B, S); energies (B, S) passes numbers between the threads of a program; writes
    weights (T, B, S), features (T, B, H), inputs (T + 1, B, E + 2H).
    """
    row = tl.program_id(0).to(tl.int64)
    place = step * rows + row
    fed = inputs + (place + rows) * (word_dim + 2 * hidden_dim) + word_dim
    last = tl.load(reach + row)
    if step >= tl.load(lengths + row):
        store_zeros(weights + place * slots, slots, all_slots)
        store_zeros(features + place * hidden_dim, hidden_dim, hidden_block)
        store_zeros(fed, hidden_dim, hidden_block)
        return
    asked += place * asked_dim
    for start in range(0, last, key_tile):
        slot = start + tl.arange(0, key_tile)
        summed = tl.zeros((key_tile, key_block), tl.float32)
        for first in range(0, key_dim, key_block):
            column = first + tl.arange(0, key_block)
            query = tl.load(asked + column).to(tl.float32)
            key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
            summed += tanh(key + query[None, :], fast) * tl.load(energy + column)[None, :]
        tl.store(energies + row * slots + slot, tl.sum(summed, 1), mask=slot < last)
    tl.debug_barrier()
    every = tl.arange(0, all_slots)
    seen = tl.load(mask + row * slots + every, mask=every < last, other=0) != 0
    scores = tl.load(energies + row * slots + every, mask=seen, other=-float("inf"))
    top = tl.max(scores, 0)
    powers = tl.exp(scores - tl.where(top == -float("inf"), 0.0, top))
    total = tl.sum(powers, 0)
    powers = powers / tl.where(total == 0.0, 1.0, total)
    tl.store(weights + place * slots + every, powers, mask=every < slots)
    tl.debug_barrier()
    share = 1.0
    if asked_dim > key_dim + hidden_dim:
        share = tl.load(asked + key_dim + hidden_dim).to(tl.float32)
        share = tl.sigmoid(share + tl.load(bias + hidden_dim))
    for first in range(0, hidden_dim, hidden_block):
        unit = first + tl.arange(0, hidden_block)
        plain = tl.load(asked + key_dim + unit).to(tl.float32) + tl.load(bias + unit)
        summed = tl.zeros((value_tile, hidden_block), tl.float32)
        for start in range(0, last, value_tile):
            slot = start + tl.arange(0, value_tile)
            weight = tl.load(weights + place * slots + slot, mask=slot < last, other=0.0)
            value = load_tile(values + row * slots * hidden_dim, slot, unit, last, hidden_dim)
            summed += weight[:, None] * value
        feature = tanh(share * tl.sum(summed, 0) + plain, fast).to(features.dtype.element_ty)
        tl.store(features + place * hidden_dim + unit, feature)
        tl.store(fed + unit, feature)


@triton.jit
def sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim: tl.constexpr):
    """The gradient before the feature's tanh: from the output and from the next step's input."""
    feature = tl.load(features + place * hidden_dim + unit).to(tl.float32)
    d_feature = tl.load(d_features + place * hidden_dim + unit).to(tl.float32)
    d_feature += tl.load(d_inputs + row * 2 * hidden_dim + unit).to(tl.float32)
    return d_feature * (1.0 - feature * feature)


@triton.jit(do_not_specialize=["step"])
def attend_backward(
    asked,
    keys,
    values,
    energy,
    bias,
    reach,
    lengths,
    weights,
    features,
    d_features,
    d_weights,
    d_inputs,
    d_attended,
    d_asked,
    d_scores,
    shared,
    step,
    rows,
    slots,
    hidden_dim: tl.constexpr,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    hidden_block: tl.constexpr,
    key_block: tl.constexpr,
    value_tile: tl.constexpr,
    key_tile: tl.constexpr,
    all_slots: tl.constexpr,
    weighed: tl.constexpr,
    fast: tl.constexpr,
):
    """Gradients of a step's attention; ``weighed``: the weights have a gradient d_weights.

    Reads d_features (T, B, H), d_weights (T, B, S) and the first half of d_inputs (B, 2H);
    d_attended (B, S) passes numbers between the threads of a program; writes d_asked (T, B, Q),
    d_scores (T, B, S) and shared (T, B, S), the weights multiplied by the gate.
    """
    row = tl.program_id(0).to(tl.int64)
    place = step * rows + row
    kind = d_asked.dtype.element_ty
    last = tl.load(reach + row)
    if step >= tl.load(lengths + row):
        store_zeros(d_asked + place * asked_dim, asked_dim, hidden_block)
        store_zeros(d_scores + place * slots, slots, all_slots)
        store_zeros(shared + place * slots, slots, all_slots)
        return
    asked += place * asked_dim
    d_asked += place * asked_dim
    for first in range(0, hidden_dim, hidden_block):
        unit = first + tl.arange(0, hidden_block)
        d_sum = sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim)
        tl.store(d_asked + key_dim + unit, d_sum.to(kind))
    share = 1.0
    if asked_dim > key_dim + hidden_dim:
        share = tl.load(asked + key_dim + hidden_dim).to(tl.float32)
        share = tl.sigmoid(share + tl.load(bias + hidden_dim))
    d_share = 0.0
    total = 0.0
    for start in range(0, last, value_tile):
        slot = start + tl.arange(0, value_tile)
        summed = tl.zeros((value_tile, hidden_block), tl.float32)
        for first in range(0, hidden_dim, hidden_block):
            unit = first + tl.arange(0, hidden_block)
            d_sum = sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim)
            value = load_tile(values + row * slots * hidden_dim, slot, unit, last, hidden_dim)
            summed += value * d_sum[None, :]
        pulled = tl.sum(summed, 1)
        weight = tl.load(weights + place * slots + slot, mask=slot < last, other=0.0)
        d_share += tl.sum(weight * pulled, 0)
        pulled = share * pulled
        if weighed:
            pulled += tl.load(d_weights + place * slots + slot, mask=slot < last, other=0.0)
        total += tl.sum(weight * pulled, 0)
        tl.store(d_attended + row * slots + slot, pulled, mask=slot < last)
    if asked_dim > key_dim + hidden_dim:
        lane = tl.arange(0, 8)
        d_gate = tl.where(lane == 0, d_share * share * (1.0 - share), 0.0)
        tl.store(d_asked + key_dim + hidden_dim + lane, d_gate.to(kind))
    tl.debug_barrier()
    every = tl.arange(0, all_slots)
    weight = tl.load(weights + place * slots + every, mask=every < last, other=0.0)
    pulled = tl.load(d_attended + row * slots + every, mask=every < last, other=0.0)
    tl.store(d_scores + place * slots + every, weight * (pulled - total), mask=every < slots)
    tl.store(shared + place * slots + every, (weight * share).to(kind), mask=every < slots)
    tl.debug_barrier()
    for first in range(0, key_dim, key_block):
        column = first + tl.arange(0, key_block)
        query = tl.load(asked + column).to(tl.float32)
        summed = tl.zeros((key_tile, key_block), tl.float32)
        for start in range(0, last, key_tile):
            slot = start + tl.arange(0, key_tile)
            d_score = tl.load(d_scores + place * slots + slot, mask=slot < last, other=0.0)
            key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
            squashed = tanh(key + query[None, :], fast)
            summed += d_score[:, None] * (1.0 - squashed * squashed)
        d_query = tl.sum(summed, 0) * tl.load(energy + column)
        tl.store(d_asked + column, d_query.to(kind))


@triton.jit
def keys_backward(
    asked,
    keys,
    energy,
    reach,
    lengths,
    d_scores,
    d_keys,
    d_energy,
    rows,
    slots,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    block: tl.constexpr,
    tile: tl.constexpr,
    fast: tl.constexpr,
):
    """After the last step, sum over the steps: d_keys (B, S, A), d_energy (B, tiles of S, A)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    slot = tl.program_id(2) * tile + tl.arange(0, tile)
    last = tl.load(reach + row)
    key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
    sloped = tl.zeros((tile, block), tl.float32)
    raised = tl.zeros((tile, block), tl.float32)
    steps = tl.where(tl.program_id(2) * tile < last, tl.load(lengths + row), 0)
    for step in range(steps):
        place = step * rows + row
        query = tl.load(asked + place * asked_dim + column).to(tl.float32)
        d_score = tl.load(d_scores + place * slots + slot, mask=slot < last, other=0.0)
        squashed = tanh(key + query[None, :], fast)
        sloped += d_score[:, None] * (1.0 - squashed * squashed)
        raised += d_score[:, None] * squashed
    d_key = (sloped * tl.load(energy + column)[None, :]).to(d_keys.dtype.element_ty)
    places = d_keys + (row * slots + slot[:, None]) * key_dim + column[None, :]
    tl.store(places, d_key, mask=slot[:, None] < slots)
    part = row * tl.num_programs(2) + tl.program_id(2)
    tl.store(d_energy + part * key_dim + column, tl.sum(raised, 0))
