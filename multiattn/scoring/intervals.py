"""Scores with signatures, confidence intervals and paired tests, for any metric.

A metric returns a row of statistics per example and turns sums of rows into values; all resampling
of examples is here, once for all metrics. Seed, order of draws and interval bounds are sacrebleu's,
so an equal signature means an equal interval. No torch is imported and no file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from multiattn.errors import UserError
from multiattn.progress import progress_bar, track
from multiattn.registry import records
from multiattn.scoring.comparable_texts import comparable
from multiattn.scoring.metric import Array, Metric, References

RESAMPLES = 1000
TRIALS = 10_000
SEED = 12345
_TRIALS_AT_ONCE = 64  # keeps memory linear in the examples; a multiple of 32, see _swapped_sums


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
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Score]:
    """Every value of the metric, by name, with a bootstrap interval (Efron 1979; Koehn 2004).

    ``references[i]`` holds the references of ``hypotheses[i]``; their number may vary. All texts
    are scored in one Unicode form, see ``comparable``. Raises UserError if there is nothing to
    score or an example has no reference.
    """
    texts = comparable([hypotheses], references)
    (outputs,) = texts.systems
    statistics = _statistics(metric, outputs, texts.references)  # (n, k)
    drawn = _bootstrap(metric, statistics, resamples, seed)
    sampling = f"bs:{resamples}|seed:{seed}{texts.signature}"
    signature = _signature(record, metric, references, sampling)
    warnings = texts.warnings(metric, outputs)
    return _scores(metric, statistics, drawn, record.unit, signature, warnings)


def score_groups(
    record: records.Metric,
    metric: Metric,
    hypotheses: Sequence[str],
    references: References,
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, dict[str, Score]]:
    """As ``score``, for each group separately, in alphabetical order; ``groups[i]`` is that of i.

    The statistics of an example are those it has in the whole set, whose scores carry the
    warnings. Raises as ``score``.
    """
    texts = comparable([hypotheses], references)
    statistics = _statistics(metric, texts.systems[0], texts.references)  # (n, k)
    scores = {}
    for group in track(sorted(set(groups)), f"{record.name} of groups", len(set(groups))):
        rows = [row for row, name in enumerate(groups) if name == group]
        drawn = _bootstrap(metric, statistics[rows], resamples, seed)
        own = [references[row] for row in rows]
        sampling = f"bs:{resamples}|seed:{seed}{texts.signature}"
        signature = _signature(record, metric, own, sampling)
        scores[group] = _scores(metric, statistics[rows], drawn, record.unit, signature)
    return scores


def compare(
    record: records.Metric,
    metric: Metric,
    first: Sequence[str],
    second: Sequence[str],
    references: References,
    *,
    resamples: int = RESAMPLES,
    trials: int = TRIALS,
    seed: int = SEED,
) -> Comparison:
    """Test whether two systems differ by more than chance.

    The interval of the difference is from the paired bootstrap (Koehn 2004), the p-value from
    approximate randomisation (Riezler & Maxwell 2005), which makes fewer type I errors. Raises as
    ``score``.
    """
    name = record.name
    texts = comparable([first, second], references)
    statistics = [_statistics(metric, outputs, texts.references) for outputs in texts.systems]
    # the same seed draws the same examples for both systems, which makes the test paired
    drawn = [_bootstrap(metric, rows, resamples, seed) for rows in statistics]
    seeded = f"seed:{seed}{texts.signature}"
    signature = _signature(record, metric, references, f"bs:{resamples}|{seeded}")
    one, other = (
        _scores(metric, rows, values, record.unit, signature, texts.warnings(metric, own))[name]
        for rows, values, own in zip(statistics, drawn, texts.systems, strict=True)
    )
    low, high = _interval([b[name] - a[name] for a, b in zip(*drawn, strict=True)])
    difference = other.value - one.value
    count = len(statistics[0])
    swapped = _swapped_sums(statistics[0], statistics[1], trials, seed)
    by_chance = [
        abs(metric.aggregate(a, count)[name] - metric.aggregate(b, count)[name])
        for a, b in track(swapped, f"randomisation of {name}", trials)
    ]
    # equal differences count too, up to rounding: or a system would differ from itself
    as_large = sum(chance >= abs(difference) - 1e-12 for chance in by_chance)
    return Comparison(
        first=one,
        second=other,
        difference=difference,
        low=low,
        high=high,
        p_value=(as_large + 1) / (trials + 1),
        signature=_signature(record, metric, references, f"bs:{resamples}|ar:{trials}|{seeded}"),
    )


def _statistics(metric: Metric, hypotheses: Sequence[str], references: References) -> Array:
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
    statistics: Array,
    drawn: Sequence[Mapping[str, float]],
    unit: str,
    signature: str,
    warnings: tuple[str, ...] = (),
) -> dict[str, Score]:
    count = len(statistics)
    scores = {}
    for name, value in metric.aggregate(statistics.sum(axis=0), count).items():
        low, high = _interval([values[name] for values in drawn])
        scores[name] = Score(float(value), low, high, unit, signature, count, warnings)
    return scores


def _bootstrap(
    metric: Metric, statistics: Array, resamples: int, seed: int
) -> list[Mapping[str, float]]:
    """Values of ``resamples`` samples, each of n examples drawn with replacement."""
    generator = np.random.default_rng(seed)
    count = len(statistics)
    values = []
    for _ in track(range(resamples), "bootstrap", resamples):
        drawn = generator.integers(count, size=count)
        # counting the draws of each example avoids copying the drawn rows
        times = np.bincount(drawn, minlength=count).astype(np.float64)  # (n,)
        values.append(metric.aggregate(times @ statistics, count))
    return values


def _swapped_sums(
    first: Array, second: Array, trials: int, seed: int
) -> Iterator[tuple[Array, Array]]:
    """Sums of both systems (k,) after swapping their outputs at random, per example."""
    generator = np.random.default_rng(seed)
    together = (first + second).sum(axis=0)  # (k,)
    # numpy draws booleans 32 at a time, so blocks of 64 rows equal one large draw
    for done in range(0, trials, _TRIALS_AT_ONCE):
        size = (min(_TRIALS_AT_ONCE, trials - done), len(first))
        kept = generator.integers(2, size=size, dtype=np.bool_).astype(np.float64)
        for sums in second.sum(axis=0) + kept @ (first - second):  # (block, k)
            yield sums, together - sums


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values without the lowest and the highest 2.5 %."""
    cut = len(values) // 40
    ordered = sorted(values)
    return float(ordered[cut]), float(ordered[-1 - cut])


def _signature(
    record: records.Metric, metric: Metric, references: References, sampling: str
) -> str:
    numbers = {len(targets) for targets in references}
    number = numbers.pop() if len(numbers) == 1 else "var"
    return f"{record.name}|nrefs:{number}|{sampling}|{metric.signature()}"
