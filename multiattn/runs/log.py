"""Log a run while it trains: to ``log.jsonl``, TensorBoard and the terminal.

A terminal shows one progress line with loss, throughput and time left; any other output gets a
plain line each time something is logged.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from multiattn.files import append_line, damage_as_user_error, flush_to_disk, truncate
from multiattn.run_folder import RunFolder
from multiattn.training.trainer import LogValues


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
        self._tracker.finish()
        self._display.close()


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
        self._console.print(_format_line(kind, f"{step}/{self._steps}", values), soft_wrap=True)

    def close(self) -> None:
        return


class MovingLine:
    """A progress line for training; other log entries are printed above it."""

    def __init__(self, console: Console, steps: int, done: int) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._progress.add_task("", total=steps, completed=done, figures="")
        self._progress.start()

    def show(self, kind: str, step: int, values: LogValues) -> None:
        if kind == "training":
            self._progress.update(self._task, completed=step, figures=_format_values(values))
        else:
            self._progress.console.print(_format_line(kind, str(step), values), soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


def display_for(console: Console, steps: int, done: int) -> Display:
    """A progress line on a terminal, plain lines elsewhere. done: steps already taken."""
    return MovingLine(console, steps, done) if console.is_terminal else PlainLines(console, steps)


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


def _format_line(kind: str, step: str, values: LogValues) -> str:
    return f"{kind} at step {step}: {_format_values(values)}"


def _format_values(values: LogValues) -> str:
    return "  ".join(f"{name} {_format_value(value)}" for name, value in values.items())


def _format_value(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
