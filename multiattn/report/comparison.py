"""Several runs on the same examples: do they differ by more than chance, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from multiattn.report.outputs import Named
from multiattn.scoring.details.examples import TwoOutputs, most_different
from multiattn.scoring.intervals import Comparison, compare
from multiattn.scoring.matching import Examples
from multiattn.scoring.resampling import holm

MOST_DIFFERENT = 10  # examples side by side


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs of several. p_value: corrected for the number of pairs."""

    names: tuple[str, str]
    comparison: Comparison
    p_value: float
    different: tuple[TwoOutputs, ...]


def compare_runs(
    names: Sequence[str], outputs: Sequence[Examples], metric: Named
) -> list[ComparedRuns]:
    """Every pair of the runs, if all have outputs for the same references; else none."""
    first = outputs[0]
    if any(each.ids != first.ids or each.references != first.references for each in outputs):
        return []
    systems = tuple(each.systems[0] for each in outputs)
    pairs = compare(*metric, [system.texts for system in systems], first.references)
    corrected = holm([each.p_value for each in pairs.values()])
    together = Examples(systems, first.references, first.meta)
    return [
        ComparedRuns(
            (names[pair[0]], names[pair[1]]),
            comparison,
            p_value,
            tuple(most_different(metric, together, pair)[:MOST_DIFFERENT]),
        )
        for (pair, comparison), p_value in zip(pairs.items(), corrected, strict=True)
    ]
