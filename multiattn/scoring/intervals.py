"""Scores with signatures, confidence intervals and paired tests, for any metric.

A metric returns a row of statistics per example and turns sums of rows into values; the rest is
here, once for all metrics. No torch is imported and no file is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from multiattn.errors import UserError
from multiattn.progress import progress_bar, track
from multiattn.registry import records
from multiattn.scoring.comparable_texts import ComparableTexts, comparable
from multiattn.scoring.metric import Array, Metric, References
from multiattn.scoring.resampling import Clusters, Units, swapped_sums

RESAMPLES = 1000
TRIALS = 10_000
SEED = 12345
ENDS = {"%": 100.0, "0-1": 1.0, "0-10": 10.0, "0-100": 100.0}  # of scales, by unit


@dataclass(frozen=True)
class Score:
    """A value on the official scorer's scale, its 95 % interval, and what it depends on.

    warnings: why it means little on these texts, in sentences.
    """

    value: float
    low: float
    high: float
    unit: str
    signature: str
    count: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same examples: ``difference`` is second minus first, with its interval.

    ``p_value`` is the probability of so large a difference, either way, if the systems were equal.
    """

    first: Score
    second: Score
    difference: float
    low: float
    high: float
    p_value: float
    signature: str


@dataclass(frozen=True)
class Design:
    """How scores are sampled.

    clusters: what is drawn instead of single examples. matching: what a signature says of how
    outputs and references were matched. resamples, trials: of the bootstrap and of randomisation.
    """

    clusters: Clusters | None = None
    matching: str = ""
    resamples: int = RESAMPLES
    trials: int = TRIALS
    seed: int = SEED

    def sampling(self, texts: ComparableTexts, *, randomised: bool = False) -> str:
        """The part of a signature that says how it was done."""
        trials = f"|ar:{self.trials}" if randomised else ""
        drawn = self.clusters.signature if self.clusters else ""
        return (
            f"bs:{self.resamples}{trials}|seed:{self.seed}{drawn}{self.matching}{texts.signature}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why intervals mean little."""
        return self.clusters.warnings if self.clusters else ()


DEFAULT = Design()


def as_plain_data(result: Score | Comparison) -> dict[str, Any]:
    """The fields by name, as JSON has them; ``warnings`` only if there are some."""
    return asdict(
        result,
        dict_factory=lambda pairs: {k: v for k, v in pairs if k != "warnings" or v},
    )


def score(
    record: records.Metric,
    metric: Metric,
    hypotheses: Sequence[str],
    references: References,
    design: Design = DEFAULT,
) -> dict[str, Score]:
    """Every value of the metric, by name, with a bootstrap interval (Efron 1979; Koehn 2004).

    ``references[i]`` holds the references of ``hypotheses[i]``; their number may vary. All texts
    are scored in one Unicode form, see ``comparable``. Raises UserError if there is nothing to
    score or an example has no reference.
    """
    texts = comparable([hypotheses], references)
    (outputs,) = texts.systems
    units = Units.of(statistics_of(metric, outputs, texts.references), design.clusters)
    drawn = units.bootstrap(metric, design.resamples, design.seed)
    signature = _signature(record, metric, references, design.sampling(texts))
    warnings = (*texts.warnings(metric, outputs), *design.warnings)
    return _scores(metric, units, drawn, record.unit, signature, warnings)


def score_groups(
    record: records.Metric,
    metric: Metric,
    hypotheses: Sequence[str],
    references: References,
    groups: Sequence[str],
    design: Design = DEFAULT,
) -> dict[str, dict[str, Score]]:
    """As ``score``, for each group separately, in alphabetical order; ``groups[i]`` is that of i.

    The statistics of an example are those it has in the whole set, whose scores carry the
    warnings. Examples are drawn, not clusters. Raises as ``score``.
    """
    texts = comparable([hypotheses], references)
    statistics = statistics_of(metric, texts.systems[0], texts.references)  # (n, k)
    sampling = replace(design, clusters=None).sampling(texts)
    scores = {}
    for group in track(sorted(set(groups)), f"{record.name} of groups", len(set(groups))):
        rows = [row for row, name in enumerate(groups) if name == group]
        units = Units.of(statistics[rows], None)
        drawn = units.bootstrap(metric, design.resamples, design.seed)
        signature = _signature(record, metric, [references[row] for row in rows], sampling)
        scores[group] = _scores(metric, units, drawn, record.unit, signature)
    return scores


def compare(
    record: records.Metric,
    metric: Metric,
    systems: Sequence[Sequence[str]],
    references: References,
    design: Design = DEFAULT,
) -> dict[tuple[int, int], Comparison]:
    """Test for each pair of systems whether they differ by more than chance.

    The interval of the difference is from the paired bootstrap (Koehn 2004), the p-value from
    approximate randomisation (Riezler & Maxwell 2005), which makes fewer type I errors. Raises as
    ``score``.
    """
    texts = comparable(systems, references)
    units = [
        Units.of(statistics_of(metric, outputs, texts.references), design.clusters)
        for outputs in texts.systems
    ]
    # the same seed draws the same examples for all systems, which makes the test paired
    drawn = [each.bootstrap(metric, design.resamples, design.seed) for each in units]
    signature = _signature(record, metric, references, design.sampling(texts))
    warnings = [(*texts.warnings(metric, own), *design.warnings) for own in texts.systems]
    scores = [
        _scores(metric, own, values, record.unit, signature, sentences)[record.name]
        for own, values, sentences in zip(units, drawn, warnings, strict=True)
    ]
    signature = _signature(record, metric, references, design.sampling(texts, randomised=True))
    comparisons = {}
    for one, other in combinations(range(len(units)), 2):
        difference = scores[other].value - scores[one].value
        differences = [
            b[record.name] - a[record.name] for a, b in zip(drawn[one], drawn[other], strict=True)
        ]
        low, high = units[one].interval(difference, differences)
        p_value = _p_value(record.name, metric, units[one], units[other], difference, design)
        comparisons[one, other] = Comparison(
            scores[one], scores[other], difference, low, high, p_value, signature
        )
    return comparisons


def _p_value(
    name: str, metric: Metric, first: Units, second: Units, difference: float, design: Design
) -> float:
    """The share of random swaps that make so large a difference, either way."""
    count = first.examples
    swapped = swapped_sums(first, second, design.trials, design.seed)
    by_chance = [
        abs(metric.aggregate(a, count)[name] - metric.aggregate(b, count)[name])
        for a, b in track(swapped, f"randomisation of {name}", design.trials)
    ]
    # equal differences count too, up to rounding: or a system would differ from itself
    as_large = sum(chance >= abs(difference) - 1e-12 for chance in by_chance)
    return (as_large + 1) / (design.trials + 1)


def statistics_of(metric: Metric, hypotheses: Sequence[str], references: References) -> Array:
    """A row of statistics for each example: (n, k). Raises as ``score``."""
    if len(hypotheses) != len(references):
        raise UserError(
            "expected references for every hypothesis, "
            f"got {len(hypotheses)} hypotheses and references for {len(references)}; "
            "give both for the same examples"
        )
    if not hypotheses:
        raise UserError("expected at least one example to score, got none; give some")
    for number, targets in enumerate(references, start=1):
        if not targets:
            raise UserError(
                f"expected at least one reference for every example, got none for example "
                f"{number}; add one or leave the example out"
            )
    with progress_bar("comparing with references", None):
        computed = metric.statistics(hypotheses, references)
    statistics = np.asarray(computed, dtype=np.float64)  # (n, k)
    assert statistics.shape[:1] == (len(hypotheses),), statistics.shape  # noqa: S101
    return statistics


def _scores(
    metric: Metric,
    units: Units,
    drawn: Sequence[Mapping[str, float]],
    unit: str,
    signature: str,
    warnings: tuple[str, ...] = (),
) -> dict[str, Score]:
    scores = {}
    for name, value in units.values(metric).items():
        low, high = units.interval(float(value), [values[name] for values in drawn])
        top = _highest(unit, units, metric, name)
        low, high = max(low, 0.0) if value >= 0 else low, min(high, max(top, float(value)))
        scores[name] = Score(float(value), low, high, unit, signature, units.examples, warnings)
    return scores


def _highest(unit: str, units: Units, metric: Metric, name: str) -> float:
    """The end of the scale; infinite where some example is beyond it, as word error rates are."""
    end = ENDS.get(unit)
    if end is None or not units.clustered:
        return math.inf
    pairs = zip(units.sums, units.counts, strict=True)
    own = (metric.aggregate(row, round(float(count)))[name] for row, count in pairs)
    return math.inf if any(value > end for value in own) else end


def _signature(
    record: records.Metric, metric: Metric, references: References, sampling: str
) -> str:
    numbers = {len(targets) for targets in references}
    number = numbers.pop() if len(numbers) == 1 else "var"
    return f"{record.name}|nrefs:{number}|{sampling}|{metric.signature()}"
