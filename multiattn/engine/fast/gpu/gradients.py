"""Triton kernels of the input-feeding loop, backward; letters and rules as in ``kernels.py``.

Nothing of size (T, B, S, A) was kept, so each kernel that needs tanh(k + q) computes it again.
"""

from __future__ import annotations

import triton
import triton.language as tl

from multiattn.engine.fast.gpu.kernels import (
    gate_of,
    load_part,
    load_tile,
    squashed_sum,
    store_zeros,
)


@triton.jit
def sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim: tl.constexpr):
    """The gradient before the feature's tanh: from the output and from the next step's input."""
    feature = load_part(features + place * hidden_dim, unit, hidden_dim)
    d_feature = load_part(d_features + place * hidden_dim, unit, hidden_dim)
    d_feature += load_part(d_inputs + row * 2 * hidden_dim, unit, hidden_dim)
    return d_feature * (1.0 - feature * feature)


@triton.jit
def weight_gradient(
    d_attended,
    d_weights,
    d_looked,
    slot,
    last,
    weighed: tl.constexpr,
    filters: tl.constexpr,
):
    """The gradient of a row's weights: from the context, the output and the next step."""
    d_weight = load_part(d_attended, slot, last)
    if weighed:
        d_weight += load_part(d_weights, slot, last)
    if filters > 0:
        d_weight += load_part(d_looked, slot, last)
    return d_weight


@triton.jit(do_not_specialize=["step"])
def attend_backward(
    asked,
    keys,
    values,
    energy,
    bias,
    reach,
    lengths,
    feature,
    responses,
    weights,
    features,
    d_features,
    d_weights,
    d_looked,
    d_inputs,
    d_attended,
    d_asked,
    d_scores,
    shared,
    step,
    rows,
    slots,
    padded_slots,
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
    weighed: tl.constexpr,
    fast: tl.constexpr,
):
    """Gradients of a step's sums and weights; then of its scores, gate and query.

    Reads d_features (T, B, H), d_weights (T, B, S) if ``weighed``, d_looked (B, S') and the first
    half of d_inputs (B, 2H); d_attended (B, S) passes numbers from the first half to the second;
    writes d_asked (T, B, Q), d_scores (T, B, S) and shared (T, B, S), the weights times the gate.
    """
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    place = step * rows + row
    kind = d_asked.dtype.element_ty
    last = tl.load(reach + row)
    if step >= tl.load(lengths + row):
        if second_half and part == 0:
            store_zeros(d_asked + place * asked_dim, asked_dim, first_block)
            store_zeros(d_scores + place * slots, slots, all_slots)
            store_zeros(shared + place * slots, slots, all_slots)
        return
    asked += place * asked_dim
    d_asked += place * asked_dim
    weights += place * slots
    d_attended += row * slots
    gate = gate_of(asked, bias, key_dim, hidden_dim, asked_dim)
    if first_half:
        if part == 0:
            for first in tl.static_range(0, hidden_dim, first_block):
                unit = first + tl.arange(0, first_block)
                d_sum = sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim)
                tl.store(d_asked + key_dim + unit, d_sum.to(kind), mask=unit < hidden_dim)
        for start in range(part * first_tile, last, tl.num_programs(1) * first_tile):
            slot = start + tl.arange(0, first_tile)
            summed = tl.zeros((first_tile, first_block), tl.float32)
            for first in tl.static_range(0, hidden_dim, first_block):
                unit = first + tl.arange(0, first_block)
                d_sum = sum_gradient(features, d_features, d_inputs, place, row, unit, hidden_dim)
                value = load_tile(values + row * slots * hidden_dim, slot, unit, last, hidden_dim)
                summed += value * d_sum[None, :]
            tl.store(d_attended + slot, gate * tl.sum(summed, 1), mask=slot < last)
    if first_half and second_half:
        tl.debug_barrier()
    if second_half:
        d_weights += place * slots
        d_looked += row * padded_slots
        every = tl.arange(0, all_slots)
        weight = load_part(weights, every, last)
        pulled = weight_gradient(d_attended, d_weights, d_looked, every, last, weighed, filters)
        total = tl.sum(weight * pulled, 0)
        if part == 0:
            scored = weight * (pulled - total)
            tl.store(d_scores + place * slots + every, scored, mask=every < slots)
            tl.store(shared + place * slots + every, (weight * gate).to(kind), mask=every < slots)
            if asked_dim > key_dim + hidden_dim:
                attended = tl.sum(weight * load_part(d_attended, every, last), 0)
                lane = tl.arange(0, 8)
                d_gate = tl.where(lane == 0, attended * (1.0 - gate), 0.0)
                tl.store(d_asked + key_dim + hidden_dim + lane, d_gate.to(kind))
        responses += place * padded_slots * filters
        for index in tl.static_range(second_blocks):
            column = (part * second_blocks + index) * second_block + tl.arange(0, second_block)
            summed = tl.zeros((second_tile, second_block), tl.float32)
            for start in range(0, last, second_tile):
                slot = start + tl.arange(0, second_tile)
                d_weight = weight_gradient(
                    d_attended, d_weights, d_looked, slot, last, weighed, filters
                )
                d_score = load_part(weights, slot, last) * (d_weight - total)
                key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
                squashed = squashed_sum(
                    key, asked, feature, responses, slot, column, last, key_dim, filters, fast
                )
                summed += d_score[:, None] * (1.0 - squashed * squashed)
            d_query = tl.sum(summed, 0) * load_part(energy, column, key_dim)
            tl.store(d_asked + column, d_query.to(kind), mask=column < key_dim)


@triton.jit(do_not_specialize=["step"])
def location_backward(
    asked,
    keys,
    energy,
    reach,
    lengths,
    feature,
    responses,
    d_scores,
    d_responses,
    step,
    rows,
    slots,
    padded_slots,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    filters: tl.constexpr,
    block: tl.constexpr,
    tile: tl.constexpr,
    fast: tl.constexpr,
):
    """The gradient of a step's responses from that of its scores: d_responses (T, B, S', K)."""
    row = tl.program_id(0).to(tl.int64)
    slot = tl.program_id(1) * tile + tl.arange(0, tile)
    lane = tl.arange(0, filters)
    place = step * rows + row
    kind = d_responses.dtype.element_ty
    last = tl.load(reach + row)
    last = tl.where(step < tl.load(lengths + row), last, 0)
    responses += place * padded_slots * filters
    d_score = load_part(d_scores + place * slots, slot, last)
    d_response = tl.zeros((tile, filters), tl.float32)
    if tl.program_id(1) * tile < last:
        for first in tl.static_range(0, key_dim, block):
            column = first + tl.arange(0, block)
            key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
            squashed = squashed_sum(
                key,
                asked + place * asked_dim,
                feature,
                responses,
                slot,
                column,
                last,
                key_dim,
                filters,
                fast,
            )
            slope = d_score[:, None] * (1.0 - squashed * squashed)
            slope *= load_part(energy, column, key_dim)[None, :]
            weight = load_tile(feature, lane, column, filters, key_dim).to(kind)
            d_response += tl.dot(slope.to(kind), tl.trans(weight), input_precision="ieee")
    places = d_responses + (place * padded_slots + slot[:, None]) * filters + lane[None, :]
    tl.store(places, d_response.to(kind), mask=slot[:, None] < padded_slots)


@triton.jit
def keys_backward(
    asked,
    keys,
    energy,
    reach,
    lengths,
    feature,
    responses,
    d_scores,
    d_keys,
    d_energy,
    d_feature,
    rows,
    slots,
    padded_slots,
    key_dim: tl.constexpr,
    asked_dim: tl.constexpr,
    filters: tl.constexpr,
    block: tl.constexpr,
    tile: tl.constexpr,
    fast: tl.constexpr,
):
    """After the last step: gradients of what the scores are made of, summed over the steps.

    Writes d_keys (B, S, A) and, per tile of slots, d_energy (B, tiles, A) and d_feature
    (B, tiles, K, A).
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    slot = tl.program_id(2) * tile + tl.arange(0, tile)
    last = tl.load(reach + row)
    key = load_tile(keys + row * slots * key_dim, slot, column, last, key_dim)
    sloped = tl.zeros((tile, block), tl.float32)
    raised = tl.zeros((tile, block), tl.float32)
    steps = tl.where(tl.program_id(2) * tile < last, tl.load(lengths + row), 0)
    if filters > 0:
        lane = tl.arange(0, filters)
        pulled = tl.zeros((filters, block), tl.float32)
    for step in range(steps):
        place = step * rows + row
        answered = responses + place * padded_slots * filters
        squashed = squashed_sum(
            key,
            asked + place * asked_dim,
            feature,
            answered,
            slot,
            column,
            last,
            key_dim,
            filters,
            fast,
        )
        d_score = load_part(d_scores + place * slots, slot, last)
        slope = d_score[:, None] * (1.0 - squashed * squashed)
        sloped += slope
        raised += d_score[:, None] * squashed
        if filters > 0:
            kind = responses.dtype.element_ty
            response = load_tile(answered, slot, lane, last, filters).to(kind)
            pulled += tl.dot(tl.trans(response), slope.to(kind), input_precision="ieee")
    scale = load_part(energy, column, key_dim)[None, :]
    places = d_keys + (row * slots + slot[:, None]) * key_dim + column[None, :]
    inside = (slot[:, None] < slots) & (column[None, :] < key_dim)
    tl.store(places, (sloped * scale).to(d_keys.dtype.element_ty), mask=inside)
    tile_number = row * tl.num_programs(2) + tl.program_id(2)
    tl.store(d_energy + tile_number * key_dim + column, tl.sum(raised, 0), mask=column < key_dim)
    if filters > 0:
        places = d_feature + (tile_number * filters + lane[:, None]) * key_dim + column[None, :]
        tl.store(places, pulled * scale, mask=column[None, :] < key_dim)
