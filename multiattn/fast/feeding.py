"""Input feeding with additive attention as one node of the graph, with a backward written out.

The definition is ``InputFeeding`` over ``Additive``; this is the same mathematics arranged for few,
large products. Three things make it fast:

- All that does not wait for the previous step is hoisted: the word's part of the gates is one
  product over all tokens, values are already multiplied by W_c. A step is two products.
- Additive scores need no tanh: tanh(k + q) = 1 - 2r with r = 1 / (1 + e^{2k} e^{2q}), and both
  exponentials are taken once. r is recomputed in the backward, so nothing (n, S, A) is stored.
- Weight gradients are one product per weight after the loop, not one per step.

Under autocast the factors of the large products are rounded to its dtype, as everywhere else; what
is summed over steps, and the attention, stay in single precision.

Letters: n rows alive at a step, M real tokens (the sum of n), H hidden, S slots, A attention width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multiattn.attention import Additive, Keys
from multiattn.fusion import Concat
from multiattn.recurrence import InputFeeding, State

# Keys within KEY_LIMIT make the exponential form exact: e^{2k} and its inverse are finite, and a
# query beyond QUERY_LIMIT, where it is cut off, has tanh(k + q) = ±1 to the last digit.
KEY_LIMIT = {torch.float32: 20.0, torch.float64: 150.0}
QUERY_LIMIT = {dtype: 2 * limit for dtype, limit in KEY_LIMIT.items()}


def applies(recurrence: Any, embedded: Tensor, keys: Any) -> bool:
    """Whether this path gives what is asked: one layer, one source, additive, words in float."""
    return bool(
        type(recurrence) is InputFeeding
        and recurrence.layers == 1
        and type(recurrence.fusion) is Concat
        and [type(module) for module in recurrence.fusion.attentions.values()] == [Additive]
        and embedded.dtype in KEY_LIMIT
        and all(within_limit(memory.keys) for memory in keys.sources.values())
    )


def within_limit(keys: Tensor) -> bool:
    """Whether e^{2k} of these keys may stand for them."""
    limit = KEY_LIMIT.get(keys.dtype, KEY_LIMIT[torch.float32])
    return bool(keys.detach().abs().amax() <= limit)


def unroll(
    recurrence: InputFeeding, embedded: Tensor, counts: Sequence[int], state: State, keys: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """As ``unrolling.readable``: embedded (M, E) -> features (M, H) and weights (M, S)."""
    ((source, attention),) = recurrence.fusion.attentions.items()
    memory: Keys = keys.sources[source]
    cell: Any = recurrence.cell.cells[0]
    device, word_width = embedded.device.type, embedded.size(1)
    precision = embedded.dtype
    if torch.is_autocast_enabled(device):
        precision = torch.get_autocast_dtype(device)
    word_gates = torch.addmm(  # (M, 4H)
        cell.bias_ih + cell.bias_hh, embedded, cell.weight_ih[:, :word_width].t()
    )
    gate_weight = torch.cat([cell.weight_ih[:, word_width:], cell.weight_hh], 1)  # (4H, 2H)
    query_weight = torch.cat([attention.query.weight, recurrence.from_hidden.weight])  # (A + H, H)
    ((hidden, cell_state),) = state.layers
    leaves = (word_gates, memory.keys, memory.values, hidden.squeeze(1), cell_state.squeeze(1))
    with torch.autocast(device, enabled=False):
        features, weights = InputFeedingLoop.apply(  # type: ignore[no-untyped-call]
            *(leaf.to(embedded.dtype) for leaf in leaves),
            gate_weight,
            query_weight,
            recurrence.from_hidden.bias,
            attention.energy,
            memory.mask,
            tuple(counts),
            precision,
        )
    return features, {source: weights}


class Tape(NamedTuple):
    """What the forward leaves for the backward, packed over steps.

    inputs (M, 2H) [fed; hidden before], gates (M, 4H) after their nonlinearity, cells (M, H),
    hiddens (M, H), queries (M, A), features (M, H), weights (M, S).
    """

    inputs: Tensor
    gates: Tensor
    cells: Tensor
    hiddens: Tensor
    queries: Tensor
    features: Tensor
    weights: Tensor

    @classmethod
    def blank(cls, like: Tensor, tokens: int, hidden: int, attention: int, slots: int) -> Tape:
        widths = (2 * hidden, 4 * hidden, hidden, hidden, attention, hidden, slots)
        return cls(*(like.new_empty(tokens, width) for width in widths))

    def at(self, first: int, alive: int) -> Tape:
        """Views of the rows of one step."""
        return Tape(*(leaf[first : first + alive] for leaf in self))


class InputFeedingLoop(torch.autograd.Function):
    """features (M, H), weights (M, S) of the whole loop. Luong et al. 2015, section 3.3."""

    @staticmethod
    def forward(
        ctx: Any,
        word_gates: Tensor,
        keys: Tensor,
        values: Tensor,
        hidden: Tensor,
        cell: Tensor,
        gate_weight: Tensor,
        query_weight: Tensor,
        feature_bias: Tensor,
        energy: Tensor,
        mask: Tensor,
        counts: tuple[int, ...],
        precision: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        gate_weight, query_weight = gate_weight.to(precision), query_weight.to(precision)
        exponentials = doubled_exponential(keys)
        tape = Tape.blank(keys, word_gates.size(0), hidden.size(1), keys.size(2), keys.size(1))
        blocked = torch.zeros_like(mask, dtype=keys.dtype)
        blocked.masked_fill_(~mask, torch.finfo(keys.dtype).min)
        seen = mask.any(1, keepdim=True)
        before: Tape | None = None
        first = 0
        for alive in counts:
            now = tape.at(first, alive)
            width = hidden.size(1)
            now.inputs[:, :width] = 0 if before is None else before.features[:alive]
            now.inputs[:, width:] = hidden if before is None else before.hiddens[:alive]
            last_cell = cell if before is None else before.cells[:alive]
            add_product(word_gates[first : first + alive], now.inputs, gate_weight.t(), now.gates)
            lstm_forward(now.gates, last_cell, now.cells, now.hiddens)
            asked = product(now.hiddens, query_weight.t())  # (n, A + H)
            now.queries.copy_(asked[:, : keys.size(2)])
            scores = additive_scores(exponentials[:alive], now.queries, energy)
            torch.softmax(scores.add_(blocked[:alive]), 1, out=now.weights)
            now.weights.mul_(seen[:alive])
            context = torch.bmm(now.weights.unsqueeze(1), values[:alive]).squeeze(1)
            before_tanh = context.add_(asked[:, keys.size(2) :]).add_(feature_bias)
            torch.tanh(before_tanh, out=now.features)
            before, first = now, first + alive
        ctx.save_for_backward(exponentials, values, cell, gate_weight, query_weight, energy, *tape)
        ctx.counts = counts
        return tape.features, tape.weights

    @staticmethod
    def backward(ctx: Any, d_features: Tensor, d_weights: Tensor) -> tuple[Tensor | None, ...]:
        exponentials, values, cell, gate_weight, query_weight, energy, *rest = ctx.saved_tensors
        tape, counts = Tape(*rest), ctx.counts
        batch_size, _, width = exponentials.shape
        hidden_dim = cell.size(1)
        d_gates = torch.empty_like(tape.gates)
        d_asked = tape.queries.new_empty(len(tape.queries), width + hidden_dim)
        d_keys = torch.zeros_like(exponentials)  # without the factor 4 v, applied after the loop
        d_energy = energy.new_zeros(batch_size, 1, width)
        d_inputs = cell.new_zeros(batch_size, 2 * hidden_dim)
        d_cell = torch.zeros_like(cell)
        first = len(tape.features)
        for step in range(len(counts) - 1, -1, -1):
            alive = counts[step]
            first -= alive
            now = tape.at(first, alive)
            asked = d_asked[first : first + alive]
            d_feature = d_features[first : first + alive] + d_inputs[:alive, :hidden_dim]
            d_sum = asked[:, width:]
            torch.mul(d_feature, 1 - now.features.square(), out=d_sum)
            d_weight = torch.bmm(values[:alive], d_sum.unsqueeze(2)).squeeze(2)
            d_weight += d_weights[first : first + alive]
            d_score = now.weights * (
                d_weight - (now.weights * d_weight).sum(1, keepdim=True)
            )  # (n, S)
            additive_backward(
                exponentials[:alive], now.queries, d_score, asked[:, :width], d_keys, d_energy
            )
            asked[:, :width] *= 4 * energy
            d_hidden = product(asked, query_weight).add_(d_inputs[:alive, hidden_dim:])
            last_cell = (
                cell[:alive] if step == 0 else tape.cells[first - counts[step - 1] :][:alive]
            )
            lstm_backward(
                now.gates,
                last_cell,
                now.cells,
                d_hidden,
                d_cell[:alive],
                d_gates[first : first + alive],
            )
            d_inputs[:alive] = product(d_gates[first : first + alive], gate_weight)
        d_values = values_gradient(tape.weights, d_asked[:, width:], counts, values)
        return (
            d_gates,
            d_keys.mul_(4 * energy),
            d_values,
            d_inputs[:, hidden_dim:],
            d_cell,
            product(d_gates.t(), tape.inputs.to(gate_weight.dtype)),
            product(d_asked.t(), tape.hiddens.to(gate_weight.dtype)),
            d_asked[:, width:].sum(0),
            -2 * d_energy.sum((0, 1)),
            None,
            None,
            None,
        )


def product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply left (n, K), rounded to the precision of right (K, X): (n, X) in left's own."""
    return torch.mm(left.to(right.dtype), right).to(left.dtype)


def add_product(base: Tensor, left: Tensor, right: Tensor, out: Tensor) -> None:
    """Writes base (n, X) + left (n, K) right (K, X), in one pass where nothing is rounded."""
    if left.dtype == right.dtype:
        torch.addmm(base, left, right, out=out)
    else:
        torch.add(base, product(left, right), out=out)


def doubled_exponential(values: Tensor) -> Tensor:
    """e^{2x}, x cut off at QUERY_LIMIT so that no exponential overflows."""
    limit = QUERY_LIMIT[values.dtype]
    return values.clamp(-limit, limit).mul_(2).exp_()


def falling(exponentials: Tensor, query: Tensor) -> Tensor:
    """R = 1 / (1 + e^{2k} e^{2q}), so that tanh(k + q) = 1 - 2r: (n, S, A)."""
    product = exponentials * doubled_exponential(query).unsqueeze(-2)
    return product.add_(1).reciprocal_()


def additive_scores(exponentials: Tensor, query: Tensor, energy: Tensor) -> Tensor:
    """Σ v tanh(k + q), less the constant Σ v that no softmax sees: (n, S)."""
    return torch.matmul(falling(exponentials, query), -2 * energy)


def additive_backward(
    exponentials: Tensor,
    query: Tensor,
    d_score: Tensor,
    d_query: Tensor,
    d_keys: Tensor,
    d_energy: Tensor,
) -> None:
    """Gradients of ``additive_scores``; d tanh / dx = 4 r (1 - r), the 4 v left to the caller.

    Writes d_query (n, A), adds to d_keys (B, S, A) and to d_energy (B, 1, A), which lacks a -2.
    """
    alive = len(query)
    r = falling(exponentials, query)
    row = d_score.unsqueeze(1)  # (n, 1, S)
    d_energy[:alive] += torch.bmm(row, r)
    slope = torch.addcmul(r, r, r, value=-1, out=r)
    torch.bmm(row, slope, out=d_query.unsqueeze(1))
    d_keys[:alive].addcmul_(slope, d_score.unsqueeze(2))


def lstm_forward(gates: Tensor, last_cell: Tensor, cell: Tensor, hidden: Tensor) -> None:
    """Gates (…, 4H) before their nonlinearity, in place; writes cell and hidden (…, H)."""
    enter, keep, candidate, show = gates.chunk(4, -1)
    gates[..., : 2 * cell.size(-1)].sigmoid_()  # enter and keep
    candidate.tanh_()
    show.sigmoid_()
    torch.mul(enter, candidate, out=cell).addcmul_(keep, last_cell)
    torch.mul(show, torch.tanh(cell), out=hidden)


def lstm_backward(
    gates: Tensor,
    last_cell: Tensor,
    cell: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor,
    d_gates: Tensor,
) -> None:
    """Writes d_gates (n, 4H) before their nonlinearity; turns d_cell into that of the last cell."""
    enter, keep, candidate, show = gates.chunk(4, 1)
    d_enter, d_keep, d_candidate, d_show = d_gates.chunk(4, 1)
    squashed = torch.tanh(cell)
    torch.mul(d_hidden * squashed, show * (1 - show), out=d_show)
    d_cell.addcmul_(d_hidden * show, 1 - squashed * squashed)
    torch.mul(d_cell * candidate, enter * (1 - enter), out=d_enter)
    torch.mul(d_cell * last_cell, keep * (1 - keep), out=d_keep)
    torch.mul(d_cell * enter, 1 - candidate * candidate, out=d_candidate)
    d_cell.mul_(keep)


def values_gradient(
    weights: Tensor, d_context: Tensor, counts: Sequence[int], values: Tensor
) -> Tensor:
    """Σ_t α_t ⊗ d_context_t per input, as one batched product: (B, S, H)."""
    steps, (batch_size, slots, width) = len(counts), values.shape
    all_weights = weights.new_zeros(steps, batch_size, slots)
    all_contexts = weights.new_zeros(steps, batch_size, width)
    first = 0
    for step, alive in enumerate(counts):
        all_weights[step, :alive] = weights[first : first + alive]
        all_contexts[step, :alive] = d_context[first : first + alive]
        first += alive
    return torch.bmm(all_weights.permute(1, 2, 0), all_contexts.transpose(0, 1))
