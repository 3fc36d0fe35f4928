"""Finding and refusing models, and what it costs to list the plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from multiattn import UserError, load_host
from multiattn.testing import cases
from multiattn_huggingface.families import TextModelSpec
from multiattn_huggingface.media_readers import SpeechReader, VisionReader
from multiattn_huggingface.text_encoder import TextEncoder
from multiattn_huggingface.text_reader import TextReader


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of a tiny model, to be damaged."""

    def copy(family):
        return shutil.copytree(saved(family), tmp_path / family)

    return copy


def fit(folder, reader=TextReader):
    made = reader(model=str(folder))
    made.fit([], None)
    return made


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def start(folder):
    return TextEncoder(fit(folder).spec).start_from(Path())


def test_a_folder_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"got no config.json there"):
        fit(tmp_path)


def test_a_folder_without_weights_is_refused(copied):
    folder = copied("bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"expected weights in model.safetensors in .*, got none"):
        start(folder)


def test_weights_as_a_pickle_are_refused_and_not_opened(copied):
    folder = copied("bert")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UserError, match=r"got pytorch_model.bin alone, a format that is never"):
        start(folder)


def test_damaged_weights_are_refused(copied):
    folder = copied("bert")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"expected weights of the model in .*fetch them again"):
        start(folder)


def test_weights_of_another_model_are_refused(copied):
    folder = copied("bert")
    weights = load_file(folder / "model.safetensors")
    kept = {name: leaf for name, leaf in weights.items() if "layer.1" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"got none for encoder.layer.1.* and 13 more"):
        start(folder)
    wider = {name: torch.cat([leaf, leaf]) for name, leaf in weights.items()}
    save_file(wider, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"expected weights of the sizes in config.json"):
        start(folder)


def test_weights_that_nothing_depends_on_may_be_missing(copied):
    folder = copied("bert")
    weights = load_file(folder / "model.safetensors")
    kept = {name: leaf for name, leaf in weights.items() if not name.startswith("pooler")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert start(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_models_own_is_refused_and_not_run(copied, file):
    folder = copied("bert")
    change(folder / file, auto_map={"AutoModel": "modeling.Mine"})
    (folder / "modeling.py").write_text("raise SystemExit('run')")
    with pytest.raises(UserError, match=r"code of its own \(auto_map\), and that is never run"):
        fit(folder)


@pytest.mark.parametrize(
    ("family", "reader", "advice"),
    [
        ("vit", TextReader, "expected a text model.*of type vit; use hf-vision for it"),
        ("bert", SpeechReader, "expected a speech model.*of type bert; use hf-text for it"),
        ("whisper", VisionReader, "expected a vision model.*of type whisper; use hf-speech for it"),
    ],
)
def test_a_model_of_another_modality_is_refused(saved, family, reader, advice):
    with pytest.raises(UserError, match=advice):
        fit(saved(family), reader)


def test_a_model_that_no_encoder_knows_is_refused(copied):
    folder = copied("bert")
    change(folder / "config.json", model_type="mamba")
    with pytest.raises(UserError, match=r"of type bert, .*of type mamba; choose another model"):
        fit(folder)


@pytest.mark.parametrize(("file", "content"), [("config.json", "{"), ("config.json", "[1]")])
def test_a_damaged_configuration_is_refused(copied, file, content):
    folder = copied("bert")
    (folder / file).write_text(content)
    with pytest.raises(UserError, match=f"expected .*JSON.*{file}"):
        fit(folder)


def test_a_configuration_that_cannot_be_built_is_refused(saved):
    spec = fit(saved("bert")).spec
    broken = json.dumps({**json.loads(spec.config), "num_attention_heads": 3})
    with pytest.raises(UserError, match="expected a configuration that transformers can build"):
        TextEncoder(replace(spec, config=broken))


def test_a_folder_without_a_tokenizer_is_refused(copied):
    folder = copied("bert")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match="expected a tokenizer in"):
        fit(folder)


def test_media_settings_come_from_either_of_two_files(copied):
    pytest.importorskip("multiattn_image")
    folder = copied("vit")
    file = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(f'{{"image_processor": {file.read_text()}}}')
    file.unlink()
    assert json.loads(fit(folder, VisionReader).spec.processor)["image_std"] == [0.2, 0.3, 0.4]
    (folder / "processor_config.json").unlink()
    with pytest.raises(UserError, match=r"expected preprocessor_config.json in .*, got none"):
        fit(folder, VisionReader)


def test_what_is_neither_a_folder_nor_a_name_on_the_hub_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected as model a folder .*got '/no/such/model'"):
        fit("/no/such/model")


NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9"}
OFFLINE = """
from pathlib import Path
from multiattn import UserError
from multiattn_huggingface.model_files import find_settings
try:
    find_settings("someone/a-model", "main", Path("data"))
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("variable", [NO_HUB, {"HF_HUB_OFFLINE": "1"}])
def test_a_name_that_needs_the_network_fails_at_once_without_one(tmp_path, variable):
    environment = {**os.environ, "HF_HOME": str(tmp_path), **variable}
    begin = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert time.monotonic() - begin < 20
    assert said.startswith("expected someone/a-model (revision main) in data/someone/a-model")
    assert "without internet access, put the model's files into that folder" in said
    assert said.count("\n") == 1


CACHED = """
from pathlib import Path
from multiattn_huggingface.model_files import find_settings, find_weights
tiny = ("someone/tiny", "main", Path("data"))
print(find_settings(*tiny).name, find_weights(*tiny).name)
"""


def test_a_model_in_the_hubs_cache_needs_no_network(saved, tmp_path):
    root = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(saved("bert"), root / "snapshots" / "abc")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    environment = {**os.environ, "HF_HOME": str(tmp_path), **NO_HUB}
    found = subprocess.run(
        [sys.executable, "-c", CACHED], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert found == "abc abc\n"


def test_a_spec_without_a_model_is_a_tiny_random_one():
    assert TextEncoder(TextModelSpec()).start_from(Path()) == ""


def test_listing_the_plugin_imports_neither_torch_nor_transformers():
    script = (
        "import sys; from multiattn.cli import app; from multiattn import load_host;"
        "assert load_host().find('encoder', 'hf-text');"
        "assert load_host().find('corpus', 'hf-dataset');"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'datasets', 'pyarrow'};"
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("reader", "family"),
    [
        ("hf-text", "bert"),
        ("hf-text", "t5"),
        ("hf-joint-text", "bert"),
        ("hf-speech", "whisper"),
        ("hf-speech", "wav2vec2"),
        ("hf-vision", "vit"),
        ("hf-vision", "resnet"),
    ],
)
def test_readers_keep_their_contract_once_they_have_a_model(saved, reader, family):
    name = f"multiattn-huggingface/{reader}"
    host = load_host().with_defaults({("reader", name): {"model": str(saved(family))}})
    listed = cases(host, "multiattn-huggingface")
    own = [case for case in listed if case.component == f"reader/{name}"]
    results = [case.result() for case in own]
    assert len(results) > 8
    assert [result for result in results if result.outcome != "passed"] == []
