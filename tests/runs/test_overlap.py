"""What a split shares with training, and with what an earlier run learned from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import tiny_runs

from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits
from multiattn.registry.host import load_host
from multiattn.run_folder import RunFolder
from multiattn.runs.overlap import shared_with_ancestors, shared_with_training
from multiattn.runs.start import RunRequest, initial_run, open_run_folder, record_run

# A corpus of photographs with words, and a reader that says it reads photographs.
PLUGIN = """
from pathlib import Path

from multiattn import hookimpl
from multiattn import Corpus, Example, Reader


@hookimpl
def multiattn_components():
    yield Corpus(
        name="album",
        target="album:Album",
        fields={"source": "text", "target": "text", "photo": "image"},
        summary="words, and the photograph of some",
    )
    yield Reader(
        name="photo", target="tiny_plugin:Letters", produces="image", summary="a photograph"
    )


class Album:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def examples(self, split, on_bad_row=None):
        rows = [line.split() for line in (self._folder / f"{split}.txt").read_text().splitlines()]
        return [
            Example(
                f"{split}-{place}",
                {
                    "source": word,
                    "target": word.upper(),
                    "photo": None if photo == "-" else str(self._folder / photo),
                },
            )
            for place, (word, photo) in enumerate(rows)
        ]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugin") / "album.py"
    file.write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTIATTN_PLUGINS", "multiattn")
        return load_host([tiny_runs.PLUGIN, file])


def album(folder: Path, **splits: str) -> None:
    """Write the splits; a photograph shows what it is called."""
    folder.mkdir()
    for split, text in splits.items():
        (folder / f"{split}.txt").write_text(text)
        for photo in text.split()[1::2]:
            (folder / photo).write_text(photo)


def started(tmp_path, host, monkeypatch, name: str, corpus: str, init: str = "") -> RunRequest:
    """A run as it lies in its folder before its first step."""
    monkeypatch.setattr(tiny_runs, "host", lambda: host)
    start = tiny_runs.start(tmp_path, run=name, corpus={"name": "album", "folder": corpus})
    earlier = RunFolder(tmp_path / init) if init else None
    start = RunRequest(start.recipe, start.settings, start.run, tmp_path, earlier)
    open_run_folder(start, host)
    record_run(start, host, {}, {})
    return start


def doubts(start: RunRequest, host) -> list[str]:
    splits = tiny_runs.splits_of(start, host)
    return list(shared_with_ancestors(splits, ["test"], ["photo"], host, initial_run(start)))


def test_an_absent_photograph_is_nobodys(tmp_path, host, monkeypatch):
    album(tmp_path / "a", train="x -\ny 1.jpg\n", test="z -\nw 1.jpg\nv 2.jpg\n")
    settings = started(tmp_path, host, monkeypatch, "run", "a").settings
    source = settings.sources["letters"].model_copy(update={"field": "photo"})
    reader = source.reader.model_copy(update={"name": "photo"})
    source = source.model_copy(update={"reader": reader})
    settings = settings.model_copy(update={"sources": {"photo": source}})
    splits = Splits(open_corpus(settings.corpus, host, tmp_path), settings)
    assert list(shared_with_training(splits, "test", ["photo"])) == [
        "1 of 3 files of the source 'photo' of test are also in train"
    ]


def test_photographs_that_an_earlier_run_learned_from_are_counted(tmp_path, host, monkeypatch):
    album(tmp_path / "a", train="x 1.jpg\ny 2.jpg\nz 3.jpg\n", test="x 4.jpg\n")
    album(tmp_path / "b", train="p 5.jpg\n", test="q 1.jpg\nr 2.jpg\ns 6.jpg\nt -\n")
    (tmp_path / "b" / "2.jpg").write_text("another photograph of that name")
    started(tmp_path, host, monkeypatch, "first", "a")
    second = started(tmp_path, host, monkeypatch, "second", "b", init="first")
    told = (
        "1 of 3 files of test were in the training data of .*first, "
        "whose weights this run started from"
    )
    (doubt,) = doubts(second, host)
    assert re.fullmatch(told, doubt)
    third = started(tmp_path, host, monkeypatch, "third", "b", init="second")
    assert len(doubts(third, host)) == 1  # through the second, which learned from none of them


def test_a_run_of_the_same_corpus_or_from_nothing_is_beyond_doubt(tmp_path, host, monkeypatch):
    album(tmp_path / "a", train="x 1.jpg\ny -\n", test="x 4.jpg\nz -\n")
    first = started(tmp_path, host, monkeypatch, "first", "a")
    second = started(tmp_path, host, monkeypatch, "second", "a", init="first")
    assert doubts(first, host) == doubts(second, host) == []


def test_an_earlier_run_that_is_gone_is_said_to_be(tmp_path, host, monkeypatch):
    album(tmp_path / "a", train="x 1.jpg\n", test="x 4.jpg\n")
    started(tmp_path, host, monkeypatch, "first", "a")
    second = started(tmp_path, host, monkeypatch, "second", "a", init="first")
    shutil.rmtree(tmp_path / "first")
    (doubt,) = doubts(second, host)
    assert "were trained on: expected a run folder" in doubt
