"""What a results folder says is what was scored, warnings included."""

import dataclasses
import json

import pytest

from multiattn.cli.run import _print_results
from multiattn.scoring.intervals import Score
from multiattn.scoring.results import Results

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
