"""Triton kernels of the input-feeding loop: a step of the cell and of the attention.

Needs Triton, so it is imported only where the kernels are used (``steps.py``). A program handles a
row of the batch at one step and leaves at once if the row's target has ended, after writing the
zeros that later products read. Widths are known when a kernel is compiled. Loads may have any
floating type; arithmetic is in float32.

Attention has two halves, and a program may do both. If rows are few, each half is a launch of its
own, with several programs a row that share out slots in the first half and columns in the second.
A half reads its matrix in tiles of ``tile`` slots by ``block`` columns, ``second_blocks`` of them.

With a location feature U f, ``responses`` (T, B, S', K) hold the filters' outputs f, ``feature``
(K, A) is U transposed and ``looked`` (T + 1, B, S') the previous weights in the products' type.
K is a multiple of 16, S' is S rounded up to 8. Without one, K is 0 and nothing reads the three.

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
def load_part(vector, place, count):
    """Numbers of a vector at ``place``, 0 from ``count`` on, in float32."""
    return tl.load(vector + place, mask=place < count, other=0.0).to(tl.float32)


@triton.jit
def load_tile(matrix, slot, column, slots, width: tl.constexpr):
    """Rows ``slot`` and columns ``column`` of a matrix (slots, width), 0 outside, in float32."""
    places = matrix + slot[:, None] * width + column[None, :]
    inside = (slot[:, None] < slots) & (column[None, :] < width)
    return tl.load(places, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def squashed_sum(
    key,
    asked,
    feature,
    responses,
    slot,
    column,
    last,
    key_dim: tl.constexpr,
    filters: tl.constexpr,
    fast: tl.constexpr,
):
    """tanh(k + q + U f) of a tile of keys k (slots, columns) of one row."""
    joined = key + load_part(asked, column, key_dim)[None, :]
    if filters > 0:
        lane = tl.arange(0, filters)
        response = load_tile(responses, slot, lane, last, filters)
        weight = load_tile(feature, lane, column, filters, key_dim)
        kind = responses.dtype.element_ty
        joined += tl.dot(response.to(kind), weight.to(kind), input_precision="ieee")
    return tanh(joined, fast)


@triton.jit
def real_energies(energies, mask, slot, last):
    """A row's energies, minus infinity where the slot is not real."""
    seen = tl.load(mask + slot, mask=slot < last, other=0) != 0
    return tl.load(energies + slot, mask=seen, other=-float("inf"))


@triton.jit
def gate_of(asked, bias, key_dim: tl.constexpr, hidden_dim: tl.constexpr, asked_dim: tl.constexpr):
    """The gate of a row's context, 1 if the attention is not gated."""
    gate = 1.0
    if asked_dim > key_dim + hidden_dim:
        drawn = tl.load(asked + key_dim + hidden_dim).to(tl.float32)
        gate = tl.sigmoid(drawn + tl.load(bias + hidden_dim))
    return gate


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
    feature,
    responses,
    energies,
    weights,
    looked,
    features,
    inputs,
    step,
    rows,
    slots,
    padded_slots,
    word_dim: tl.constexpr,
    hidden_dim: tl.constexpr,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    filters: tl.constexpr,
    first_block: tl.constexpr,
    first_tile: tl.constexpr,
    second_block: tl.constexpr,
    second_blocks: tl.constexpr,
    second_tile: tl.constexpr,
    all_slots: tl.constexpr,
    first_half: tl.constexpr,
    second_half: tl.constexpr,
    fast: tl.constexpr,
):
    """Energies; then softmax, context and the feature, which is the next step's input too.

    asked (T, B, Q), keys (B, S, A), values (B, S, H), energy (A,), bias (H,) or (H + 1,),
    mask (B, S); energies (B, S) passes numbers from the first half to the second, which writes
    weights (T, B, S), looked, features (T, B, H), inputs (T + 1, B, E + 2H).
    """
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    place = step * rows + row
    fed = inputs + (place + rows) * (word_dim + 2 * hidden_dim) + word_dim
    last = tl.load(reach + row)
    if step >= tl.load(lengths + row):
        if second_half and part == 0:
            store_zeros(weights + place * slots, slots, all_slots)
            store_zeros(features + place * hidden_dim, hidden_dim, second_block)
            store_zeros(fed, hidden_dim, second_block)
            if filters > 0:
                store_zeros(looked + (place + rows) * padded_slots, padded_slots, all_slots)
        return
    asked += place * asked_dim
    energies += row * slots
    if first_half:
        responses += place * padded_slots * filters
        for start in range(part * first_tile, last, tl.num_programs(1) * first_tile):
            slot = start + tl.arange(0, first_tile)
            summed = tl.zeros((first_tile, first_block), tl.float32)
            for first in tl.static_range(0, key_dim, first_block):
                column = first + tl.arange(0, first_block)
                key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
                squashed = squashed_sum(
                    key, asked, feature, responses, slot, column, last, key_dim, filters, fast
                )
                summed += squashed * load_part(energy, column, key_dim)[None, :]
            tl.store(energies + slot, tl.sum(summed, 1), mask=slot < last)
    if first_half and second_half:
        tl.debug_barrier()
    if second_half:
        mask += row * slots
        every = tl.arange(0, all_slots)
        scores = real_energies(energies, mask, every, last)
        top = tl.max(scores, 0)
        top = tl.where(top == -float("inf"), 0.0, top)
        powers = tl.exp(scores - top)
        total = tl.sum(powers, 0)
        total = tl.where(total == 0.0, 1.0, total)
        if part == 0:
            tl.store(weights + place * slots + every, powers / total, mask=every < slots)
            if filters > 0:
                kept = (powers / total).to(looked.dtype.element_ty)
                before = looked + (place + rows) * padded_slots
                tl.store(before + every, kept, mask=every < padded_slots)
        gate = gate_of(asked, bias, key_dim, hidden_dim, asked_dim)
        for index in tl.static_range(second_blocks):
            unit = (part * second_blocks + index) * second_block + tl.arange(0, second_block)
            plain = load_part(asked + key_dim, unit, hidden_dim) + load_part(bias, unit, hidden_dim)
            summed = tl.zeros((second_tile, second_block), tl.float32)
            for start in range(0, last, second_tile):
                slot = start + tl.arange(0, second_tile)
                weight = tl.exp(real_energies(energies, mask, slot, last) - top) / total
                value = load_tile(values + row * slots * hidden_dim, slot, unit, last, hidden_dim)
                summed += weight[:, None] * value
            made = tanh(gate * tl.sum(summed, 0) + plain, fast).to(features.dtype.element_ty)
            tl.store(features + place * hidden_dim + unit, made, mask=unit < hidden_dim)
            tl.store(fed + unit, made, mask=unit < hidden_dim)
