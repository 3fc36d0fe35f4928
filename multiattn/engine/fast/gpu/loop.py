"""Input feeding over additive attention on a GPU, as one autograd function of Triton kernels.

The reference is ``InputFeeding`` over ``Additive``, or over ``Location`` of it, ``Gated`` or not,
in the padded layout: time first, rows in any order. As in ``input_feeding.py``, the words' part of
the gates is one product over all steps and so is each weight's gradient; nothing of size
(T, B, S, A) is kept. A step is two products and two kernels, forward and backward; with location,
whose convolution is a product too, one and two more. No value is read back and no shape depends on
one, so that a CUDA graph can hold the whole loop.

Under autocast the factors of products are rounded to its dtype, once per call; sums, softmax and
cells are in float32, and NVIDIA's approximation of tanh serves where its error is below the
dtype's own.

Letters: T steps, B rows, S slots, E word width, H hidden, A attention width, K filters,
Q columns of ``asked``: the query (A), W_h h (H) and, if the attention is gated, 8 of which the
first is used, so that rows stay aligned.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from multiattn.engine.attention import Additive, Keys
from multiattn.engine.attention_wrappers import Location, without_gate
from multiattn.engine.fast.gpu.shapes import Shape, convolution_gradient, reach_of
from multiattn.engine.fast.input_feeding import has_one_attention
from multiattn.engine.recurrence import InputFeeding, State

GATE_COLUMNS = 8
LARGEST_CONVOLUTION = 2**27  # numbers of its matrix (S, S · K)
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)


def applies(recurrence: Any, keys: Any) -> bool:
    """Whether this path applies: one layer, one known source, widths of 16, a device for it."""
    if not has_one_attention(recurrence):
        return False
    ((source, attention),) = recurrence.fusion.attentions.items()
    attention, memory = without_gate(attention), keys.sources[source]
    if type(attention) is Location:
        filters = filters_of(attention.feature.weight)
        if attention.window and not attention.training:
            return False
        if filters > 64 or memory.keys.size(1) ** 2 * filters > LARGEST_CONVOLUTION:
            return False
        attention = attention.content
    return bool(
        type(attention) is Additive
        and memory.keys.dtype in PRECISIONS
        and memory.keys.size(2) % 16 == 0
        and memory.values.size(2) % 16 == 0
        and triton_works(memory.keys.device)
    )


@functools.cache
def triton_works(device: torch.device) -> bool:
    """Whether Triton is there and runs a kernel on this device; warns if it should but does not."""
    if importlib.util.find_spec("triton") is None:
        return False
    if os.environ.get("TRITON_INTERPRET") != "1" and (
        device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0)
    ):
        return False
    try:
        from multiattn.engine.fast.gpu import kernels

        small = torch.zeros(2, 64, device=device)
        lengths = torch.ones(1, dtype=torch.int32, device=device)
        kernels.lstm_forward[1, 1](small, small, small, lengths, 0, 1, 16, 16, 16)
    except Exception as error:
        warnings.warn(
            f"expected Triton to run a kernel on {device}, got {type(error).__name__}: {error}; "
            "training goes on without it, slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def filters_of(feature: Tensor | None) -> int:
    """The filters of a location feature (A, K) rounded up to 16, 32, …; 0 without one."""
    return 0 if feature is None else max(16, 1 << (feature.size(1) - 1).bit_length())


def unroll(
    recurrence: InputFeeding, embedded: Tensor, lengths: Tensor, state: State, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """Embedded (T, B, E), lengths (B,) -> features (T, B, H), weights (T, B, S) per source.

    A row has ``lengths[b]`` steps, perhaps none; both are 0 from there on, without a gradient.
    """
    ((source, attention),) = recurrence.fusion.attentions.items()
    memory: Keys = keys.sources[source]
    cell: Any = recurrence.cell.cells[0]
    device = embedded.device.type
    precision = embedded.dtype
    if torch.is_autocast_enabled(device):
        precision = torch.get_autocast_dtype(device)
    content = without_gate(attention)
    location: tuple[Tensor | None, ...] = (None, None)
    if type(content) is Location:
        location = content.convolution.weight, content.feature.weight
        content = content.content
    maps = [content.query.weight, recurrence.from_hidden.weight]
    bias: Tensor = recurrence.from_hidden.bias
    if attention is not without_gate(attention):
        unused = bias.new_zeros(GATE_COLUMNS - 1, len(bias))
        maps += [attention.gate.weight, unused]
        bias = torch.cat([bias, attention.gate.bias])
    ((hidden, cell_state),) = state.layers
    with torch.autocast(device, enabled=False):
        features, weights = TritonLoop.apply(  # type: ignore[no-untyped-call]
            embedded,
            memory.keys.to(precision),
            memory.values.to(precision),
            *(leaf.squeeze(1) for leaf in (hidden, cell_state, state.fed)),  # type: ignore[union-attr]
            torch.cat([cell.weight_ih, cell.weight_hh], 1).to(precision),  # (4H, E + 2H)
            cell.bias_ih + cell.bias_hh,
            torch.cat(maps).to(precision),  # (Q, H)
            bias.float(),
            content.energy.float(),
            *location,
            memory.mask,
            lengths,
        )
    return features, {source: weights}


class TritonLoop(torch.autograd.Function):
    """Features (T, B, H), weights (T, B, S) of the whole loop. Luong et al. 2015, section 3.3."""

    @staticmethod
    def forward(
        ctx: Any,
        embedded: Tensor,
        keys: Tensor,
        values: Tensor,
        hidden: Tensor,
        cell: Tensor,
        fed: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor,
        query_weight: Tensor,
        bias: Tensor,
        energy: Tensor,
        convolution: Tensor | None,
        feature: Tensor | None,
        mask: Tensor,
        lengths: Tensor,
    ) -> tuple[Tensor, Tensor]:
        from multiattn.engine.fast.gpu import steps as loop

        steps, rows, word_dim = embedded.shape
        asked_dim, hidden_dim = query_weight.shape
        half = keys.dtype in (torch.bfloat16, torch.float16)
        shape = Shape(
            *(steps, rows, keys.size(1), word_dim, hidden_dim, keys.size(2), asked_dim),
            filters_of(feature),
            fast=half and keys.is_cuda and torch.version.hip is None,
        )
        inputs = keys.new_empty(steps + 1, rows, word_dim + 2 * hidden_dim)
        inputs[:steps, :, :word_dim] = embedded
        inputs[0, :, word_dim:-hidden_dim] = fed
        inputs[0, :, -hidden_dim:] = hidden
        cells = energy.new_empty(steps + 1, rows, hidden_dim)
        cells[0] = cell
        words = inputs[:steps, :, :word_dim].flatten(0, 1)
        gates = torch.addmm(gate_bias.to(keys.dtype), words, gate_weight[:, :word_dim].t())
        tape = loop.Tape(
            *(keys.contiguous(), values.contiguous(), gate_weight, query_weight, bias, energy),
            *(mask.contiguous(), reach_of(mask), lengths.int(), inputs),
            *(gates.view(steps, rows, -1), cells, keys.new_empty(steps, rows, asked_dim)),
            keys.new_empty(steps, rows, hidden_dim),
            energy.new_empty(steps, rows, shape.slots),
            *loop.location_tape(shape, keys, mask, convolution, feature),
        )
        loop.run_forward(shape, tape)
        ctx.save_for_backward(*tape, convolution, feature)
        ctx.shape, ctx.kinds = shape, [leaf.dtype for leaf in (embedded, hidden, cell, fed)]
        ctx.set_materialize_grads(False)
        return tape.features, tape.weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_features: Tensor | None, d_weights: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        from multiattn.engine.fast.gpu import steps as loop

        *saved, convolution, feature = ctx.saved_tensors
        shape, tape = ctx.shape, loop.Tape(*saved)
        pull = loop.run_backward(shape, tape, d_features, d_weights)
        hidden_dim, word_dim, key_dim = shape.hidden_dim, shape.word_dim, shape.key_dim
        d_sums = pull.asked[:, :, key_dim : key_dim + hidden_dim]
        d_keys, d_energy, d_feature = loop.keys_gradient(shape, tape, pull)
        d_gates, d_asked = pull.gates.flatten(0, 1), pull.asked.flatten(0, 1)
        words, hiddens = tape.inputs[:-1].flatten(0, 1), tape.inputs[1:].flatten(0, 1)
        d_embedded = None
        if ctx.needs_input_grad[0]:
            d_embedded = (d_gates @ tape.gate_weight[:, :word_dim]).to(ctx.kinds[0])
            d_embedded = d_embedded.view(shape.steps, shape.rows, word_dim)
        d_convolution = None
        if convolution is not None:
            looked, responses = tape.looked[:-1].flatten(0, 1), pull.responses.flatten(0, 1)
            d_convolution = convolution_gradient(looked.t() @ responses.flatten(1), convolution)
        return (
            d_embedded,
            d_keys,
            torch.bmm(pull.shared.permute(1, 2, 0), d_sums.transpose(0, 1)),  # (B, S, H)
            pull.inputs[:, hidden_dim:].to(ctx.kinds[1]),
            pull.cell.to(ctx.kinds[2]),
            pull.inputs[:, :hidden_dim].to(ctx.kinds[3]),
            d_gates.t() @ words,
            d_gates.sum(0, dtype=torch.float32),
            d_asked.t() @ hiddens[:, -hidden_dim:],
            d_asked.sum(0, dtype=torch.float32)[key_dim : key_dim + len(tape.bias)],
            d_energy,
            d_convolution,
            None if feature is None else d_feature.t()[:, : feature.size(1)].to(feature.dtype),
            None,
            None,
        )
