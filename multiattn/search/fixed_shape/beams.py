"""A search laid out in tensors of fixed shape.

Letters: B inputs, N hypotheses per input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from multiattn.engine.fast.gpu.recording import Buffers, copy_all
from multiattn.engine.trees import leaves, tree_map
from multiattn.search.candidates import FixedShapeSelector

if TYPE_CHECKING:
    from multiattn.search.beam import Beam


@dataclass(frozen=True)
class FixedBeams:
    """What a search knows between two steps; leaves (B, …), those of ``state`` (B, N, …).

    An input that is finished has totals of -inf. Sizes may be those of a start, with fewer inputs
    and one hypothesis each.
    """

    rows: Tensor  # (B,) index of each input in the whole batch
    limits: Tensor  # (B,) tokens, the end symbol not counted
    earliest: Tensor  # (B,) the first step at which a hypothesis may end
    unfinished: Tensor  # (B,) how many more hypotheses may end
    scores: Tensor  # (B, n_best), of the best hypotheses that have ended
    ends: Tensor  # (B, n_best), step · N + hypothesis of each
    selector: Any
    shared: Any
    tokens: Tensor  # (B, N), the last of each hypothesis
    totals: Tensor  # (B, N)
    state: Any

    @classmethod
    def of(cls, beam: Beam, selector: FixedShapeSelector, n_best: int) -> FixedBeams:
        """The start of a search."""
        constraints = beam.constraints
        return cls(
            rows=beam.rows,
            limits=constraints.limits,
            earliest=constraints.limits.clamp(max=constraints.min_length),
            unfinished=beam.unfinished,
            scores=beam.totals.new_full((len(beam.rows), n_best), -math.inf),
            ends=beam.rows.new_zeros(len(beam.rows), n_best),
            selector=selector,
            shared=beam.shared,
            tokens=beam.tokens.expand(-1, selector.width),
            totals=selector.first_totals(beam.totals),
            state=beam.state,
        )

    def buffers(self, size: int, store: Buffers) -> FixedBeams:
        """Beams of the same structure for ``size`` inputs, in the store."""
        width, count = self.tokens.shape[1], 0

        def buffer(leaf: Tensor, *fixed: int) -> Tensor:
            nonlocal count
            count += 1
            sizes = *fixed, *leaf.shape[len(fixed) :]
            return store.like(("beams", count), leaf[:1].expand(sizes))

        def state_buffer(leaf: Tensor) -> Tensor:
            return buffer(leaf[:, :1], size, width)

        own = {
            field.name: tree_map(lambda leaf: buffer(leaf, size), getattr(self, field.name))
            for field in fields(self)
            if field.name != "state"
        }
        return FixedBeams(**own, state=tree_map(state_buffer, self.state))

    def load(self, start: FixedBeams) -> None:
        """Overwrite these buffers with a start of no more inputs; the others are finished."""
        size, count = len(self.rows), len(start.rows)
        targets, sources = leaves(self), leaves(start)
        pairs = [
            (target[:count], source.expand_as(target[:count]))
            for target, source in zip(targets, sources, strict=True)
        ]
        copy_by_type(*zip(*pairs, strict=True))
        if count < size:
            torch._foreach_zero_([target[count:] for target in targets])
            self.totals[count:] = -math.inf
            torch.arange(count, size, out=self.rows[count:])

    def gather(self, order: Tensor) -> FixedBeams:
        """A copy of some inputs, in this order."""
        gathered: FixedBeams = tree_map(lambda leaf: leaf.index_select(0, order), self)
        return gathered

    def signature(self) -> str:
        """The structure, types and sizes of everything, besides the number of inputs."""
        own = leaves(replace(self, shared=None, state=None))
        sizes = [tuple(leaf.shape[1:]) for leaf in own], self.totals.dtype
        return f"{sizes} {signature(self.shared, 1)} {signature(self.state, 2)}"


def signature(tree: Any, skipped: int = 0) -> str:
    """The structure of a tree, and the types and sizes of its tensors without the first sides."""

    def described(leaf: Tensor) -> Any:
        return leaf.dtype, *leaf.shape[skipped:]

    return str(tree_map(described, tree))


def copy_by_type(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source to its target, in one kernel per type."""
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        ones, others = groups.setdefault(target.dtype, ([], []))
        ones.append(target)
        others.append(source)
    for pair in groups.values():
        copy_all(*pair)
