"""The recipe from end to end, cut short: trained, scored, loaded, drawn; and its mistakes."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import multiattn
from multiattn.cli import app
from multiattn_sensors import make_gestures

SHORT = {
    "training.steps": 2,
    "training.validate_every": 2,
    "training.batch_size": 4,
    "search.max_length": 5,
    "sources.motion.encoder.hidden_dim": 8,
    "decoder.hidden_dim": 8,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_gestures, "SIZES", {"train": 12, "validation": 3, "test": 3})
        make_gestures.make(root / "gestures")
    return root


def invoke(command, *words):
    overrides = [part for key, value in SHORT.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(app, [command, *map(str, words), *overrides * (command == "run")])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "sensors"
    result = invoke("run", "sensors", "--data", data, "--out", path)
    assert result.exit_code == 0, result.output
    return path


def test_the_recipe_trains_and_a_finished_run_needs_no_corpus(run, data, tmp_path):
    (one,) = shutil.copytree(data / "gestures" / "test", tmp_path / "test").glob("0.npy")
    prediction = multiattn.load(run)(str(one))
    assert isinstance(prediction.text, str)
    (record,) = prediction.records()
    assert record.layout.kind == "series"
    assert record.weights.shape[1] == math.ceil(len(np.load(one)) / 4)


def test_a_folder_of_series_is_predicted_and_drawn(run, data, tmp_path):
    result = invoke("predict", run, data / "gestures" / "test", "--attention", tmp_path)
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("*-motion.png"))) == 3


def test_a_bad_series_is_one_sentence_with_exit_code_2(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "gestures" / "train" / "3.npy").write_bytes(b"")
    result = invoke("run", "sensors", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "expected a NumPy array in" in result.output
    assert "Traceback" not in result.output
