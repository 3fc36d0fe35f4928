"""Plan which examples go into which optimiser step, from their lengths alone.

The plan of an epoch is a pure function of (costs, settings, seed, epoch, world):

    plan = Plan(costs, training, seed=1, world=2)
    steps = plan.steps(epoch=0)                           # every example once, within budget
    for step in plan.follow(Position(epoch=3, step=17)):  # endless, from any position: resuming
        mine = step.shards_of(rank)                       # `accumulate` tuples of example indices
        ...
        position = step.after                             # what a checkpoint stores

Which examples share a step depends on neither ``world`` nor ``accumulate``; these only decide how
it is cut into ``world × accumulate`` shards. Summed over its shards, a step is the same on one
process and on eight. A step with fewer examples than shards has empty shards: ``()``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multiattn.errors import UserError, shown
from multiattn.recipe.settings import TrainingSettings
from multiattn.seeds import derive

Lengths = NDArray[np.int64]

# Examples are sorted by length within a pool of about POOL_STEPS steps: by target length into
# strips of about STRIP_STEPS steps, by source length within a strip. Larger pools need less padding
# but mix examples less.
POOL_STEPS = 64
STRIP_STEPS = 8
# The last EVENED_STEPS steps of an epoch share its remaining examples evenly.
EVENED_STEPS = 8


@dataclass(frozen=True)
class Costs:
    """The lengths of a split's examples, measured once.

    ids: a name per example (E), for error messages.
    target: (E,) target tokens, EOS included.
    sources: per source (E,) lengths as its reader measures them; 0 if an example lacks it.
    """

    ids: Sequence[str]
    target: Lengths
    sources: Mapping[str, Lengths]


@dataclass(frozen=True, order=True)
class Position:
    """The position of a run in the endless sequence of steps."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Step:
    """One optimiser step: example indices, cut into world × accumulate shards.

    position: of this step; after: of the next step, which is what a checkpoint stores.
    """

    position: Position
    after: Position
    shards: tuple[tuple[int, ...], ...]
    accumulate: int

    @property
    def indices(self) -> tuple[int, ...]:
        """Every example of the step in ascending order, independent of the shards."""
        return tuple(sorted(index for shard in self.shards for index in shard))

    def shards_of(self, rank: int) -> tuple[tuple[int, ...], ...]:
        """Return the ``accumulate`` shards of one process; some may be empty."""
        return self.shards[rank * self.accumulate : (rank + 1) * self.accumulate]


@dataclass(frozen=True)
class _Side:
    """The target or one source: lengths (E,), budget per step, and the names of its settings."""

    name: str
    lengths: Lengths
    budget: float
    budget_setting: str
    limit_setting: str

    @cached_property
    def relative(self) -> NDArray[np.float64]:
        """Lengths divided by their mean (E,), so that frames and words can be added."""
        mean: float = self.lengths.mean()
        return self.lengths / (mean or 1.0)


class Plan:
    """The optimiser steps of every epoch, within the budgets of ``training``.

    A budget bounds the padded size of a step: the number of examples that have the source (or
    target) × the length of the longest. Raises UserError if a single example exceeds a budget.
    """

    def __init__(
        self, costs: Costs, training: TrainingSettings, *, seed: int, world: int = 1
    ) -> None:
        self._target, *self._sources = self._sides = _sides(costs, training)
        for side in self._sides:
            _refuse_oversize(costs.ids, side)
        self._most = training.batch_size or len(costs.target)
        self._accumulate = training.accumulate
        self._seed = seed
        self._shards = world * training.accumulate
        self._source = sum((side.relative for side in self._sources), np.zeros(len(costs.target)))
        self._whole = self._source + self._target.relative  # (E,)
        means = (side.budget / (side.lengths.mean() or 1.0) for side in self._sides)
        self._per_step = min(self._most, *means)  # examples, about

    def steps(self, epoch: int) -> list[Step]:
        """Return the steps of one epoch, in order; every example is in exactly one."""
        generator = np.random.default_rng(derive("plan", self._seed, epoch))
        shuffled = generator.permutation(len(self._whole))
        pools = np.array_split(shuffled, math.ceil(len(shuffled) / self._per_step / POOL_STEPS))
        groups: list[list[int]] = []
        unfilled = shuffled[:0]
        for pool in pools[:-1]:
            groups += self._fill(self._in_order(np.concatenate([unfilled, pool])))
            unfilled = np.array(groups.pop())
        groups += self._fill_evenly(self._in_order(np.concatenate([unfilled, pools[-1]])))
        order = generator.permutation(len(groups)).tolist()
        after = [Position(epoch, number) for number in range(1, len(groups))]
        after.append(Position(epoch + 1))
        return [
            Step(Position(epoch, number), after[number], self._cut(groups[at]), self._accumulate)
            for number, at in enumerate(order)
        ]

    def follow(self, start: Position) -> Iterator[Step]:
        """Yield every step from ``start`` on, epoch after epoch, without end."""
        epoch, first = start.epoch, start.step
        while True:
            yield from self.steps(epoch)[first:]
            epoch, first = epoch + 1, 0

    def _in_order(self, pool: Lengths) -> Lengths:
        """Place similar lengths together: strips by target, alternately up and down by source."""
        by_target = pool[np.argsort(self._target.lengths[pool], kind="stable")]
        strips = math.ceil(len(pool) / self._per_step / STRIP_STEPS)
        ordered = []
        for number, strip in enumerate(np.array_split(by_target, strips)):
            by_source = strip[np.argsort(self._source[strip], kind="stable")]
            ordered.append(by_source[::-1] if number % 2 else by_source)
        return np.concatenate(ordered)

    def _fill_evenly(self, ordered: Lengths) -> list[list[int]]:
        """Cut like ``_fill``, but even out the last groups so that none is almost empty."""
        filled = self._fill(ordered)
        last = filled[-EVENED_STEPS:]
        indices = np.concatenate(last)
        shares = [sixteenths / 16 for sixteenths in range(8, 17)]
        enough = bisect_left(shares, -len(last), key=lambda share: -len(self._fill(indices, share)))
        return filled[:-EVENED_STEPS] + self._fill(indices, shares[enough])

    def _fill(self, ordered: Lengths, share: float = 1.0) -> list[list[int]]:
        """Cut ``ordered`` into groups as large as this share of the budgets allows."""
        lengths = [side.lengths[ordered].tolist() for side in self._sides]
        budgets = [side.budget * share for side in self._sides]
        most = self._most * share
        nothing = [(0, 0)] * len(budgets)
        held = nothing
        groups: list[list[int]] = [[]]
        for index, *row in zip(ordered.tolist(), *lengths, strict=True):
            held = _with(held, row)
            full = any(n * longest > b for (n, longest), b in zip(held, budgets, strict=True))
            if groups[-1] and (full or len(groups[-1]) + 1 > most):
                groups.append([])
                held = _with(nothing, row)
            groups[-1].append(index)
        return groups

    def _cut(self, group: list[int]) -> tuple[tuple[int, ...], ...]:
        """Deal examples to the shards in turn, longest first: sizes differ by at most one."""
        longest_first = sorted(group, key=lambda index: (-self._whole[index], index))
        return tuple(tuple(longest_first[shard :: self._shards]) for shard in range(self._shards))


def _with(held: list[tuple[int, int]], row: Sequence[int]) -> list[tuple[int, int]]:
    """Add an example's lengths to each side's (number of examples, longest length)."""
    return [
        (count + (length > 0), max(longest, length))
        for (count, longest), length in zip(held, row, strict=True)
    ]


def _sides(costs: Costs, training: TrainingSettings) -> list[_Side]:
    sides = [
        _Side(
            name="target",
            lengths=costs.target,
            budget=training.batch_tokens,
            budget_setting="training.batch_tokens",
            limit_setting="training.max_target_tokens",
        )
    ]
    for name, lengths in costs.sources.items():
        side = _Side(
            name=name,
            lengths=lengths,
            budget=training.source_budget.get(name, math.inf),
            budget_setting=f"training.source_budget.{name}",
            limit_setting=f"training.max_source.{name}",
        )
        sides.append(side)
    return sides


def _refuse_oversize(ids: Sequence[str], side: _Side) -> None:
    worst = int(side.lengths.argmax())
    if side.lengths[worst] > side.budget:
        raise UserError(
            f"expected every example to fit into an optimiser step, but the {side.name} of "
            f"{shown(ids[worst])} has length {side.lengths[worst]} and the budget is "
            f"{side.budget}; raise {side.budget_setting}, or lower {side.limit_setting} to "
            "leave it out"
        )
