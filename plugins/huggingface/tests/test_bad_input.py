"""What a user may get wrong, on the command line: one sentence, exit code 2, no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from multiattn.cli import app

pytest.importorskip("multiattn_text")
pytest.importorskip("multiattn_audio")
soundfile = pytest.importorskip("soundfile")

RECIPE = {
    "corpus": {"name": "table", "folder": "mine", "fields": {"en": "en", "sound": "sound"}},
    "splits": {"train": "train", "validation": "train", "test": "train"},
    "target": {"field": "en", "tokenizer": {"kind": "char"}},
    "decoder": {"name": "lstm", "embedding_dim": 4, "hidden_dim": 4},
    "objectives": ["cross-entropy"],
    "training": {"steps": 1, "batch_tokens": 100, "learning_rate": 0.01},
    "search": {"beam": 1, "max_length": 4},
    "evaluation": {"metrics": ["chrf"], "select": "chrf"},
}


@pytest.fixture
def refusal(saved, tmp_path, monkeypatch):
    """What a dry run says about a recipe with this model, which a mistake may have damaged."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "mine").mkdir()

    def run(family, mistake=lambda folder: None, *, component="hf-text", model="model"):
        mistake(Path(shutil.copytree(saved(family), tmp_path / "model")))
        sound = tmp_path / "mine" / "long.wav"
        moments = np.arange(20_000) / 16_000  # the tiny Whisper takes one second
        soundfile.write(sound, 0.2 * np.sin(1400 * moments) * np.sin(9 * moments), 16_000)
        rows = [{"en": text, "sound": str(sound)} for text in ("a dog", "the cat")]
        table = "\n".join(map(json.dumps, rows))
        (tmp_path / "mine" / "train.jsonl").write_text(table)
        source = {
            "field": "en" if component == "hf-text" else "sound",
            "reader": {"name": component, "model": model},
            "encoder": {"name": component},
        }
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump({**RECIPE, "sources": {"given": source}}))
        words = ["run", recipe, "--data", tmp_path, "--out", tmp_path / "run", "--dry-run"]
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 2, result.output
        (line,) = [line for line in result.output.splitlines() if "error:" in line]
        assert "Traceback" not in result.output
        return line

    return run


def without(*patterns):
    def remove(folder):
        for pattern in patterns:
            for file in folder.glob(pattern):
                file.unlink()

    return remove


def with_pickle_alone(folder):
    without("*.safetensors")(folder)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")


def with_code_of_its_own(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "m.M"}}))


def with_config(**values):
    """Change values of config.json; None removes one."""

    def change(folder):
        config = json.loads((folder / "config.json").read_text()) | values
        kept = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return change


def damaged(name):
    def cut(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (with_config(model_type=None), "expected model_type in the config.json of model (bert, "),
        (
            with_config(hidden_size="many"),
            "Field 'hidden_size' expected int, got str (value: 'many'); copy both",
        ),
        (with_config(hidden_size=32), "of shape (16,), not (32,); fetch the config.json and the"),
        (
            with_config(vocab_size=50),
            "got embeddings.word_embeddings.weight of shape (40, 16), not",
        ),
        (with_config(vocab_size=10), "expected a tokenizer with ids below 10, the embeddings that"),
        (damaged("tokenizer.json"), "model/tokenizer.json, got Expecting"),
        (damaged("config.json"), "model/config.json, got Unterminated string"),
        (damaged("model.safetensors"), "expected weights of the model in"),
        (without("config.json"), "got no config.json there; name the folder that"),
        (without("*.safetensors"), "expected weights in model.safetensors in"),
        (with_pickle_alone, "got pytorch_model.bin alone, a format that is never loaded"),
        (with_code_of_its_own, "code of its own (auto_map), and that is never run"),
        (without("tokenizer*"), "expected a tokenizer in"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(refusal, mistake, said):
    assert said in refusal("bert", mistake)


def test_a_model_of_another_modality_is_refused(refusal):
    assert "got model, of type vit; use hf-vision for it" in refusal("vit")


def test_a_tokenizer_without_a_padding_token_is_refused(refusal, save_tokenizer):
    assert "expected a tokenizer with a padding token in" in refusal("bert", save_tokenizer)


def test_a_name_that_needs_the_network_is_refused(refusal):
    said = refusal("bert", model="someone/a-model")
    assert "expected someone/a-model (revision main) in" in said
    assert "without internet access, put the model's files into that folder" in said


def test_a_file_instead_of_a_folder_is_refused_without_asking_the_hub(refusal):
    said = refusal("bert", model="model/model.safetensors")
    assert "expected as model a folder, got the file" in said
    assert said.endswith("name the folder it is in")


def test_a_recording_that_is_too_long_for_whisper_is_refused(refusal):
    said = refusal("whisper", component="hf-speech")
    assert "expected a recording of at most 1 s, which is all that Whisper takes, got" in said
    assert "; cut it at its pauses, as predict does with --set sources" in said
