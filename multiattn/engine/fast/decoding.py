"""A decoder prepared for search on a CPU: same begin and step, same weights, faster kernels.

``for_decoding(decoder)`` gives a copy that shares the parameters and differs in three places:

- linear maps use weights packed once for oneDNN, 2-20 times faster for the few rows of a beam;
- an LSTM cell is one product of [input; hidden] instead of two;
- additive attention keeps e^{2k} as its keys, so that a step needs no tanh (see ``energies.py``).

Where PyTorch lacks oneDNN's operators (see ``products.py``), the decoder is left unchanged. The
copy is for inference: it has no gradient.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.attention import Additive, Keys, attend
from multiattn.engine.attention_wrappers import Gated
from multiattn.engine.fast.energies import additive_scores, doubled_exponential, within_limit
from multiattn.engine.fast.input_feeding import lstm_forward
from multiattn.engine.fast.products import packed, packed_linear, packing_works
from multiattn.engine.memory import Memory
from multiattn.engine.recurrence import LSTMStack, LSTMState


def for_decoding(decoder: nn.Module) -> Any:
    """Prepare a decoder for search: a packed copy for float32 on a CPU, else the decoder itself.

    Make a new copy after the weights have changed.
    """
    sample = next(decoder.parameters())
    if sample.device.type != "cpu" or sample.dtype != torch.float32 or not packing_works():
        return decoder
    shared = {id(parameter): parameter for parameter in decoder.parameters()}
    ready = copy.deepcopy(decoder, shared).eval()
    _replace(ready)
    return ready


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child.weight, child.bias))
        elif type(child) is LSTMStack:
            setattr(module, name, PackedLSTMStack(child))
        elif name == "attentions":
            _replace_attentions(child)
        else:
            _replace(child)


def _replace_attentions(attentions: nn.Module) -> None:
    """Replace attentions used directly, gated or not; wrappers may add an offset to the keys."""
    for name, attention in attentions.named_children():
        if type(attention) is Additive:
            setattr(attentions, name, ExponentialAdditive(attention))
        elif type(attention) is Gated:
            _replace_attentions(attention)  # its gate has one row, not worth packing
        else:
            _replace(attention)


class PackedLinear(nn.Module):
    """``nn.Linear`` with its weight (O, I) packed."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.packed = packed(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        return packed_linear(inputs, self.packed, self.bias)


class PackedLSTMStack(nn.Module):
    """``LSTMStack`` with one packed product of [input; hidden] per cell."""

    def __init__(self, stack: LSTMStack) -> None:
        super().__init__()
        cells: list[Any] = list(stack.cells)
        self.gates = nn.ModuleList(
            PackedLinear(
                torch.cat([cell.weight_ih, cell.weight_hh], 1).detach(),
                (cell.bias_ih + cell.bias_hh).detach(),
            )
            for cell in cells
        )

    def forward(self, inputs: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """(B, N, I) and the old state -> top hidden (B, N, H) and the new state."""
        below, after = inputs, []
        for gates, (hidden, last_cell) in zip(self.gates, state, strict=True):
            open_gates = gates(torch.cat([below, hidden], -1))  # (B, N, 4H)
            cell, below = torch.empty_like(last_cell), torch.empty_like(hidden)
            lstm_forward(open_gates, last_cell, cell, below)
            after.append((below, cell))
        return below, tuple(after)


class ExponentialKeys(Keys):
    """``Keys`` whose ``keys`` are e^{2k} (B, S, A)."""


class ExponentialAdditive(nn.Module):
    """``Additive`` with keys kept as exponentials, if they are small enough for that."""

    recurrent = False

    def __init__(self, attention: Additive) -> None:
        super().__init__()
        self.context_dim = attention.context_dim
        _replace(attention)
        self.attention = attention

    def prepare(self, memory: Memory, value_projection: Tensor | None = None) -> Keys:
        keys, values = self.attention.key(memory.values), memory.values
        if value_projection is not None:
            values = packed_linear(values, value_projection.contiguous())  # may be a part of one
        if not within_limit(keys):
            return Keys(keys, values, memory.mask)
        return ExponentialKeys(doubled_exponential(keys), values, memory.mask)

    def forward(self, query: Tensor, keys: Keys, history: None) -> tuple[Tensor, Tensor, None]:
        if not isinstance(keys, ExponentialKeys):
            output: tuple[Tensor, Tensor, None] = self.attention(query, keys, history)
            return output
        asked = self.attention.query(query)
        scores = additive_scores(keys.keys.unsqueeze(1), asked, self.attention.energy)
        return *attend(scores, keys), history
