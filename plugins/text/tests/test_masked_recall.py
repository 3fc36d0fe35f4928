"""Masked recall: which words count, which of them match, and what the metric reports."""

from __future__ import annotations

import pytest

from multiattn.registry.host import load_host
from multiattn.scoring import intervals
from multiattn_text.masked_recall import MaskedRecall


def recall(hypothesis: str, *references: str) -> list[float]:
    return MaskedRecall().statistics([hypothesis], [references])[0].tolist()


def test_recall_counts_the_listed_words_of_the_reference():
    assert recall("ein mann steht .", "ein mann mit hund steht .") == [1, 2]
    assert recall("eine katze läuft .", "ein mann mit hund steht .") == [0, 2]
    assert recall("", "sie lachen .") == [0, 0]


def test_a_concept_matches_in_any_form_and_as_often_as_it_occurs():
    assert recall("drei herren mit rotem hut", "ein mann mit einer roten mütze") == [3, 3]
    assert recall("ein hund und ein hund", "ein hund") == [1, 1]
    assert recall("ein hund", "ein hund und ein schwarzer hund") == [1, 3]


def test_case_is_ignored_and_parts_of_words_do_not_match():
    assert recall("Ein HUND bellt", "ein hund bellt") == [1, 1]
    assert recall("ein hundehalsband", "ein hund") == [0, 1]


def test_the_reference_with_the_highest_recall_counts():
    assert recall("ein hund", "eine katze und ein hund", "ein hund", "ein vogel") == [1, 1]


def test_recall_is_matched_over_counted_and_works_with_the_paired_test():
    host = load_host()
    metric, record = MaskedRecall(), host.find("metric", "masked-recall").record
    references = [["ein hund"], ["ein roter ball"], ["eine frau"]] * 40
    right = [text for (text,) in references]
    blind = ["ein hund", "ein ball", "ein mann"] * 40
    scores = intervals.score(record, metric, blind, references, intervals.Design(resamples=50))
    assert scores["masked-recall"].value == pytest.approx(2 / 4)
    assert "words:multi30k-1|match:thing" in scores["masked-recall"].signature
    comparison = intervals.compare(
        record, metric, [blind, right], references, intervals.Design(resamples=50, trials=200)
    )[0, 1]
    assert comparison.difference == pytest.approx(0.5)
    assert comparison.low > 0
    assert comparison.p_value < 0.05


def test_recall_is_zero_where_no_word_is_counted():
    metric = MaskedRecall()
    assert metric.aggregate(metric.statistics(["a"], [["b"]]).sum(0), 1) == {"masked-recall": 0.0}
