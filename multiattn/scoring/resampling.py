"""Resampling of examples, or of clusters of them: bootstrap, approximate randomisation, intervals.

Utterances of one speaker are not independent of each other, so a bootstrap that draws single ones
gives intervals that are too narrow; it must draw whole speakers (Field & Welsh 2007). Seed, order
of draws and bounds are sacrebleu's where examples are drawn, so an equal signature means an equal
interval.

Letters: n examples, u units that are drawn, k statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from multiattn.errors import UserError
from multiattn.progress import track
from multiattn.scoring.metric import Array, Metric

FEW_CLUSTERS = 20  # of fewer the interval is a rough estimate
_TRIALS_AT_ONCE = 64  # keeps memory linear in the units; a multiple of 32, see swapped_sums
LARGEST_T = 13.0  # above the quantile of one degree of freedom, 12.7
TAIL = 40  # one of so many values is cut off at each end: 2.5 %

Interval = tuple[float, float]


@dataclass(frozen=True)
class Clusters:
    """Which examples belong together: ``values[i]`` is the cluster of example i.

    name: what they have in common, such as ``speaker``. Raises UserError for a single cluster.
    """

    name: str
    values: Sequence[str]

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UserError(
                f"expected at least two values of {self.name!r} to draw from, got {self.count}; "
                "leave --cluster out"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(set(self.values))

    @property
    def signature(self) -> str:
        """The part of a signature that says what was drawn, and from how many."""
        return f"|cluster:{self.name}|clusters:{self.count}|ci:t"

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence if there are few."""
        if self.count >= FEW_CLUSTERS:
            return ()
        return (
            f"{self.count} values of {self.name!r}: from fewer than {FEW_CLUSTERS} clusters an "
            "interval is a rough estimate",
        )


@dataclass(frozen=True)
class Units:
    """What is drawn: examples, or clusters of them.

    sums: (u, k), the summed statistics of each unit. counts: (u,), its examples.
    """

    sums: Array
    counts: Array
    clustered: bool

    @classmethod
    def of(cls, statistics: Array, clusters: Clusters | None) -> Self:
        """The units of examples with these statistics (n, k)."""
        if clusters is None:
            return cls(statistics, np.ones(len(statistics)), clustered=False)
        _, which = np.unique(np.array(clusters.values), return_inverse=True)  # (n,)
        sums = np.zeros((clusters.count, statistics.shape[1]))
        np.add.at(sums, which, statistics)
        return cls(sums, np.bincount(which).astype(np.float64), clustered=True)

    @property
    def examples(self) -> int:
        """How many there are."""
        return round(float(self.counts.sum()))

    def values(self, metric: Metric) -> Mapping[str, float]:
        """The metric's values of all examples."""
        return metric.aggregate(self.sums.sum(axis=0), self.examples)

    def bootstrap(self, metric: Metric, resamples: int, seed: int) -> list[Mapping[str, float]]:
        """Values of ``resamples`` samples, each of u units drawn with replacement."""
        generator = np.random.default_rng(seed)
        count = len(self.sums)
        values = []
        for _ in track(range(resamples), "bootstrap", resamples):
            drawn = generator.integers(count, size=count)
            # counting the draws of each unit avoids copying the drawn rows
            times = np.bincount(drawn, minlength=count).astype(np.float64)  # (u,)
            values.append(metric.aggregate(times @ self.sums, round(float(times @ self.counts))))
        return values

    def interval(self, value: float, drawn: Sequence[float]) -> Interval:
        """The 95 % interval of a value, from those of the samples.

        Of examples: the percentile interval (Efron 1979). Of clusters: Student's t with u - 1
        degrees of freedom times the bootstrap's standard error, as percentiles are too narrow for
        few clusters (Cameron, Gelbach & Miller 2008).
        """
        if not self.clustered:
            return _percentiles(drawn)
        units = len(self.sums)
        spread = float(np.std(drawn, ddof=1)) * math.sqrt(units / (units - 1))
        reach = student_t(units - 1) * spread
        return value - reach, value + reach


def swapped_sums(
    first: Units, second: Units, trials: int, seed: int
) -> Iterator[tuple[Array, Array]]:
    """Sums of both systems (k,) after swapping their outputs at random, unit by unit."""
    generator = np.random.default_rng(seed)
    together = (first.sums + second.sums).sum(axis=0)  # (k,)
    # numpy draws booleans 32 at a time, so blocks of 64 rows equal one large draw
    for done in range(0, trials, _TRIALS_AT_ONCE):
        size = (min(_TRIALS_AT_ONCE, trials - done), len(first.sums))
        kept = generator.integers(2, size=size, dtype=np.bool_).astype(np.float64)
        for sums in second.sums.sum(axis=0) + kept @ (first.sums - second.sums):  # (block, k)
            yield sums, together - sums


def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, by integrating its density from 0 on."""
    steps = np.linspace(0.0, LARGEST_T, 100_001)
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    density = np.exp(log_scale - (degrees + 1) / 2 * np.log1p(steps**2 / degrees))
    density /= math.sqrt(degrees * math.pi)
    areas = np.cumsum((density[1:] + density[:-1]) / 2) * steps[1]
    return float(np.interp(0.5 - 1 / TAIL, areas, steps[1:]))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in their order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[number]))
        corrected[number] = highest
    return corrected


def _percentiles(values: Sequence[float]) -> Interval:
    """The range of the values without the lowest and the highest 2.5 %."""
    cut = len(values) // TAIL
    ordered = sorted(values)
    return float(ordered[cut]), float(ordered[-1 - cut])
