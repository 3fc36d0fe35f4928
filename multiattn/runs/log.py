"""Log a run while it trains: to ``log.jsonl``, TensorBoard and the terminal.

A terminal shows one progress line with loss, throughput and time left; any other output gets a
plain line each time something is logged.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from multiattn.errors import UserError, printable
from multiattn.files import (
    StandardOutputError,
    append_line,
    damage_as_user_error,
    flush_to_disk,
    truncate,
)
from multiattn.progress import draw_on, progress_bar
from multiattn.run_folder import RunFolder
from multiattn.scoring.scale import factor, unit_of
from multiattn.training.log import LogValues

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Tracker(Protocol):
    """Accelerate's tracker of curves and images; ``tracker`` is TensorBoard's own writer."""

    tracker: Any

    def log(self, values: LogValues, step: int | None) -> None:
        """Record named values at a step."""

    def finish(self) -> None:
        """Write everything that is still buffered."""


class RunLog:
    """The log of a run, cut to the size that it had at the checkpoint and appended to."""

    def __init__(self, run: RunFolder, size: int, tracker: Tracker, display: Display) -> None:
        truncate(run.log, size)
        self._path = run.log
        self._tracker = tracker
        self._display = display

    def flush(self) -> int:
        flush_to_disk(self._path)
        return self._path.stat().st_size

    def write(self, kind: str, step: int, values: LogValues) -> None:
        """Append ``{"kind": …, "step": …, …}``; numbers also go to the tracker as ``kind/name``."""
        append_line(self._path, json.dumps({"kind": kind, "step": step, **values}))
        numbers = {f"{kind}/{name}": v for name, v in values.items() if not isinstance(v, str)}
        self._tracker.log(numbers, step=step)
        self._display.show(kind, step, values)

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        self._tracker.tracker.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        try:
            self._tracker.finish()
        finally:
            self._display.close()


@contextmanager
def full_disk_as_user_error(run: RunFolder) -> Iterator[None]:
    """Train in this context: a disk that is full for TensorBoard's files raises a UserError.

    TensorBoard writes in its own thread; what fails there is raised by the next call as well, so
    that the thread need not print a traceback.
    """
    print_traceback = threading.excepthook

    def unless_raised(failed: threading.ExceptHookArgs) -> None:
        of_tensorboard = type(failed.thread).__module__.startswith("tensorboard.")
        if not (of_tensorboard and isinstance(failed.exc_value, OSError)):
            print_traceback(failed)

    threading.excepthook = unless_raised
    try:
        yield
    except OSError as error:
        if error.errno not in FULL or isinstance(error, StandardOutputError):
            raise
        raise UserError(
            f"could not write {error.filename or run.path / 'tensorboard'}: {error.strerror}; free "
            "some space, then repeat the command: it continues from the last checkpoint"
        ) from error
    finally:
        threading.excepthook = print_traceback


class Display(Protocol):
    """Where the user follows the run."""

    def show(self, kind: str, step: int, values: LogValues) -> None:
        """Show values that were logged."""

    def close(self) -> None:
        """End the display; no more values follow."""


class PlainLines:
    """Prints a line for each log entry, for files, pipes and job logs."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps

    def show(self, kind: str, step: int, values: LogValues) -> None:
        _print_line(self._console, kind, f"{step}/{self._steps}", values)

    def close(self) -> None:
        return


class MovingLine:
    """A progress line for training; other log entries are printed above it."""

    def __init__(self, console: Console, steps: int, done: int, select: str) -> None:
        self._console = console
        self._select = select
        self._score: dict[str, float | int | str] = {}
        self._open = ExitStack()
        self._open.enter_context(draw_on(console))
        self._bar = self._open.enter_context(progress_bar("training", steps, done, stays=True))

    def show(self, kind: str, step: int, values: LogValues) -> None:
        if kind == "training":
            self._bar.update(step, list(_figures({**values, **self._score}, self._select)))
            return
        if self._select in values:
            self._score = {self._select: values[self._select]}
        _print_line(self._console, kind, str(step), values)

    def close(self) -> None:
        self._open.close()


@dataclass(frozen=True)
class OnFieldScale:
    """A display of scores as the field quotes them. units: of the metrics, by name."""

    display: Display
    units: Mapping[str, str]

    def show(self, kind: str, step: int, values: LogValues) -> None:
        scaled = {
            name: value * factor(unit_of(name, self.units)) if isinstance(value, float) else value
            for name, value in values.items()
        }
        self.display.show(kind, step, scaled)

    def close(self) -> None:
        self.display.close()


def display_for(console: Console, steps: int, done: int, select: str = "") -> Display:
    """A progress line on a terminal, plain lines elsewhere.

    done: steps already taken. select: the value of a validation that is shown beside the bar.
    """
    if console.is_terminal:
        return MovingLine(console, steps, done, select)
    return PlainLines(console, steps)


def _figures(values: LogValues, select: str) -> Iterator[str]:
    """What is shown beside the bar, the most important first."""
    forms = {
        "loss": "loss {:.3g}",
        select: f"{select} {{:.4g}}",
        "tokens_per_second": "{} tokens/s",
        "epoch": "epoch {}",
        "learning_rate": "learning rate {:.2g}",
        "gradient_norm": "gradient norm {:.2g}",
    }
    for name, form in forms.items():
        if name in values:
            value = values[name]
            yield form.format(_human(float(value)) if name == "tokens_per_second" else value)


def _human(number: float) -> str:
    """A number in thousands or millions, with two or three digits: 950, 2.5k, 12k, 1.2M."""
    suffix = ""
    for larger in ("k", "M", "G"):
        if number < 999.5:
            break
        number, suffix = number / 1000, larger
    return f"{number:.1f}{suffix}" if suffix and number < 9.95 else f"{number:.0f}{suffix}"


def read_log(run: RunFolder) -> list[dict[str, Any]]:
    """Every complete line of the log, oldest first; a kill may have left the last incomplete.

    Raises UserError if it is not a log.
    """
    if not run.log.exists():
        return []
    with damage_as_user_error(run.log, "a JSON object per line"):
        lines = run.log.read_text(encoding="utf-8").split("\n")[:-1]
        read = [dict(json.loads(line)) for line in lines]
        return [{"kind": line.pop("kind"), "step": line.pop("step"), **line} for line in read]


def _print_line(console: Console, kind: str, step: str, values: LogValues) -> None:
    shown = "  ".join(f"{name} {_format_value(value)}" for name, value in values.items())
    line = printable(f"{kind} at step {step}: {shown}")
    console.print(line, markup=False, emoji=False, soft_wrap=True)


def _format_value(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
