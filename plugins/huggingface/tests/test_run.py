"""A run from end to end: trained with a model below the data root, used without it."""

from __future__ import annotations

import shutil

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file

import multiattn
from multiattn.cli import app
from multiattn_huggingface.text_encoder import TextEncoder

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


def test_a_run_with_cached_features_is_a_run_without_to_the_bit(data, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIATTN_CACHE", str(tmp_path / "cache"))
    computed = []
    outputs = TextEncoder.outputs

    def counted(self, inputs, lengths):
        computed.append(len(inputs))
        return outputs(self, inputs, lengths)

    monkeypatch.setattr(TextEncoder, "outputs", counted)
    encoder = "sources.english.encoder={name: hf-text, layer: all, bilstm: {hidden_dim: 4}}"
    weights, counts = [], []
    for name, cache in (("plain", "false"), ("filling", "true"), ("reading", "true")):
        computed.clear()
        words = ["train", tmp_path / "recipe.yaml", "--data", data, "--out", tmp_path / name]
        for override in (encoder, "training.groups=[]", f"sources.english.cache={cache}"):
            words += ["--set", override]
        result = invoke(*words)
        assert result.exit_code == 0, result.output
        weights.append(load_file(tmp_path / name / "model.safetensors"))
        counts.append(sum(computed))
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])
    texts, attention_maps = 4, 1
    assert counts[1:] == [texts + attention_maps, attention_maps]


def test_a_mistake_in_a_model_is_one_sentence_with_exit_code_2(data, tmp_path):
    for file in (data / "weights" / "bert").glob("*.safetensors"):
        file.unlink()
    result = invoke("run", tmp_path / "recipe.yaml", "--data", data, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "expected weights in model.safetensors" in result.output
    assert "Traceback" not in result.output
