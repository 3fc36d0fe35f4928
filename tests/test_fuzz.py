"""A sample of the fuzzing of ``tests/fuzz/fuzz.py``, which a maintainer runs for an hour."""

from __future__ import annotations

import importlib.util

import fuzz
import pytest
from fuzz_targets import TARGETS

ATTEMPTS = {"runs": 12, "recipes": 60, "overrides": 60, "scores": 60}
PLUGINS = {"text", "audio", "image"}
NEEDED = {"sound": {"audio"}, "pictures": {"image"}, "scores": {"text"}}
CORE_ALONE = {"runs", "tokenizers", "inputs"}


def installed(plugin: str) -> bool:
    return importlib.util.find_spec(f"multiattn_{plugin}") is not None


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_used_or_refused_in_a_sentence(name, tmp_path, capfd):
    if name not in CORE_ALONE and not all(map(installed, NEEDED.get(name, PLUGINS))):
        pytest.skip("its plugins are not installed")
    target = TARGETS[name](tmp_path)
    counts = fuzz.run(target, 0, 60.0, ATTEMPTS.get(name, 200))
    assert counts.keys() <= {"accepted", "refused"}, capfd.readouterr().out
    assert counts["accepted"], "nothing was accepted: is the target itself broken?"
    assert counts["refused"], "nothing was refused: was anything damaged?"
