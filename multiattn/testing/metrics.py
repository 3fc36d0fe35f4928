"""Conformance checks of metrics and normalisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiattn.protocols import TokenizingMetric, WarningMetric
from multiattn.registry.host import Component, Host
from multiattn.scoring.metric import CorpusWeightedMetric
from multiattn.testing.fixtures import build, expect

# Outputs, each with its reference.
EXAMPLES = (
    ("a cat sat on the mat", "a cat sat on the old red mat today"),
    ("two birds sat", "two birds sang in the tall green tree"),
    ("the dog ran home over the old bridge", "the dog ran home over the old bridge"),
    ("somebody was there", "nobody heard the small grey mouse"),
)


def metric_has_its_own_value_and_prefers_correct_outputs(host: Host, row: Component) -> None:
    """Statistics (n, k), a value with the record's name, no output better than the perfect one."""
    metric = build(host, "metric", row.full_name)
    references = [["a cat sat on the old red mat today"], ["two birds sang in the tall green tree"]]
    right = [each[0] for each in references]
    wrong = ["two birds sat on the mat", "nobody sang"]
    values = []
    for hypotheses in (right, wrong):
        rows = np.asarray(metric.statistics(hypotheses, references))
        expect(rows.ndim == 2 and len(rows) == 2, f"expected statistics (n, k), got {rows.shape}")
        aggregated = metric.aggregate(rows.sum(0), len(rows))
        name = row.record.name
        expect(name in aggregated, f"expected a value called {name!r}, got {list(aggregated)}")
        values.append(aggregated[name])
    better = values[0] - values[1]
    higher = getattr(row.record, "higher_is_better", True)
    expect(
        better >= 0 if higher else better <= 0,
        f"expected correct outputs to score better, got {values}",
    )
    expect(bool(metric.signature().strip()), "expected a signature")


def statistics_of_a_part_are_part_of_the_statistics(host: Host, row: Component) -> None:
    """A row depends on its own example only, as intervals and paired tests resample rows.

    The weights of a metric that weights words by their corpus are fixed for this.
    """
    metric = build(host, "metric", row.full_name)
    if isinstance(metric, CorpusWeightedMetric):
        everything, turned = (_statistics(metric, part) for part in ((0, 1, 2, 3), (2, 0, 3, 1)))
        _expect_rows(turned, everything[[2, 0, 3, 1]])
        metric = metric.fitted([[reference] for _, reference in EXAMPLES])
    everything = _statistics(metric, range(len(EXAMPLES)))
    for part in ([3, 0, 2], [1]):
        _expect_rows(_statistics(metric, part), everything[part])


def _statistics(metric: Any, part: Sequence[int]) -> NDArray[np.number]:
    """The rows of some of the examples, in this order."""
    pairs = [EXAMPLES[place] for place in part]
    return np.asarray(metric.statistics([one for one, _ in pairs], [[other] for _, other in pairs]))


def _expect_rows(actual: NDArray[np.number], wanted: NDArray[np.number]) -> None:
    sentence = "expected the same statistics of an example whatever the others are, got"
    advice = "if words are weighted by their corpus, give the metric a method `fitted`"
    shapes = f"{actual.shape} instead of {wanted.shape}"
    expect(actual.shape == wanted.shape, f"{sentence} rows of shape {shapes}; {advice}")
    for own, alone in zip(actual.tolist(), wanted.tolist(), strict=True):
        same = np.allclose(own, alone, rtol=1e-9, equal_nan=True)
        expect(same, f"{sentence} {own} instead of {alone}; {advice}")


def an_empty_output_has_a_value(host: Host, row: Component) -> None:
    """A model may write nothing: statistics and value are numbers then, not NaN."""
    metric = build(host, "metric", row.full_name)
    hypotheses = ["", "two birds sat in the tree"]
    references = [["a cat sat on the old red mat today"], ["two birds sang in the tall green tree"]]
    rows = np.asarray(metric.statistics(hypotheses, references), float)
    for count in (1, 2):  # the empty output alone, and with the other
        value = metric.aggregate(rows[:count].sum(0), count)[row.record.name]
        expect(
            bool(np.isfinite(rows).all() and np.isfinite(value)),
            f"expected numbers for the outputs {hypotheses[:count]!r}, got the statistics "
            f"{rows[:count].tolist()} and the value {value}; count an empty output as one without "
            "a right word",
        )


def error_details_name_examples_by_id(host: Host, row: Component) -> None:
    """If a metric has ``details``, they name the example with the error."""
    metric = build(host, "metric", row.full_name)
    if not hasattr(metric, "details"):
        return
    right, wrong = "a cat sat on the mat", "nobody sang today"
    page = metric.details([right, wrong], [[right], [right]], ["first", "second"])
    expect("second" in page, f"expected the id of the wrong output, 'second', got {page!r}")


def metric_shows_its_tokens_and_warnings(host: Host, row: Component) -> None:
    """If it has ``tokens``, there is a list for each text; if ``warnings``, they are sentences."""
    metric = build(host, "metric", row.full_name)
    texts = ["a cat sat on the mat", "", "two birds"]
    if isinstance(metric, TokenizingMetric):
        tokens = metric.tokens(texts)
        listed = [
            not isinstance(own, str) and all(isinstance(token, str) for token in own)
            for own in tokens
        ]
        expect(
            len(listed) == len(texts) and all(listed),
            f"expected a list of tokens for each of {len(texts)} texts, got {tokens!r}",
        )
    if isinstance(metric, WarningMetric):
        warnings = metric.warnings(texts, [[text] for text in texts])
        expect(
            not isinstance(warnings, str) and all(isinstance(each, str) for each in warnings),
            f"expected warnings as a list of sentences, got {warnings!r}",
        )


def normaliser_is_idempotent(host: Host, row: Component) -> None:
    """It maps text to text, is idempotent, and its signature is one word."""
    normalise = build(host, "normaliser", row.full_name)
    for text in ("", "  Mr. O'Neill can't — won't! \t", "[noise] uh, 3.5 % ǅ ﬁ Straße İ", "你好 ।"):
        once = normalise(text)
        expect(isinstance(once, str), f"expected a string, got {once!r}")
        again = normalise(once)
        expect(again == once, f"expected {once!r} to be left unchanged, got {again!r}")
    name = normalise.signature()
    expect(
        bool(name) and not set(name) & set("| :\n"),
        f"expected a signature of one word without '|' or ':', got {name!r}",
    )


METRIC_CHECKS = (
    metric_has_its_own_value_and_prefers_correct_outputs,
    statistics_of_a_part_are_part_of_the_statistics,
    an_empty_output_has_a_value,
    error_details_name_examples_by_id,
    metric_shows_its_tokens_and_warnings,
)


NORMALISER_CHECKS = (normaliser_is_idempotent,)
