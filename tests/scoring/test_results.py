"""What a results folder says is what was scored, warnings included."""

import dataclasses
import json

import pytest

from multiattn.cli.run import _print_results
from multiattn.scoring.intervals import Score
from multiattn.scoring.results import Results, worst_readings

SCORE = Score(0.0, 0.0, 0.0, "0-10", "cider|nrefs:1|x:y", 1, ("it is undefined; score more",))
DECODING = {
    "search": {},
    "weights": "w",
    "evaluation": {"metrics": [{"name": "cider"}], "group": None},
}


def test_warnings_are_written_read_and_printed_once(tmp_path, capsys):
    part = dataclasses.replace(SCORE, value=1.0)
    Results({"cider": SCORE, "cider-part": part}, DECODING).write(tmp_path / "test", [], {})
    assert Results.read(tmp_path / "test").scores == {"cider": SCORE, "cider-part": part}
    _print_results("test", tmp_path / "test")
    assert capsys.readouterr().err == "warning: cider: it is undefined; score more\n"


@pytest.mark.parametrize("warned", [True, False])
def test_scores_without_warnings_are_written_as_before(tmp_path, warned):
    score = SCORE if warned else dataclasses.replace(SCORE, warnings=())
    Results({"cider": score}, DECODING).write(tmp_path / "test", [], {})
    content = json.loads((tmp_path / "test" / "scores.json").read_text())
    assert ("warnings" in content["cider"]) is warned
    assert Results.read(tmp_path / "test").scores == {"cider": score}


def test_the_outputs_that_loop_or_leave_most_unread_are_named(tmp_path):
    rows = [
        {"id": f"u{number}", "text": "", "attention": {"audio": {"unread": number, "looping": 0}}}
        for number in range(5)
    ]
    rows.append({"id": "x", "text": "", "attention": {"audio": {"looping": 7}}})
    rows.append({"id": "y", "text": ""})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "hypotheses.jsonl").write_text(lines)
    looping, unread = worst_readings(tmp_path)
    assert looping.endswith("without moving on: 1, most of all x (7 tokens)")
    assert unread.endswith("unread: 4, most of all u4 (4 slots), u3 (3 slots), u2 (2 slots)")


def test_how_sources_were_read_is_kept_with_the_scores(tmp_path):
    decoding = {"search": {}, "evaluation": {}, "weights": ""}
    attention = {"audio": {"entropy": 1.5, "unread": 2}}
    Results({}, decoding, {}, attention).write(tmp_path / "r", [], {})
    assert Results.read(tmp_path / "r").attention == attention
