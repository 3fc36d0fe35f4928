"""Input feeding over additive attention on a GPU, as one autograd function of Triton kernels.

The reference is ``InputFeeding`` over ``Additive``, ``Gated`` or not, in the padded layout: time
first, rows in any order. As in ``input_feeding.py``, the words' part of the gates is one product
over all steps and so is each weight's gradient; nothing of size (T, B, S, A) is kept. A step is two
products and two kernels, forward and backward (``triton_kernels.py``). No value is read back and no
shape depends on one, so that a CUDA graph can hold the whole loop.

Under autocast the factors of products are rounded to its dtype, once per call; sums, softmax and
cells are in float32, and NVIDIA's approximation of tanh serves where its error is below the
dtype's own.

Letters: T steps, B rows, S slots, E word width, H hidden, A attention width, Q columns of
``asked``: the query (A), W_h h (H) and, if the attention is gated, 8 of which the first is used, so
that rows stay aligned.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from multiattn.engine.attention import Additive, Keys
from multiattn.engine.attention_wrappers import without_gate
from multiattn.engine.fast.input_feeding import has_one_attention
from multiattn.engine.recurrence import InputFeeding, State

GATE_COLUMNS = 8
TILE = 8192  # elements of keys or values that a program of eight warps loads at once
WIDTH_DIVISOR = 16


def applies(recurrence: Any, keys: Any) -> bool:
    """Whether this path applies: one layer, one additive source, widths of 16, a device for it."""
    if not has_one_attention(recurrence):
        return False
    ((source, attention),) = recurrence.fusion.attentions.items()
    memory = keys.sources[source]
    return bool(
        type(without_gate(attention)) is Additive
        and memory.keys.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and memory.keys.size(2) % WIDTH_DIVISOR == 0
        and memory.values.size(2) % WIDTH_DIVISOR == 0
        and triton_works(memory.keys.device)
    )


@functools.cache
def triton_works(device: torch.device) -> bool:
    """Whether Triton is there and runs a kernel on this device; warns if it should but does not."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if importlib.util.find_spec("triton") is None:
        return False
    if not interpreted and device.type != "cuda":
        return False
    if not interpreted and torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        from multiattn.engine.fast import triton_kernels as kernels

        small = torch.zeros(1, 1, 64, device=device)
        lengths = torch.ones(1, dtype=torch.int32, device=device)
        kernels.lstm_forward[1, 1](small, small, small, lengths, 0, 0, 16, 16, 16)
    except Exception as error:
        warnings.warn(
            f"expected Triton to run a kernel on {device}, got {type(error).__name__}: {error}; "
            "training goes on without it, slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


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
    maps = [content.query.weight, recurrence.from_hidden.weight]
    bias: Tensor = recurrence.from_hidden.bias
    if attention is not content:
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
            memory.mask,
            lengths,
        )
    return features, {source: weights}


class Shape(NamedTuple):
    """The sizes of one loop, and how its kernels cut them."""

    steps: int
    rows: int
    slots: int
    word_dim: int
    hidden_dim: int
    key_dim: int
    asked_dim: int
    fast: bool  # whether an approximate tanh is precise enough

    @property
    def all_slots(self) -> int:
        """S rounded up to a power of two."""
        return 1 << (self.slots - 1).bit_length()

    def attention_cuts(self) -> dict[str, Any]:
        """What both attention kernels are compiled for."""
        blocks = {"hidden_block": block_of(self.hidden_dim), "key_block": block_of(self.key_dim)}
        tiles = {
            "value_tile": min(TILE // blocks["hidden_block"], self.all_slots),
            "key_tile": min(TILE // blocks["key_block"], self.all_slots),
        }
        large = max(tiles["value_tile"] * blocks["hidden_block"], TILE // 2) == TILE
        return {
            "hidden_dim": self.hidden_dim,
            "key_dim": self.key_dim,
            "asked_dim": self.asked_dim,
            **blocks,
            **tiles,
            "all_slots": self.all_slots,
            "fast": self.fast,
            "num_warps": 8 if large else 4,
        }


def block_of(width: int, largest: int = 512) -> int:
    """The largest power of two that divides a width, up to a limit."""
    return min(width & -width, largest)


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
        mask: Tensor,
        lengths: Tensor,
    ) -> tuple[Tensor, Tensor]:
        from multiattn.engine.fast import triton_kernels as kernels

        steps, rows, word_dim = embedded.shape
        _, slots, key_dim = keys.shape
        asked_dim, hidden_dim = query_weight.shape
        keys, values, mask = keys.contiguous(), values.contiguous(), mask.contiguous()
        half = keys.dtype in (torch.bfloat16, torch.float16)
        fast = half and keys.is_cuda and torch.version.hip is None
        shape = Shape(steps, rows, slots, word_dim, hidden_dim, key_dim, asked_dim, fast)
        cuts, block = shape.attention_cuts(), block_of(hidden_dim, 256)
        lengths, reach = lengths.int(), reach_of(mask)

        inputs = keys.new_empty(steps + 1, rows, word_dim + 2 * hidden_dim)  # [word; fed; hidden]
        inputs[:steps, :, :word_dim] = embedded
        inputs[0, :, word_dim:-hidden_dim] = fed
        inputs[0, :, -hidden_dim:] = hidden
        cells = energy.new_empty(steps + 1, rows, hidden_dim)
        cells[0] = cell
        words = inputs[:steps, :, :word_dim].flatten(0, 1)
        gates = torch.addmm(gate_bias.to(keys.dtype), words, gate_weight[:, :word_dim].t())
        gates = gates.view(steps, rows, -1)  # (T, B, 4H)
        asked = keys.new_empty(steps, rows, asked_dim)
        features = keys.new_empty(steps, rows, hidden_dim)
        weights = energy.new_empty(steps, rows, slots)
        energies = energy.new_empty(rows, slots)
        from_inputs, from_hidden = gate_weight[:, word_dim:].t(), query_weight.t()
        for step in range(steps):
            gates[step].addmm_(inputs[step, :, word_dim:], from_inputs)
            kernels.lstm_forward[rows, hidden_dim // block](
                gates, cells, inputs, lengths, step, rows, word_dim, hidden_dim, block
            )
            torch.mm(inputs[step + 1, :, -hidden_dim:], from_hidden, out=asked[step])
            kernels.attend_forward[(rows,)](
                *(asked, keys, values, energy, bias, mask, reach, lengths, energies),
                *(weights, features, inputs, step, rows, slots, word_dim),
                **cuts,
            )
        ctx.save_for_backward(
            *(keys, values, gate_weight, query_weight, bias, energy, reach, lengths),
            *(inputs, gates, cells, asked, features, weights),
        )
        ctx.shape, ctx.kinds = shape, [leaf.dtype for leaf in (embedded, hidden, cell, fed)]
        ctx.set_materialize_grads(False)
        return features, weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_features: Tensor | None, d_weights: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        from multiattn.engine.fast import triton_kernels as kernels

        keys, values, gate_weight, query_weight, bias, energy, reach, lengths, *tape = (
            ctx.saved_tensors
        )
        inputs, gates, cells, asked, features, weights = tape
        shape: Shape = ctx.shape
        steps, rows, slots, word_dim, hidden_dim, key_dim, *_ = shape
        cuts, block = shape.attention_cuts(), block_of(hidden_dim, 256)
        d_features = torch.zeros_like(features) if d_features is None else d_features.contiguous()
        pulled = weights if d_weights is None else d_weights.contiguous()

        d_gates, d_asked, d_scores = map(torch.empty_like, (gates, asked, weights))
        shared = asked.new_empty(steps, rows, slots)
        d_attended = weights.new_empty(rows, slots)
        d_inputs = asked.new_zeros(rows, 2 * hidden_dim)
        d_cell = torch.zeros_like(cells[0])
        from_asked = asked.new_empty(rows, hidden_dim)
        for step in range(steps - 1, -1, -1):
            kernels.attend_backward[(rows,)](
                *(asked, keys, values, energy, bias, reach, lengths, weights, features),
                *(d_features, pulled, d_inputs, d_attended, d_asked, d_scores, shared),
                *(step, rows, slots),
                weighed=d_weights is not None,
                **cuts,
            )
            torch.mm(d_asked[step], query_weight, out=from_asked)
            kernels.lstm_backward[rows, hidden_dim // block](
                *(gates, cells, lengths, from_asked, d_inputs, d_cell, d_gates),
                *(step, rows, hidden_dim, block),
            )
            torch.mm(d_gates[step], gate_weight[:, word_dim:], out=d_inputs)

        d_sums = d_asked[:, :, key_dim : key_dim + hidden_dim]
        d_values = torch.bmm(shared.permute(1, 2, 0), d_sums.transpose(0, 1))  # (B, S, H)
        d_keys, d_energy = keys_gradient(shape, (asked, keys, energy, reach, lengths, d_scores))
        flat_gates, flat_asked = d_gates.flatten(0, 1), d_asked.flatten(0, 1)
        hiddens = inputs[1:, :, -hidden_dim:].flatten(0, 1)
        d_embedded = flat_gates @ gate_weight[:, :word_dim] if ctx.needs_input_grad[0] else None
        word_kind, hidden_kind, cell_kind, fed_kind = ctx.kinds
        return (
            None if d_embedded is None else d_embedded.to(word_kind).view(steps, rows, word_dim),
            d_keys,
            d_values,
            d_inputs[:, hidden_dim:].to(hidden_kind),
            d_cell.to(cell_kind),
            d_inputs[:, :hidden_dim].to(fed_kind),
            flat_gates.t() @ inputs[:steps].flatten(0, 1),
            flat_gates.sum(0, dtype=torch.float32),
            flat_asked.t() @ hiddens,
            flat_asked.sum(0, dtype=torch.float32)[key_dim : key_dim + len(bias)],
            d_energy,
            None,
            None,
        )


def reach_of(mask: Tensor) -> Tensor:
    """One more than each row's last real slot, 0 without one: (B, S) -> (B,) int32."""
    numbers = torch.arange(1, mask.size(1) + 1, dtype=torch.int32, device=mask.device)
    return (mask * numbers).amax(1)


def keys_gradient(shape: Shape, saved: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Gradients of the keys (B, S, A) and of the energy (A,), summed over the steps."""
    from multiattn.engine.fast import triton_kernels as kernels

    keys, energy = saved[1:3]
    block, tile = block_of(shape.key_dim, 64), min(32, shape.all_slots)
    tiles = -(-shape.slots // tile)
    d_keys = torch.empty_like(keys)
    d_energy = energy.new_empty(shape.rows, tiles, shape.key_dim)
    kernels.keys_backward[shape.rows, shape.key_dim // block, tiles](
        *saved,
        *(d_keys, d_energy, shape.rows, shape.slots, shape.key_dim, shape.asked_dim),
        *(block, tile, shape.fast),
    )
    return d_keys, d_energy.sum((0, 1))
