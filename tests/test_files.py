"""Locks and writing to disk: what one process may do while another is at work, and on Windows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from multiattn import files
from multiattn.errors import UserError
from multiattn.files import acquired_lock, flush_to_disk
from multiattn.run_folder import RunFolder

HOLDERS = {
    "this version": "from multiattn.files import acquired_lock\n"
    "from pathlib import Path\n"
    "held = acquired_lock(Path(sys.argv[1]), print)\n",
    "versions before filelock": "import fcntl\n"
    "held = open(sys.argv[1], 'w')\n"
    "fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
}


@contextmanager
def held_by_another_process(path, code):
    path.parent.mkdir(parents=True, exist_ok=True)
    code = f"import sys, time\n{code}print('held', flush=True)\ntime.sleep(600)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def unseen():
    raise AssertionError("expected nobody to wait")


@pytest.mark.parametrize("code", HOLDERS.values(), ids=HOLDERS)
def test_a_second_start_on_a_run_folder_is_refused_until_the_first_is_killed(tmp_path, code):
    run = RunFolder(tmp_path / "run")
    with held_by_another_process(run.path / ".lock", code) as first:
        with pytest.raises(UserError) as refused, run.locked():
            pass
        assert str(refused.value) == (
            f"another process is training or serving {run.path}; wait for it, or stop it first"
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
        with run.locked():
            pass


@pytest.mark.parametrize("code", HOLDERS.values(), ids=HOLDERS)
def test_a_lock_is_waited_for_with_a_message_until_its_holder_is_killed(tmp_path, code):
    path, said = tmp_path / "store" / ".lock", []
    with held_by_another_process(path, code) as first:

        def busy():
            said.append("waiting")
            first.send_signal(signal.SIGKILL)

        with acquired_lock(path, busy):
            assert said == ["waiting"]


def test_processes_that_replace_one_file_at_once_never_tear_it(tmp_path):
    path = tmp_path / "report.html"
    code = (
        "import sys\nfrom pathlib import Path\nfrom multiattn.files import write_bytes\n"
        "for _ in range(60):\n    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 300_000)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), letter], stderr=subprocess.PIPE)
        for letter in "ab"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes() if path.exists() else b"a" * 300_000
        assert content in (b"a" * 300_000, b"b" * 300_000)
        seen.add(content[:1])
    assert [writer.communicate()[1] for writer in writers] == [b"", b""]
    assert seen == {b"a", b"b"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_file_left_behind_is_no_lock(tmp_path):
    path = tmp_path / ".lock"
    path.touch()
    for _ in range(2):
        with acquired_lock(path, unseen):
            pass


def test_a_process_of_an_older_version_sees_the_lock(tmp_path):
    path = tmp_path / ".lock"
    with acquired_lock(path, unseen):
        code = f"import sys\n{HOLDERS['versions before filelock']}"
        older = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
    assert "BlockingIOError" in older.stderr


def test_a_run_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    run = RunFolder(tmp_path / "file" / "run")
    with pytest.raises(UserError, match=r"a folder to write the run to, .* choose another --out"):
        run.locked().__enter__()


def test_on_windows_files_are_flushed_when_open_for_writing_and_folders_not(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    modes = []

    def opened(path, flags):
        modes.append(flags)
        return os_open(path, flags)

    os_open = os.open
    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.os, "open", opened)
    flush_to_disk(tmp_path / "file")
    flush_to_disk(tmp_path)
    assert modes == [os.O_RDWR]
