"""Metrics of which an example's statistics depend on the other examples, or are not numbers."""

import numpy as np

from multiattn import Metric, hookimpl


@hookimpl
def multiattn_components():
    for name in ("Centred", "Counting", "Ratio"):
        yield Metric(
            name=name.lower(),
            target=f"dependent_statistics:{name}",
            summary="has statistics that are wrong",
            higher_is_better=True,
            unit="0-1",
        )


class Centred:
    """Measures from the mean of the examples."""

    def statistics(self, hypotheses, references):
        pairs = zip(hypotheses, references, strict=True)
        right = np.array([[float(one in others)] for one, others in pairs])
        return np.hstack([right - right.mean(), np.ones_like(right)])

    def aggregate(self, sums, count):
        return {"centred": sums[0] / sums[1]}

    def signature(self):
        return "centred"


class Counting:
    """Counts the examples that it has seen in its life."""

    def __init__(self) -> None:
        self.seen = 0

    def statistics(self, hypotheses, references):
        self.seen += len(hypotheses)
        return np.full((len(hypotheses), 1), float(self.seen))

    def aggregate(self, sums, count):
        return {"counting": float(count)}

    def signature(self):
        return "counting"


class Ratio:
    """Right words over the words of the output, of which there may be none."""

    def statistics(self, hypotheses, references):
        rows = []
        for output, (reference, *_) in zip(hypotheses, references, strict=True):
            words = output.split()
            right = sum(word in reference.split() for word in words)
            rows.append([np.float64(right) / len(words) if words else np.nan])
        return np.array(rows)

    def aggregate(self, sums, count):
        return {"ratio": float(sums[0]) / count}

    def signature(self):
        return "ratio"
