"""A run folder of an earlier release predicts what it predicted then, scores, and continues."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_runs

import multiattn
from multiattn.errors import UserError
from multiattn.recipe.loading import load_recipe
from multiattn.run_folder import RunFolder
from multiattn.runs.evaluate import evaluate
from multiattn.runs.system import open_system
from multiattn.training.accelerator import start_accelerator

MADE_AT_F53CC26 = Path(__file__).parent / "made_at_f53cc26"
PREDICTED_THEN = {
    "ab": ("E", -1.9078773260116577),
    "hgfedc": ("F", -1.9047274589538574),
    "face": ("F", -1.8950541019439697),
}


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(MADE_AT_F53CC26, tmp_path / "old"))


def test_an_old_run_predicts_the_same(folder):
    predictor = multiattn.load(folder / "run", host=tiny_runs.host(), device="cpu")
    for text, (output, score) in PREDICTED_THEN.items():
        prediction = predictor(text)
        assert prediction.text == output
        assert prediction.score == pytest.approx(score, abs=1e-5)


def test_an_old_run_is_scored(folder):
    system = open_system(RunFolder(folder / "run"), tiny_runs.host())
    accelerator = start_accelerator(system.settings, system.run)
    splits = tiny_runs.splits_of(tiny_runs.start(folder))
    scores = evaluate(system, "test", "", splits, accelerator)
    assert set(scores) == {"tiny-accuracy"}


def test_an_old_run_continues(folder):
    log = (folder / "run" / "log.jsonl").read_text().splitlines()
    run = tiny_runs.trained(tiny_runs.start(folder, ["training.steps=15"]))
    lines = run.log.read_text().splitlines()
    assert lines[: len(log)] == log
    assert max(json.loads(line)["step"] for line in lines) == 15


def test_an_old_run_leaves_texts_as_they_are_and_records_it(folder):
    run = tiny_runs.trained(tiny_runs.start(folder, ["training.steps=13"]))
    assert load_recipe(run.recipe, (), tiny_runs.host()).target.tokenizer.unicode == "none"
    assert open_system(run, tiny_runs.host()).processors.tokenizer.settings.unicode == "none"
    run = tiny_runs.trained(tiny_runs.start(folder, ["training.steps=14"]))  # once more
    with pytest.raises(UserError, match=r"other values of target\.tokenizer\.unicode"):
        tiny_runs.trained(tiny_runs.start(folder, ["target.tokenizer.unicode=nfc"]))


def test_a_new_run_with_the_tokenizer_of_an_old_one_leaves_texts_as_they_are(folder):
    reused = [f"target.tokenizer_of={folder / 'run'}", "training.steps=1"]
    run = tiny_runs.trained(tiny_runs.start(folder, reused, run="new"))
    assert load_recipe(run.recipe, (), tiny_runs.host()).target.tokenizer.unicode == "none"


def test_a_run_continues_with_a_bound_that_drops_none_of_its_rows(tmp_path):
    run = tiny_runs.trained(tiny_runs.start(tmp_path))
    bounded = ["training.steps=13", "training.max_source.letters=100"]
    tiny_runs.trained(tiny_runs.start(tmp_path, bounded))
    assert json.loads(run.log.read_text().splitlines()[-1])["step"] == 13
    short = ["training.steps=14", "training.max_source.letters=3"]
    with pytest.raises(UserError, match="got others in train"):
        tiny_runs.trained(tiny_runs.start(tmp_path, short))
