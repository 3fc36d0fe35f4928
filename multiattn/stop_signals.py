"""Signals that ask a run to stop soon: the notice that a queue or a spot machine gives.

    with heeded():            # the command line, around a run
        with deferred():      # the training loop, which asks ``requested`` and stops by itself
            ...

Outside ``deferred`` a signal raises ``Stopped`` at once, where nothing but time is lost.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)
)  # Windows has no SIGUSR1


class Stopped(BaseException):
    """A signal has ended the work; as with KeyboardInterrupt, no ``except Exception`` catches it.

    signal_number: of the signal. step: of the checkpoint that was written because of it, if any.
    """

    def __init__(self, signal_number: int, step: int | None = None) -> None:
        super().__init__(signal_number, step)
        self.signal_number = signal_number
        self.step = step


@dataclass
class _State:
    requested: int = 0
    deferred: bool = False


_state = _State()  # one for the process, as its signal handlers are


def requested() -> int:
    """The number of the signal that has asked this process to stop; 0 if none has."""
    return _state.requested


@contextmanager
def heeded() -> Iterator[None]:
    """Heed the signals in this context; the first of them counts, and later ones are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    _state.requested = 0
    before = {number: signal.signal(number, _receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        _state.requested = 0


def _receive(number: int, frame: FrameType | None) -> None:
    if not _state.requested:
        _state.requested = number
        if not _state.deferred:
            raise Stopped(number)


@contextmanager
def deferred() -> Iterator[None]:
    """Only note signals in this context; raise ``Stopped`` at its end if one has been noted."""
    _state.deferred = True
    try:
        yield
    finally:
        _state.deferred = False
    if _state.requested:
        raise Stopped(_state.requested)


def leave_to_parent() -> None:
    """Ignore the signals in this process unless its parent ends it by SIGTERM.

    For processes that read data: queues and ``timeout`` send a signal to every process of a job,
    but the parent still needs these to finish its step. Linux only; elsewhere nothing changes.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_exit_for, args=[os.getppid()], daemon=True).start()


def _exit_for(parent: int) -> None:
    while True:
        received = signal.sigwaitinfo(SIGNALS)
        if received.si_signo == signal.SIGTERM and received.si_pid == parent:
            os._exit(0)
