"""Write files completely or not at all, so that a kill or a full disk loses nothing; locks."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from multiattn.errors import UserError

# Exceptions raised when a file is parsed that does not have the expected content.
DAMAGE_ERRORS = (ValueError, KeyError, TypeError, AttributeError, IndexError)


class StandardOutputError(OSError):
    """Standard output cannot be written, such as to a full disk."""


@contextmanager
def damage_as_user_error(path: Path, what: str) -> Iterator[None]:
    """Read ``path`` in this context: content other than ``what`` raises a UserError."""
    try:
        yield
    except (*DAMAGE_ERRORS, OSError) as error:
        raise UserError(f"expected {what} in {path}, got {error!r}; restore the file") from error


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder, which is then flushed to disk and renamed.

    ``path`` is complete at every moment, old or new; of several processes that write in one folder,
    each waits for the one before. Raises UserError if writing fails (disk full, read-only), leaving
    the old content unchanged. A folder cannot replace an existing folder.
    """
    beside = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_writer(path.parent):
            _remove(beside)
            yield beside
            for file in [*beside.rglob("*"), beside]:
                flush_to_disk(file)
            beside.replace(path)
            flush_to_disk(path.parent)
    except OSError as error:
        with suppress(OSError):
            _remove(beside)
        raise UserError(
            f"could not write {path}: {error.strerror or error}; nothing was overwritten; "
            "free some space or choose another folder, then repeat the command"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, as ``atomic_replace`` does."""
    with atomic_replace(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically, as ``write_bytes`` does."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def append_line(path: Path, line: str) -> None:
    """Append a line to a file. Raises UserError if it cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise UserError(
            f"could not write {path}: {error.strerror or error}; free some space, then repeat the "
            "command: it continues from the last checkpoint"
        ) from error


def truncate(path: Path, size: int) -> None:
    """Shorten a file to its first ``size`` bytes; create an empty file if there is none.

    Raises UserError if it cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.truncate(min(size, file.tell()))
        flush_to_disk(path)
    except OSError as error:
        raise UserError(
            f"could not write {path}: {error.strerror or error}; make it writable"
        ) from error


def remove_folder(path: Path) -> None:
    """Remove a folder, if there is one, with all that is in it; a kill never leaves a part."""
    beside = _beside(path)
    _remove(beside)
    if path.exists():
        path.replace(beside)
        _remove(beside)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes in a folder; being killed lets the next one go on."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def acquired_lock(path: Path, busy: Callable[[], object]) -> AbstractContextManager[object]:
    """Take the lock file ``path``; leaving the returned context, or being killed, releases it.

    busy: called if another process holds the lock, and then waits; it may raise instead. Raises
    OSError if the file cannot be written.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        busy()
        return lock.acquire()


def flush_to_disk(path: Path) -> None:
    """Flush a file, or a folder's directory entries, to disk.

    Windows flushes only files that are open for writing, and no folders.
    """
    on_windows = sys.platform == "win32"
    if on_windows and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if on_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
