"""What is wrong with outputs: examples, errors, groups."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from multiattn.errors import UserError
from multiattn.registry import records
from multiattn.scoring.details.errors import common_errors, scores_by_group
from multiattn.scoring.details.examples import (
    most_different,
    scored_examples,
    word_differences,
)
from multiattn.scoring.details.folder import write_details
from multiattn.scoring.details.page import page
from multiattn.scoring.forms.contents import SystemOutputs
from multiattn.scoring.intervals import Design
from multiattn.scoring.matching import Examples
from multiattn.scoring.metric import Edit

RECORD = records.Metric(name="share", target="x:X", summary="…", higher_is_better=True, unit="0-1")
DESIGN = Design(resamples=20)


class Share:
    """The share of the reference's words that the output has in their places."""

    def statistics(self, hypotheses, references):
        rows = []
        for text, targets in zip(hypotheses, references, strict=True):
            words = targets[0].split()
            right = sum(a == b for a, b in zip(text.split(), words, strict=False))
            rows.append((right, len(words)))
        return np.array(rows, dtype=float)

    def aggregate(self, sums, count):
        return {"share": sums[0] / sums[1]}

    def signature(self):
        return "version:1"


class Aligned(Share):
    """Whose edits are by letters."""

    def edits(self, hypotheses, references):
        return [
            [
                Edit("equal" if a == b else "substitute", a, b)
                for a, b in zip(text, own[0], strict=False)
            ]
            for text, own in zip(hypotheses, references, strict=True)
        ]


def examples(*rows):
    """Rows of (id, output, reference, meta)."""
    ids, texts, targets, meta = zip(*rows, strict=True)
    system = SystemOutputs("h", texts, ids)
    other = SystemOutputs("g", tuple(text.upper() for text in texts), ids)
    return Examples((system, other), tuple((each,) for each in targets), meta)


ROWS = examples(
    ("u1", "a b c", "a b c", {"speaker": "ann", "room": "1"}),
    ("u2", "x <b> c", "a b c", {"speaker": "bea", "room": "1"}),
    ("u3", "a b x", "a b c", {"speaker": "ann", "room": "1"}),
    ("u4", "", "a b c d e f", {"speaker": "bea", "room": "1"}),
)
METRICS = [(RECORD, Share())]


def test_the_worst_example_comes_first():
    rows = scored_examples(METRICS, ROWS)
    assert [(row.id, row.scores["share"]) for row in rows] == [
        ("u4", 0.0),
        ("u2", pytest.approx(1 / 3)),
        ("u3", pytest.approx(2 / 3)),
        ("u1", 1.0),
    ]


def test_a_metric_says_which_edits_it_counts():
    rows = {row.id: row for row in scored_examples([(RECORD, Aligned())], ROWS)}
    assert rows["u3"].edits[-1] == Edit("substitute", "x", "c")
    assert len(rows["u3"].edits) == len("a b x")


def test_words_that_differ_are_paired_and_the_rest_is_missing_or_extra():
    assert word_differences("a b c d", "a x d e") == [
        Edit("equal", "a", "a"),
        Edit("substitute", "b", "x"),
        Edit("delete", "c", ""),
        Edit("equal", "d", "d"),
        Edit("insert", "", "e"),
    ]


def test_the_commonest_errors_come_first():
    errors = common_errors(scored_examples(METRICS, ROWS))
    assert (errors[0].kind, errors[0].reference, errors[0].count) == ("delete", "a", 1)
    assert sum(each.count for each in errors) == 2 + 1 + 6
    assert [each.count for each in errors] == sorted((each.count for each in errors), reverse=True)


def test_groups_are_lengths_and_columns_with_several_values():
    groups = scores_by_group(METRICS, ROWS, DESIGN)
    found = {(each.column, each.value): each.score.value for each in groups}
    assert found == {
        ("words in the reference", "0-5"): pytest.approx(6 / 9),
        ("words in the reference", "6-10"): 0,
        ("speaker", "ann"): pytest.approx(5 / 6),
        ("speaker", "bea"): pytest.approx(1 / 9),
    }


def test_the_examples_on_which_two_systems_differ_most():
    first, *_ = most_different(METRICS[0], ROWS, (0, 1))
    assert (first.id, first.texts, first.values) == ("u1", ("a b c", "A B C"), (1.0, 0.0))


def test_the_page_has_texts_as_text():
    text = page(scored_examples(METRICS, ROWS))
    assert "&lt;b&gt;" in text
    assert "<b><b>" not in text
    assert text.count("<article>") == 4
    assert "4 examples, the worst first" in text


def test_a_folder_holds_everything(tmp_path):
    folder = tmp_path / "new" / "details"
    write_details(folder, scored_examples(METRICS, ROWS), METRICS, ROWS, DESIGN)
    assert {file.name for file in folder.iterdir()} == {
        "examples.csv",
        "examples.jsonl",
        "errors.csv",
        "groups.csv",
        "examples.html",
    }
    with (folder / "examples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["u4", "u2", "u3", "u1"]
    assert rows[1]["speaker"] == "bea"
    lines = (folder / "examples.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["scores"] == {"share": 0.0}


def test_a_folder_that_exists_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a new folder after --details"):
        write_details(tmp_path, scored_examples(METRICS, ROWS), METRICS, ROWS, DESIGN)
    assert list(tmp_path.iterdir()) == []
