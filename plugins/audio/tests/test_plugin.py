"""The plugin's components and the checks of their settings; see also ``test_every_plugin.py``."""

from __future__ import annotations

from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn_audio import plugin
from multiattn_audio.encoder.filterbank_bilstm import FilterbankBiLSTM
from multiattn_audio.reader import Audio, AudioSpec
from multiattn_audio.recordings.checks import Checks
from multiattn_audio.recordings.formats import RawFormat

RECORDS = list(plugin.multiattn_components())


def test_all_components_are_registered():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names >= {
        *[("encoder", "filterbank-bilstm"), ("reader", "audio")],
        *[("corpus", f"{name}") for name in ("manifest", "an4", "librispeech")],
        *[("corpus", "common-voice"), ("corpus", "folder"), ("metric", "wer"), ("metric", "cer")],
    }


def test_reader_and_encoder_are_built_from_settings():
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


def test_invalid_settings_are_reported_before_anything_is_built():
    host = load_host()
    invalid = [
        ("reader", {"name": "audio", "sample_rate": 8_000}),
        ("reader", {"name": "audio", "speed_perturbation": [0.9, 0]}),
        ("reader", {"name": "audio", "checks": {"clipped_share": 20}}),
        ("reader", {"name": "audio", "raw": {"sample": "int12"}}),
        ("corpus", {"name": "an4", "columns": {}}),
    ]
    for kind, named in invalid:
        (mistake,) = host.mistakes(kind, Named.model_validate(named), "dotted.key")
        assert "dotted.key" in mistake.key
