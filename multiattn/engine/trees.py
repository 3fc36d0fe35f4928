"""Functions over trees (tuples, dicts, frozen dataclasses) of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor


def tree_map(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply ``function`` to every tensor of a tree of tuples, dicts and frozen dataclasses."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: tree_map(function, leaf) for key, leaf in tree.items()}
    if isinstance(tree, tuple):
        leaves = [tree_map(function, leaf) for leaf in tree]
        return type(tree)(*leaves) if hasattr(tree, "_fields") else tuple(leaves)
    if hasattr(tree, "__dataclass_fields__"):
        names = [name for name, spec in tree.__dataclass_fields__.items() if spec.init]
        return type(tree)(**{name: tree_map(function, getattr(tree, name)) for name in names})
    return tree


def first_rows(tree: Any, count: int) -> Any:
    """The first ``count`` rows of every tensor of a tree."""
    return tree_map(lambda leaf: leaf[:count], tree)


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a tree, in order."""
    collected: list[Tensor] = []

    def collect(leaf: Tensor) -> Tensor:
        collected.append(leaf)
        return leaf

    tree_map(collect, tree)
    return collected


def with_leaves(tree: Any, replacements: Iterable[Tensor]) -> Any:
    """A tree with these tensors in place of its own."""
    replacing = iter(replacements)
    return tree_map(lambda _: next(replacing), tree)
