"""Keywords of a list, counted by hand and by a loop."""

from __future__ import annotations

import random

import pytest

from multiattn import UserError
from multiattn_text.keyword_recall import KeywordRecall

WORDS = ["New York", "York", "Ann", "C++", "São Paulo", "x"]


@pytest.fixture
def keywords(tmp_path):
    file = tmp_path / "keywords.txt"
    file.write_text("\n".join(WORDS[:5]) + "\n\n", encoding="utf-8")
    return str(file)


def values(metric, output, *references):
    rows = metric.statistics([output], [list(references)])
    return metric.aggregate(rows.sum(0), 1)


def test_keywords_are_counted_as_often_as_they_occur(keywords):
    metric = KeywordRecall(keywords=keywords)
    found = values(metric, "ann saw new  york and c++", "Ann and Ann saw New York, not C++ .")
    assert found == {"keyword-recall": 3 / 4, "keyword-recall-precision": 1.0}
    assert metric.statistics(["x"], [["Annabel in Yorkshire"]]).tolist() == [[0, 0, 0]]


def test_case_counts_if_asked(keywords):
    metric = KeywordRecall(keywords=keywords, lowercase=False)
    assert values(metric, "ann", "Ann")["keyword-recall"] == 0
    assert "case:mixed" in metric.signature()


def test_the_best_reference_counts(keywords):
    metric = KeywordRecall(keywords=keywords)
    assert values(metric, "Ann", "York and York", "Ann")["keyword-recall"] == 1


def test_the_counts_of_single_words_are_those_of_a_loop(tmp_path):
    (tmp_path / "k").write_text("a\nb\n")
    metric, draw = KeywordRecall(keywords=str(tmp_path / "k")), random.Random(1)
    for _ in range(100):
        output, reference = (draw.choices("abcd", k=draw.randint(0, 9)) for _ in range(2))
        both = sum(min(output.count(k), reference.count(k)) for k in "ab")
        wanted, written = (sum(text.count(k) for k in "ab") for text in (reference, output))
        rows = metric.statistics([" ".join(output)], [[" ".join(reference)]])
        assert rows.tolist() == [[both, wanted, written]]


def test_lists_of_other_words_have_other_signatures(keywords, tmp_path):
    (tmp_path / "other").write_text("Bea\n")
    other = KeywordRecall(keywords=str(tmp_path / "other"))
    assert other.signature() != KeywordRecall(keywords=keywords).signature()
    assert other.signature().startswith("keywords:1-")


def test_references_without_a_keyword_are_warned_of(keywords):
    metric = KeywordRecall(keywords=keywords)
    assert "no reference has a keyword" in metric.warnings(["Ann"], [["nobody"]])[0]
    assert metric.warnings(["Ann"], [["Ann"]]) == ()


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "none").write_text("\n\n")
    with pytest.raises(UserError, match="expected a keyword on a line of"):
        KeywordRecall(keywords=str(tmp_path / "none"))
