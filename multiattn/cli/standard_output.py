"""What can go wrong with standard output: it is full, closed, or of an encoding that lacks letters.

Texts for people, such as help, are written with ``?`` for such letters; results never are.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from multiattn.errors import UserError, shown
from multiattn.files import StandardOutputError


def require_encodable(text: str) -> None:
    """Raise UserError if standard output has an encoding that lacks a letter of a result."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"expected an output in the letters of {error.encoding}, the encoding of standard "
            f"output, got {shown(error.object[error.start])}; set PYTHONIOENCODING=utf-8"
        ) from error


class _Raw(io.FileIO):
    """The file of standard output; tells its own failures from those of other files."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise StandardOutputError(error.errno, error.strerror) from error


def _reopened(stream: TextIO) -> TextIO:
    """Standard output as a file whose failures are recognised, unless it is a terminal.

    What its encoding lacks is replaced, unless the user has said what to do.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    undecided = stream.errors in ("strict", "surrogateescape")
    if undecided and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(errors="replace")
    if stream.isatty():
        return stream
    raw = io.BufferedWriter(_Raw(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, stream.errors)


@contextmanager
def reopened(exit_code: int) -> Iterator[None]:
    """Write to standard output in this context: a failure is one sentence and the exit code.

    A pipe that nobody reads any more ends the program silently, with the exit code 1 as click has.
    """
    closed = sys.stdout is None  # by whoever started the program
    sys.stdout = io.StringIO() if closed else _reopened(sys.stdout)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except StandardOutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        if error.errno == errno.EPIPE:
            sys.exit(1)
        sys.stderr.write(
            f"error: could not write to standard output: {error.strerror}; free some space or "
            "send it elsewhere\n"
        )
        sys.exit(exit_code)
