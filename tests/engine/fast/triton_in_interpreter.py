"""The Triton loop in Triton's interpreter against the readable definition in float64.

``test_triton.py`` runs this file in a process of its own, with TRITON_INTERPRET=1 set from the
start.
"""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

from multiattn.engine import fast
from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import Gated, Location
from multiattn.engine.fast.gpu import loop, shapes
from multiattn.engine.fusion import Concat
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.recurrence import InputFeeding
from multiattn.engine.trees import tree_map

EMBEDDING, HIDDEN, MEMORY = 5, 48, 6
additive = partial(Additive, dim=16)
location = partial(Location, of=additive, filters=3, width=5)
ATTENTIONS = {
    "additive": additive,
    "gated": partial(Gated, of=additive),
    "location": location,
    "gated location": partial(Gated, of=partial(location, width=31)),  # wider than the memory
}
every_attention = pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)

torch.set_num_threads(1)


def mask_of(*rows: str) -> Tensor:
    """Rows such as "xx.x" -> bool (B, S), true where there is an x."""
    return torch.tensor([[letter == "x" for letter in row] for row in rows])


# A row that ends early, one that never begins, an empty memory, a hole, rows in no order.
LENGTHS = (2, 3, 0, 1, 3)
MASK = mask_of("xxxxx", "xx...", "xxx..", ".....", "x.xx.")


class Inputs:
    """A recurrence and its inputs, in one type; ``leaves`` are all that have a gradient."""

    def __init__(self, attention, mask: Tensor, lengths: tuple[int, ...]) -> None:
        torch.manual_seed(3)
        batch_size, steps = len(lengths), max(lengths)
        self.lengths = torch.tensor(lengths)
        self.mask = mask
        self.recurrence = InputFeeding(
            EMBEDDING,
            HIDDEN,
            lambda query_dim: Concat(query_dim, {"text": MemorySpec(MEMORY)}, attention),
        )
        for parameter in self.recurrence.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        self.embedded = torch.randn(steps, batch_size, EMBEDDING)
        self.layers = torch.randn(2, batch_size, 1, HIDDEN)
        self.fed = torch.randn(batch_size, 1, HIDDEN)
        self.values = torch.randn(batch_size, mask.size(1), MEMORY) * mask.unsqueeze(2)
        self.pull = torch.randn(steps, batch_size, HIDDEN)
        self.tug = torch.randn(steps, batch_size, mask.size(1))

    def to(self, dtype: torch.dtype) -> Inputs:
        moved = copy.copy(self)
        moved.recurrence = copy.deepcopy(self.recurrence).to(dtype)
        for name in ("embedded", "layers", "fed", "values", "pull", "tug"):
            setattr(moved, name, getattr(self, name).to(dtype).clone())
        for leaf in moved.leaves:
            leaf.requires_grad_()
        return moved

    @property
    def leaves(self) -> list[Tensor]:
        inputs = [self.embedded, self.layers, self.fed, self.values]
        return [*inputs, *self.recurrence.parameters()]

    def begin(self, rows: Tensor):
        """The state and the keys of some rows of the batch."""
        memory = Memory(self.values[rows], self.mask[rows], Tokens())
        state = self.recurrence.begin((tuple(self.layers[:, rows]),))
        return state._replace(fed=self.fed[rows]), self.recurrence.prepare({"text": memory})


def readable(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """``unroll_step_by_step`` over the rows that have a target, spread over (T, B, …)."""
    steps = inputs.embedded.size(0)
    rows = torch.argsort(inputs.lengths, descending=True, stable=True)
    rows = rows[inputs.lengths[rows] > 0]
    alive = torch.arange(steps).unsqueeze(1) < inputs.lengths[rows]  # (T, B')
    packed = inputs.embedded[:, rows][alive]
    state, keys = inputs.begin(rows)
    features, weights = fast.unroll_step_by_step(
        inputs.recurrence, packed, alive.sum(1).tolist(), state, keys
    )
    step, place = alive.nonzero(as_tuple=True)

    def spread(leaf: Tensor) -> Tensor:
        blank = leaf.new_zeros(steps, len(inputs.lengths), leaf.size(1))
        return blank.index_put((step, rows[place]), leaf)

    return spread(features), spread(weights["text"])


def padded(inputs: Inputs) -> tuple[Tensor, Tensor]:
    state, keys = inputs.begin(torch.arange(len(inputs.lengths)))
    assert loop.applies(inputs.recurrence, keys)
    features, weights = loop.unroll(inputs.recurrence, inputs.embedded, inputs.lengths, state, keys)
    return features, weights["text"]


def found(unroll, inputs: Inputs, use) -> list[Tensor]:
    """Features, weights and every gradient of the loss that ``use`` makes of them."""
    features, weights = unroll(inputs)
    gradients = torch.autograd.grad(
        use(inputs, features, weights), inputs.leaves, materialize_grads=True
    )
    return [features.detach(), weights.detach(), *gradients]


def of_features(inputs: Inputs, features: Tensor, weights: Tensor) -> Tensor:
    return (features * inputs.pull).sum()


def of_weights(inputs: Inputs, features: Tensor, weights: Tensor) -> Tensor:
    return (weights * inputs.tug).sum()


def of_both(inputs: Inputs, features: Tensor, weights: Tensor) -> Tensor:
    return of_features(inputs, features, weights) + of_weights(inputs, features, weights)


def compare(drawn: Inputs, use=of_both, tolerance: float = 2e-5) -> None:
    expected = found(readable, drawn.to(torch.float64), use)
    got = found(padded, drawn.to(torch.float32), use)
    for exact, single in zip(expected, got, strict=True):
        torch.testing.assert_close(single.double(), exact, rtol=tolerance, atol=tolerance)


@every_attention
def test_the_loop_is_the_readable_one_and_so_are_its_gradients(attention):
    compare(Inputs(attention, MASK, LENGTHS))


@pytest.mark.parametrize("attention", [additive, ATTENTIONS["gated location"]])
@pytest.mark.parametrize("use", [of_features, of_weights])
def test_features_or_weights_alone_may_be_asked_for(attention, use):
    compare(Inputs(attention, MASK, LENGTHS), use)


@every_attention
def test_one_slot_and_one_step_are_enough(attention):
    compare(Inputs(attention, mask_of("x", "."), (1, 1)))


@pytest.fixture
def long_memory() -> Tensor:
    return mask_of("x" * 70, "x" * 20 + "." * 50, "x" * 33 + "." * 20 + "x" * 7 + "." * 10)


@pytest.mark.parametrize("attention", [additive, location])
def test_a_memory_longer_than_a_tile_is_read_in_several(attention, long_memory, monkeypatch):
    monkeypatch.setattr(shapes, "TILE", 16 * 16)
    monkeypatch.setattr(shapes, "FEW_ROWS", 0)
    compare(Inputs(attention, long_memory, (1, 2, 2)))


@every_attention
def test_few_rows_of_many_slots_are_shared_out_between_programs(attention, long_memory):
    drawn = Inputs(attention, long_memory, (2, 0, 2))
    compare(drawn)


@pytest.mark.parametrize("attention", [ATTENTIONS["gated"], location])
def test_rows_past_their_end_are_zero_and_have_no_gradient_even_where_one_is_sent(attention):
    inputs = Inputs(attention, MASK, LENGTHS).to(torch.float32)
    ended = torch.arange(max(LENGTHS)).unsqueeze(1) >= inputs.lengths
    features, weights, d_embedded, d_layers, d_fed, d_values, *_ = found(padded, inputs, of_both)
    assert not features[ended].any()
    assert not weights[ended].any()
    assert not d_embedded[ended].any()
    for leaf in (d_layers[0], d_layers[1], d_fed, d_values):
        assert not leaf[inputs.lengths == 0].any()


def test_numbers_beyond_what_a_single_can_square_stay_finite():
    inputs = Inputs(additive, MASK, LENGTHS).to(torch.float32)
    with torch.no_grad():
        inputs.recurrence.fusion.attentions["text"].query.weight.mul_(1e4)
        inputs.recurrence.fusion.attentions["text"].energy.mul_(1e4)
    for leaf in found(padded, inputs, of_both):
        assert leaf.isfinite().all()


# The interpreter's matrix product takes bfloat16 for integers: location is tested in float16.
@pytest.mark.parametrize(
    ("attention", "dtype"),
    [
        (additive, torch.bfloat16),
        (ATTENTIONS["gated"], torch.float16),
        (location, torch.float16),
        (ATTENTIONS["gated location"], torch.float16),
    ],
)
def test_under_autocast_the_loop_rounds_like_the_readable_one(attention, dtype):
    drawn = Inputs(attention, MASK, LENGTHS)
    exact = found(readable, drawn.to(torch.float64), of_both)
    rounded = []
    for unroll in (readable, padded):
        with torch.autocast("cpu", dtype):
            rounded.append(found(unroll, drawn.to(torch.float32), of_both))
    for value, slow, quick in zip(exact, *rounded, strict=True):
        allowed = 2 * (slow.double() - value).norm() + 2e-3 * value.norm()
        assert float((quick.double() - value).norm()) <= float(allowed)


def test_the_dtypes_under_autocast_are_those_that_the_output_reads():
    inputs = Inputs(additive, MASK, LENGTHS).to(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        features, weights = padded(inputs)
    assert (features.dtype, weights.dtype) == (torch.bfloat16, torch.float32)


def test_other_recurrences_and_widths_are_left_to_the_readable_path():
    def applies(recurrence) -> bool:
        values = torch.zeros(1, 1, MEMORY, dtype=recurrence.from_context.dtype)
        memory = Memory(values, torch.ones(1, 1, dtype=torch.bool), Tokens())
        return loop.applies(recurrence, recurrence.prepare({"text": memory}))

    def build(hidden: int = 16, dim: int = 16, layers: int = 1) -> InputFeeding:
        def fuse(query_dim: int) -> Concat:
            return Concat(query_dim, {"text": MemorySpec(MEMORY)}, partial(Additive, dim=dim))

        return InputFeeding(EMBEDDING, hidden, fuse, layers=layers)

    assert applies(build())
    assert not applies(build(layers=2))
    assert not applies(build(hidden=24))
    assert not applies(build(dim=8))
    assert not applies(build().double())


def test_the_inputs_of_a_row_do_not_touch_those_of_another():
    inputs = Inputs(additive, MASK, LENGTHS).to(torch.float32)
    before = padded(inputs)[0]
    with torch.no_grad():
        inputs.values[1] += 1
    after = padded(inputs)[0]
    changed = (before != after).any(2).any(0)
    assert changed.tolist() == [False, True, False, False, False]
    assert tree_map(torch.isfinite, after).all()
