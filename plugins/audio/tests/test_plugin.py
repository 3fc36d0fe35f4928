"""The table of contents: every record leads somewhere, and reading it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from multiattn.plugins import load_host
from multiattn.records import Record
from multiattn.settings import Named
from multiattn_audio import plugin
from multiattn_audio.checks import Checks
from multiattn_audio.encoder import FilterbankBiLSTM
from multiattn_audio.formats import RawFormat
from multiattn_audio.reader import Audio, AudioSpec

README = Path(__file__).parents[1] / "README.md"
RECORDS = list(plugin.multiattn_components())


def test_reading_the_table_of_contents_imports_nothing_heavy():
    script = (
        "import sys; from multiattn_audio import plugin; list(plugin.multiattn_components());"
        "assert not {'torch', 'torchaudio', 'librosa', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}-{record.name}")
def test_every_record_leads_to_a_class_that_the_host_can_find(record: Record):
    target = load_host().target(record.kind, record.name)
    module, _, name = record.target.partition(":")
    assert (target.__module__, target.__name__) == (module, name)


def test_the_issues_components_are_all_there():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names >= {
        *[("encoder", "filterbank-bilstm"), ("reader", "audio")],
        *[("corpus", f"{name}") for name in ("manifest", "an4", "librispeech")],
        *[("corpus", "common-voice"), ("corpus", "folder"), ("metric", "wer"), ("metric", "cer")],
    }


def test_a_recipes_settings_build_reader_and_encoder():
    host = load_host()
    settings = {
        "name": "audio",
        "speed_perturbation": [0.9, 1.1],
        "raw": {"byte_order": "big"},
        "checks": {"silent_peak": 0.01},
    }
    reader = host.build("reader", Named.model_validate(settings))
    assert isinstance(reader, Audio)
    assert reader.random
    assert reader._raw == RawFormat(byte_order="big")
    assert reader._checks == Checks(silent_peak=0.01)
    encoder = host.build("encoder", Named(name="filterbank-bilstm", hidden_dim=3), AudioSpec(8_000))
    assert isinstance(encoder, FilterbankBiLSTM)


def test_a_wrong_setting_is_a_mistake_before_anything_is_built():
    host = load_host()
    wrong = [
        ("reader", {"name": "audio", "sample_rate": 8_000}),
        ("reader", {"name": "audio", "speed_perturbation": [0.9, 0]}),
        ("reader", {"name": "audio", "checks": {"clipped_share": 20}}),
        ("reader", {"name": "audio", "raw": {"sample": "int12"}}),
        ("corpus", {"name": "an4", "columns": {}}),
    ]
    for kind, named in wrong:
        (mistake,) = host.mistakes(kind, Named.model_validate(named), "place")
        assert "place" in mistake


def test_the_readme_lists_every_component():
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ") and "`" in line]
    listed = {(row[1].strip(), name) for row in rows for name in row[2].split("`")[1::2]}
    assert listed == {(record.kind, record.name) for record in RECORDS}


def test_the_readmes_settings_are_settings():
    host, mistakes = load_host(), []
    text = README.read_text(encoding="utf-8")
    for block in (part.partition("```")[0] for part in text.split("```yaml")[1:]):
        for line in block.splitlines():
            for kind, named in (yaml.safe_load(line) or {}).items() if "{name" in line else ():
                settings = {key: value for key, value in named.items() if key != "folder"}
                mistakes += host.mistakes(kind, Named.model_validate(settings), "README.md")
    assert mistakes == []
    assert text.count("corpus: {name:") == 6
