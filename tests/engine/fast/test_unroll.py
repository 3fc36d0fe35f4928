"""Every fast path against the readable definition: values, weights and all gradients."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from multiattn.engine import fast
from multiattn.engine.attention import Additive, Multiplicative
from multiattn.engine.attention_wrappers import Gated, Location, MultiHead
from multiattn.engine.fast import energies, input_feeding, parallel, products
from multiattn.engine.fusion import Concat, Gate, NoSource
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map

pytestmark = pytest.mark.usefixtures("double")

EMBEDDING, HIDDEN = 3, 4
SPECS = {"text": MemorySpec(6), "photo": MemorySpec(4)}
COUNTS = (4, 4, 3, 1, 1)  # rows alive at each step
additive = partial(Additive, dim=5)


def one_source(attention):
    return lambda query_dim: Concat(query_dim, {"text": SPECS["text"]}, attention)


def two_sources(fusion, attention):
    return lambda query_dim: fusion(query_dim, SPECS, attention)


PATHS = {
    "input feeding": (InputFeeding, one_source(additive)),
    "input feeding, location": (
        InputFeeding,
        one_source(partial(Location, of=additive, filters=2, width=3)),
    ),
    "input feeding, gated": (InputFeeding, one_source(partial(Gated, of=additive))),
    "input feeding, gated location": (
        InputFeeding,
        one_source(partial(Gated, of=partial(Location, of=additive, filters=2, width=3))),
    ),
    "luong, additive": (Luong, one_source(additive)),
    "luong, gated": (Luong, one_source(partial(Gated, of=additive))),
    "luong, two layers": (partial(Luong, layers=2), one_source(Multiplicative)),
    "luong, heads": (Luong, one_source(partial(MultiHead, of=Multiplicative, heads=2))),
    "luong, two sources": (Luong, two_sources(Concat, additive)),
    "luong, gate": (partial(Luong, layers=2), two_sources(partial(Gate, dim=5), Multiplicative)),
    "luong, language model": (Luong, lambda query_dim: NoSource()),
}
OTHERS = {
    "bahdanau": (Bahdanau, one_source(additive)),
    "conditional": (Conditional, one_source(additive)),
    "adaptive": (partial(Adaptive, dim=5), one_source(additive)),
    "input feeding, gated twice": (
        InputFeeding,
        one_source(partial(Gated, of=partial(Gated, of=additive))),
    ),
    "input feeding, two layers": (partial(InputFeeding, layers=2), one_source(additive)),
    "input feeding, two sources": (InputFeeding, two_sources(Concat, additive)),
    "input feeding, location of another": (
        InputFeeding,
        one_source(partial(Location, of=Multiplicative, width=3)),
    ),
    "input feeding, multiplicative": (InputFeeding, one_source(Multiplicative)),
    "luong, recurrent attention": (Luong, one_source(partial(Location, of=additive, width=3))),
}
every_path = pytest.mark.parametrize("form", PATHS.values(), ids=PATHS)


@pytest.fixture
def memories(memory_of) -> dict[str, Memory]:
    """Four inputs; the third has no text, the second no photo."""
    return {"text": memory_of([5, 2, 0, 3], 6), "photo": memory_of([1, 0, 3, 3], 4)}


def start_of(recurrence, like: Tensor):
    """A state with a hidden and a cell of their own in every layer."""
    layers = torch.randn(recurrence.layers, 2, COUNTS[0], 1, HIDDEN).to(like)
    return recurrence.begin(tuple(tuple(layer) for layer in layers.requires_grad_())), layers


def build(form, memories):
    """The recurrence, and the memories of the sources that it looks at."""
    recurrence = form[0](EMBEDDING, HIDDEN, form[1])
    names = getattr(recurrence.fusion, "attentions", {})
    return recurrence, {name: memories[name] for name in names}


@every_path
def test_a_fast_path_is_the_readable_one_and_so_are_its_gradients(form, memories):
    recurrence, memories = build(form, memories)
    embedded = torch.randn(sum(COUNTS), EMBEDDING, requires_grad=True)
    state, layers = start_of(recurrence, embedded)
    learning = [memory.values.requires_grad_() for memory in memories.values()]
    leaves = [embedded, layers, *learning]
    leaves += [leaf for leaf in recurrence.parameters() if leaf.requires_grad]
    pull = torch.randn(sum(COUNTS), HIDDEN)
    tugs = {
        name: torch.randn(sum(COUNTS), memory.mask.size(1)) for name, memory in memories.items()
    }
    found = []
    for unroll in (fast.unroll_step_by_step, fast.unroll):
        features, weights = unroll(
            recurrence, embedded, COUNTS, state, recurrence.prepare(memories)
        )
        loss = (features * pull).sum()
        for name, tug in tugs.items():
            loss = loss + (weights[name] * tug).sum()
        gradients = torch.autograd.grad(loss, leaves)
        found.append([features, *weights.values(), *gradients])
    for readable, quick in zip(*found, strict=True):
        torch.testing.assert_close(quick, readable, rtol=1e-9, atol=1e-11)


def chosen(recurrence, embedded, memories) -> list[str]:
    keys = recurrence.prepare(memories)
    return [
        *["feeding"] * input_feeding.applies(recurrence, embedded, keys),
        *["parallel"] * parallel.applies(recurrence, COUNTS, keys),
    ]


@every_path
def test_a_path_is_taken_by_one_rule(form, memories):
    recurrence, memories = build(form, memories)
    expected = "feeding" if isinstance(recurrence, InputFeeding) else "parallel"
    assert chosen(recurrence, torch.randn(13, EMBEDDING), memories) == [expected]


@pytest.mark.parametrize("form", OTHERS.values(), ids=OTHERS)
def test_what_no_path_knows_is_read_step_by_step(form, memories):
    recurrence, memories = build(form, memories)
    assert chosen(recurrence, torch.randn(13, EMBEDDING), memories) == []


def test_a_window_in_search_is_read_step_by_step(memories):
    windowed = partial(Location, of=additive, width=3, window=1)
    recurrence, memories = build((InputFeeding, one_source(windowed)), memories)
    embedded = torch.randn(13, EMBEDDING)
    assert chosen(recurrence.train(), embedded, memories) == ["feeding"]
    assert chosen(recurrence.eval(), embedded, memories) == []


def test_a_class_of_the_user_is_read_step_by_step(memories):
    class Mine(InputFeeding):
        pass

    recurrence, memories = build((Mine, one_source(additive)), memories)
    assert chosen(recurrence, torch.randn(13, EMBEDDING), memories) == []


def test_words_in_reduced_precision_are_read_step_by_step(memories):
    recurrence, memories = build(PATHS["input feeding"], memories)
    keys = recurrence.prepare(memories)
    assert not input_feeding.applies(recurrence, torch.randn(13, EMBEDDING).bfloat16(), keys)


def test_under_autocast_the_fast_path_errs_no_more_than_the_readable_one(memories):
    recurrence, memories = build(PATHS["input feeding"], memories)
    recurrence = recurrence.float()
    single = tree_map(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, memories)
    embedded = torch.randn(sum(COUNTS), EMBEDDING, dtype=torch.float)
    state, _ = start_of(recurrence, embedded)
    learning = [leaf for leaf in recurrence.parameters() if leaf.requires_grad]
    pull = torch.randn(sum(COUNTS), HIDDEN, dtype=torch.float)

    def found(unroll, reduced: bool) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            keys = recurrence.prepare(single)
            features, weights = unroll(recurrence, embedded, COUNTS, state, keys)
        loss = (features * pull).sum() + weights["text"].square().sum()
        gradients = torch.autograd.grad(loss, learning)
        return torch.cat([leaf.flatten() for leaf in (features, weights["text"], *gradients)])

    exact, readable = found(fast.unroll_step_by_step, False), found(fast.unroll_step_by_step, True)
    quick = found(fast.unroll, True)
    assert not torch.equal(quick, exact)  # its products are rounded
    assert (quick - exact).norm() < 1.5 * (readable - exact).norm()


@pytest.mark.parametrize("form", ["luong, additive", "luong, gated"])
def test_a_comparison_too_large_to_hold_is_made_step_by_step(form, memories, monkeypatch):
    recurrence, memories = build(PATHS[form], memories)
    monkeypatch.setattr(parallel, "LARGEST_COMPARISON", 4 * 5 * 5 * 5 - 1)  # B · T · S · A
    assert chosen(recurrence, torch.randn(13, EMBEDDING), memories) == []


@every_path
@torch.no_grad()
def test_single_precision_matches_double(form, memories):
    recurrence, memories = build(form, memories)
    embedded = torch.randn(sum(COUNTS), EMBEDDING)
    state, _ = start_of(recurrence, embedded)
    wide, _ = fast.unroll_step_by_step(
        recurrence, embedded, COUNTS, state, recurrence.prepare(memories)
    )
    narrow = tree_map(
        lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, (state, memories)
    )
    recurrence.float()
    found, _ = fast.unroll(
        recurrence, embedded.float(), COUNTS, narrow[0], recurrence.prepare(narrow[1])
    )
    assert (found.double() - wide).norm() < 1e-5 * wide.norm()


@pytest.mark.parametrize(
    "size",
    [
        15.0,
    ],
)
def test_fast_additive_scores_hold_where_large_keys_and_queries_cancel(size):
    assert energies.within_limit(torch.tensor([size], dtype=torch.float32))
    keys, energy = size + torch.randn(3, 4, 5), torch.randn(5)
    query = torch.randn(3, 5) - size
    expected = torch.tanh(keys + query.unsqueeze(1)) @ energy - energy.sum()
    found = energies.additive_scores(
        energies.doubled_exponential(keys.float()), query.float(), energy.float()
    )
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_asking_for_packed_products_draws_nothing_from_the_generator():
    """Or a run that continues, and asks at another step, would go on differently."""
    before = torch.get_rng_state()
    products.packing_works.__wrapped__()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rows", [1, 8, 70])
@pytest.mark.parametrize("dtype", [torch.float, torch.double, torch.bfloat16])
def test_products_with_a_weight_made_ready_are_the_librarys(dtype, rows):
    left, weight = torch.randn(rows, 33).to(dtype), torch.randn(50, 33).to(dtype)
    expected = left.double() @ weight.double().t()
    tolerance = {torch.float: 1e-6, torch.double: 1e-14, torch.bfloat16: 1e-2}[dtype]
    for found in (
        products.Factor(weight)(left),
        products.Factor(weight.t().contiguous().t())(left),
        products.product(left, weight.t()),
        products.product(left.t().contiguous().t(), weight.t().contiguous()),
    ):
        assert found.dtype == dtype
        assert (found.double() - expected).norm() < tolerance * expected.norm()


def test_rows_are_rounded_to_the_precision_of_the_weight_and_given_back_in_their_own():
    left, weight = torch.randn(3, 33).float(), torch.randn(50, 33).bfloat16()
    for found in (products.Factor(weight)(left), products.product(left, weight.t())):
        assert torch.equal(found, torch.mm(left.bfloat16(), weight.t()).float())


def test_keys_too_large_for_their_exponentials_take_the_readable_path():
    assert not energies.within_limit(torch.tensor([[0.5, -20.5]], dtype=torch.float32))
    assert energies.within_limit(torch.tensor([[0.5, -20.5]], dtype=torch.float64))
