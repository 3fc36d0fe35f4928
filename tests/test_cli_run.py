"""The commands that train, evaluate and predict: what they print, and what they say of mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parent / "tiny"))
import tiny_runs

from multiattn.cli import app


def call(*arguments, stdin=""):
    everything = ["--plugin", str(tiny_runs.PLUGIN), *map(str, arguments)]
    return CliRunner().invoke(app, everything, input=stdin)


@pytest.fixture(scope="module", autouse=True)
def only_the_core():
    tiny_runs.host()  # it sets which plugins are allowed


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran")
    tiny_runs.start(folder)
    result = call("run", folder / "tiny.yaml", "--data", folder, "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_one_command_trains_evaluates_and_says_how_to_go_on(ran):
    folder, output = ran
    assert "validation:" in output
    assert "test:" in output
    assert "tiny-accuracy" in output
    assert str(folder / "run" / "results") in output
    last = output.strip().splitlines()[-1]
    assert f"multiattn predict {folder / 'run'}" in last
    assert (folder / "run" / "results" / "test" / "scores.json").exists()
    versions = json.loads((folder / "run" / "versions.json").read_text())
    assert versions.keys() >= {"python", "torch", "multiattn"}
    assert list((folder / "run" / "tensorboard").glob("events*"))


def test_the_same_command_again_changes_nothing(ran):
    folder, _ = ran
    files = {file: file.read_bytes() for file in folder.rglob("*.safetensors")}
    again = call("run", folder / "tiny.yaml", "--data", folder, "--out", folder / "run")
    assert again.exit_code == 0, again.output
    assert {file: file.read_bytes() for file in folder.rglob("*.safetensors")} == files


def test_the_hint_is_a_command_that_works(ran):
    folder, output = ran
    words = output.strip().splitlines()[-1].split()
    result = call("predict", folder / "run", *words[words.index(str(folder / "run")) + 1 :])
    assert result.exit_code == 0, result.output


def test_predictions_are_lines_json_and_pictures(ran, tmp_path):
    folder, _ = ran
    result = call("predict", folder / "run", "-", "--json", stdin="abc\ndefg\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["input"] for line in lines] == [{"letters": "abc"}, {"letters": "defg"}]
    result = call("predict", folder / "run", "abc", "letters=b", "--attention", tmp_path)
    assert result.stdout.splitlines()[0] == lines[0]["text"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"000{number}-letters.{suffix}" for number in (1, 2) for suffix in ("json", "png")
    ]


def test_evaluation_uses_the_data_of_the_run(ran):
    folder, _ = ran
    result = call(
        "evaluate",
        folder / "run",
        "--split",
        "validation",
        "--name",
        "b1",
        "--set",
        "search.beam=1",
    )
    assert result.exit_code == 0, result.output
    assert (folder / "run" / "results" / "validation@b1" / "hypotheses.jsonl").exists()


def test_a_seed_and_settings_replace_the_recipe_s(ran, tmp_path):
    folder, _ = ran
    out = tmp_path / "seeded"
    short = ["--seed", "7", "--set", "training.steps=1"]
    result = call("train", folder / "tiny.yaml", "--data", folder, "--out", out, *short)
    assert result.exit_code == 0, result.output
    assert "seed: 7" in (out / "recipe.yaml").read_text()
    assert not (out / "results").exists()


def test_a_dry_run_shows_all_and_writes_nothing(ran, tmp_path):
    folder, _ = ran
    out = tmp_path / "dry"
    result = call("run", folder / "tiny.yaml", "--data", folder, "--out", out, "--dry-run")
    assert result.exit_code == 0, result.output
    for part in (
        "parameters:",
        "encoders.letters",
        "steps per epoch",
        "peak memory",
        "batch_tokens",
    ):
        assert part in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("run RECIPE --data FOLDER/elsewhere", "--data"),
        ("run RECIPE --data FOLDER --set training.batch_token=3", "batch_tokens"),
        ("run RECIPE --data FOLDER --set training.steps=many", "integer"),
        ("run RECIPE --data FOLDER --set decoder.name=gru", "gru"),
        ("run RECIPE --data FOLDER --set training.batch_tokens=61", "training.batch_tokens"),
        ("run RECIPE --data FOLDER --set splits.train=exam", "splits.train"),
        ("evaluate FOLDER", "expected a run folder"),
        ("evaluate FOLDER/run --set search.bean=2", "beam"),
        ("evaluate FOLDER/run --split exam", "exam"),
        ("predict FOLDER/run", "at least one input"),
        ("predict FOLDER abc", "expected a run folder"),
        ("run nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(ran, command, sentence):
    folder, _ = ran
    out = ["--out", folder / "run"] if command.startswith("run ") else []
    before = {file: file.read_bytes() for file in (folder / "run").rglob("*") if file.is_file()}
    words = [
        word.replace("RECIPE", str(folder / "tiny.yaml")).replace("FOLDER", str(folder))
        for word in command.split()
    ]
    result = call(*words, *out)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    after = {file: file.read_bytes() for file in (folder / "run").rglob("*") if file.is_file()}
    assert after == before


def test_three_mistakes_are_three_sentences(ran):
    folder, _ = ran
    wrong = ["seed=x", "training.stepz=1", "decoder.embedding_dims=4"]
    sets = [word for override in wrong for word in ("--set", override)]
    result = call("run", folder / "tiny.yaml", "--data", folder, *sets)
    assert result.exit_code == 2
    assert all(place in result.stderr for place in ("seed", "stepz", "embedding_dims"))


def test_truncated_weights_are_named(ran, tmp_path):
    folder, _ = ran
    run = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    result = call("predict", run, "abc")
    assert result.exit_code == 2
    assert "model.safetensors" in result.stderr
