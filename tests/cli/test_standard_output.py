"""Standard output that is full, closed, no longer read, or of an encoding that lacks letters."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest

from multiattn.cli.standard_output import require_encodable
from multiattn.errors import UserError
from multiattn.files import StandardOutputError
from multiattn.run_folder import RunFolder
from multiattn.runs.log import full_disk_as_user_error

FULL = Path("/dev/full")
COMMAND = [sys.executable, "-m", "multiattn"]
SENTENCE = (
    "error: could not write to standard output: No space left on device; free some space or send "
    "it elsewhere\n"
)
full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def written_to(path, *arguments, **environment):
    with path.open("wb") as file:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "", "MULTIATTN_PLUGINS": "multiattn", **environment},
            check=False,
        )


@full
@pytest.mark.parametrize("arguments", [("score", "--help"), ("plugins", "-v")])
def test_a_full_standard_output_is_one_sentence(arguments):
    done = written_to(FULL, *arguments)
    assert (done.returncode, done.stderr) == (2, SENTENCE)


def test_training_does_not_take_it_for_a_full_disk(tmp_path):
    with pytest.raises(StandardOutputError), full_disk_as_user_error(RunFolder(tmp_path)):
        raise StandardOutputError(errno.ENOSPC, "No space left on device")


def test_help_is_printed_in_an_encoding_that_lacks_its_letters(tmp_path):
    for encoding, printed in (("latin-1", b"bleu, rouge-l, ?"), ("utf-8", "rouge-l, …".encode())):
        file = tmp_path / encoding
        done = written_to(file, "score", "--help", PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, "")
        assert printed in file.read_bytes()


@pytest.mark.parametrize(("encoding", "fits"), [("latin-1", "Ö"), ("utf-8", "Öл")])
def test_a_result_is_refused_rather_than_altered(monkeypatch, encoding, fits):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding, "replace"))
    require_encodable(fits)
    with pytest.raises(UserError, match="set PYTHONIOENCODING=utf-8"):
        require_encodable(f"{fits}л\ud800")


def test_a_pipe_that_is_no_longer_read_ends_the_command_silently():
    reader = subprocess.Popen([*COMMAND, "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader.stdout.close()
    assert (reader.stderr.read(), reader.wait()) == (b"", 1)
    reader.stderr.close()


def test_a_closed_standard_output_is_no_failure():
    command = f'"{sys.executable}" -m multiattn plugins >&-'
    assert subprocess.run(command, shell=True, check=False).returncode == 0
