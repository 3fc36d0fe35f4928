from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from multiattn.engine.layouts import Grid, Time, Tokens
from multiattn.engine.memory import Memory, length_mask, scatter_rows
from multiattn.engine.trees import first_rows, tree_map

pytestmark = pytest.mark.usefixtures("double")


def symbols_of(memory: Memory) -> Memory:
    """The same memory with an id per slot and a summary."""
    symbols = torch.arange(memory.mask.numel()).view_as(memory.mask)
    return Memory(memory.values, memory.mask, memory.layout, memory.values.sum(1), symbols)


def test_a_length_mask_is_true_before_each_length():
    mask = length_mask(torch.tensor([2, 0, 3]), 4)
    expected = [[slot < length for slot in range(4)] for length in (2, 0, 3)]
    assert mask.tolist() == expected


def test_selecting_rows_takes_all_of_a_memory_in_their_order(memory_of):
    memory = symbols_of(memory_of([3, 1, 2], 4))
    chosen = memory.select(torch.tensor([2, 0, 2]))
    for leaf, whole in [
        (chosen.values, memory.values),
        (chosen.mask, memory.mask),
        (chosen.summary, memory.summary),
        (chosen.symbols, memory.symbols),
    ]:
        assert torch.equal(leaf, torch.stack([whole[2], whole[0], whole[2]]))
    assert chosen.layout == Tokens()


def test_rows_may_be_selected_by_a_mask_and_what_is_none_stays_none(memory_of):
    memory = memory_of([3, 1, 2], 4)
    chosen = memory.select(torch.tensor([True, False, True]))
    assert torch.equal(chosen.values, memory.values[[0, 2]])
    assert chosen.summary is None
    assert chosen.symbols is None


def test_scattered_rows_lie_in_their_places_and_the_rest_is_masked_zeros(memory_of):
    memory = symbols_of(memory_of([3, 1], 4))
    spread = scatter_rows(memory, torch.tensor([0, 2]), 4)
    assert spread.mask.dtype == torch.bool
    assert spread.mask.any(1).tolist() == [True, False, True, False]
    for row, place in enumerate([0, 2]):
        assert torch.equal(spread.values[place], memory.values[row])
        assert torch.equal(spread.mask[place], memory.mask[row])
        assert torch.equal(spread.summary[place], memory.summary[row])
        assert torch.equal(spread.symbols[place], memory.symbols[row])
    for place in (1, 3):
        assert not spread.values[place].any()
        assert not spread.summary[place].any()


def test_a_gradient_returns_through_a_scatter(memory_of):
    memory = memory_of([3, 1], 4)
    memory.values.requires_grad_()
    weights = torch.randn(4, 3, 4)
    (scatter_rows(memory, torch.tensor([3, 1]), 4).values * weights).sum().backward()
    assert torch.equal(memory.values.grad, weights[[3, 1]])


def test_a_map_reaches_every_tensor_of_a_tree_and_keeps_its_shape():
    class Pair(NamedTuple):
        first: Tensor
        second: Tensor | None

    @dataclass(frozen=True)
    class Box:
        leaf: Tensor
        label: str

    one = torch.ones(2)
    tree = {"pair": Pair(one, None), "deep": ((one, 3), {"box": Box(2 * one, "kept")}), "no": "x"}
    doubled = tree_map(lambda leaf: 2 * leaf, tree)
    assert isinstance(doubled["pair"], Pair)
    assert doubled["pair"].second is None
    assert doubled["pair"].first.tolist() == [2, 2]
    assert doubled["deep"][0][0].tolist() == [2, 2]
    assert doubled["deep"][0][1] == 3
    assert doubled["deep"][1]["box"].leaf.tolist() == [4, 4]
    assert doubled["deep"][1]["box"].label == "kept"
    assert doubled["no"] == "x"
    assert tree["pair"].first.tolist() == [1, 1]


def test_first_rows_cut_every_tensor_of_a_tree():
    tree = (torch.arange(6).view(3, 2), {"mask": torch.tensor([True, False, True])}, None)
    numbers, named, nothing = first_rows(tree, 2)
    assert numbers.tolist() == [[0, 1], [2, 3]]
    assert named["mask"].tolist() == [True, False]
    assert nothing is None


@pytest.mark.parametrize(
    ("layout", "kind"), [(Tokens(), "tokens"), (Grid(2, 3), "grid"), (Time(0.04), "time")]
)
def test_a_layout_names_the_kind_that_renderers_register_for(layout, kind):
    assert layout.kind == kind
