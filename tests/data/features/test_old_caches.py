"""A feature cache made at f53cc26 is still used: same key, same rows, nothing computed anew."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

import tiny_runs

from multiattn.data.features.cache import CACHE_VARIABLE
from multiattn.data.features.key import _digests_of_learned_files, _requirements, folder_name
from multiattn.data.features.store import FORMAT
from multiattn.registry.discovery import versions

MADE = Path(__file__).parent / "made_at_f53cc26"
ATTENTION_MAPS = 3  # one input is encoded for them, uncached, after each validation


def start(folder: Path, run: str, **source):
    parts = {"field": "source", "reader": "tiny-fixed", "encoder": "tiny-frozen", **source}
    return tiny_runs.start(folder, [], run, sources={"letters": parts})


def test_a_cache_made_before_the_change_is_found_and_gives_the_same_training(tmp_path, monkeypatch):
    """Only the versions in its key are brought up to date: of Python, torch and the like."""
    layout = json.loads((MADE / "layout.json").read_text())
    made_of = layout["made_of"]
    made_of["versions"] = versions({"tiny-plugin"})
    del made_of["versions"]["platform"]
    folder = tmp_path / "cache" / f"features-{FORMAT}" / folder_name(made_of)
    shutil.copytree(MADE, folder)
    (folder / "layout.json").write_text(json.dumps(layout))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("TINY_COMPUTED", str(tmp_path / "computed"))

    cached = tiny_runs.trained(start(tmp_path, "cached", cache=True))

    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert len((tmp_path / "computed").read_text().splitlines()) == ATTENTION_MAPS
    plain = tiny_runs.trained(start(tmp_path, "plain"))
    assert tiny_runs.log_of(cached) == tiny_runs.log_of(plain)


class Timed:
    """Fitted: it keeps a threshold, on which its arrays depend, and how long inputs are."""

    def __init__(self, threshold: str, durations: str) -> None:
        self._texts = {"threshold.txt": threshold, "durations.jsonl": durations}

    def fit(self, values, tokenizer) -> None: ...

    def load(self, folder, tokenizer) -> None: ...

    def save(self, folder: Path) -> None:
        (folder / "inner").mkdir()
        for name, text in self._texts.items():
            (folder / "inner" / name).write_text(text)


def test_what_a_reader_measured_is_no_part_of_the_key():
    key = _digests_of_learned_files(Timed("1", "one input"))
    assert [*key] == ["inner/threshold.txt"]
    assert key == _digests_of_learned_files(Timed("1", "another input"))
    assert key != _digests_of_learned_files(Timed("2", "one input"))


def test_packages_of_an_extra_are_no_part_of_the_key(monkeypatch):
    lines = ["numpy>=1.26", 'av>=14.0; extra == "media"', "pillow>=11.3; python_version > '3'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert list(_requirements("multiattn-audio")) == ["numpy", "pillow"]
