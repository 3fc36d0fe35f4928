"""A run from end to end: trained with a model below the data root, used without it."""

from __future__ import annotations

import shutil

import pytest
import yaml
from click.testing import CliRunner

import multiattn
from multiattn.cli import app

pytest.importorskip("multiattn_text")

LINES = {"en": ["a dog runs .", "the cat runs fast", "a cat .", "the dog"] * 2}
LINES["de"] = ["ein Hund rennt .", "die Katze rennt", "eine Katze .", "der Hund"] * 2
RECIPE = {
    "corpus": {"name": "parallel", "folder": "mine"},
    "sources": {
        "english": {
            "field": "en",
            "reader": {"name": "hf-text", "model": "weights/bert"},
            "encoder": {"name": "hf-text", "layer": "all", "train_from": 3, "projection_dim": 8},
        }
    },
    "target": {"field": "de", "tokenizer": {"kind": "char"}},
    "decoder": {"name": "lstm", "embedding_dim": 8, "hidden_dim": 8},
    "objectives": ["cross-entropy"],
    "training": {
        "steps": 2,
        "batch_tokens": 100,
        "learning_rate": 0.01,
        "validate_every": 2,
        "checkpoint_every": 2,
        "groups": [{"pattern": "english.network", "learning_rate_factor": 0.1}],
    },
    "search": {"beam": 2, "max_length": 10},
    "evaluation": {"metrics": ["chrf"], "select": "chrf"},
}


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def data(saved, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(saved("bert"), root / "weights" / "bert")
    (root / "mine").mkdir()
    for split in ("train", "validation", "test"):
        for language, lines in LINES.items():
            (root / "mine" / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return root


def test_a_finished_run_needs_the_model_no_more(data, tmp_path):
    run = tmp_path / "run"
    words = ["run", tmp_path / "recipe.yaml", "--data", data, "--out", run]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert [file for file in run.rglob("tokenizer.json") if file.parent.name == "english"]
    shutil.rmtree(data)
    predictor = multiattn.load(run)
    prediction = predictor("a dog runs .")
    assert isinstance(prediction.text, str)
    assert prediction.attention["english"].shape[1] == 7  # with both special tokens


def test_a_mistake_in_a_model_is_one_sentence_with_exit_code_2(data, tmp_path):
    for file in (data / "weights" / "bert").glob("*.safetensors"):
        file.unlink()
    result = invoke("run", tmp_path / "recipe.yaml", "--data", data, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "expected weights in model.safetensors" in result.output
    assert "Traceback" not in result.output
