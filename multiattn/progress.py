"""Progress bars for what takes more than a moment: drawn on a terminal, silent elsewhere.

    with draw_on(plain_console(stderr=True)):       # the command line does this, once
        for row in track(rows, "reading", len(rows)):
            ...

A bar inside another is a line below it. Without ``draw_on``, as in Python, nothing is drawn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

Item = TypeVar("Item")
FIRST = TaskID(0)

_console: ContextVar[Console | None] = ContextVar("console", default=None)
_display: ContextVar[Progress | None] = ContextVar("display", default=None)


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are: ``[red]`` and ``:smile:`` mean nothing to it."""
    return Console(stderr=stderr, markup=False, emoji=False)


@contextmanager
def draw_on(console: Console) -> Iterator[None]:
    """Draw the bars within on this console, if it is a terminal."""
    token = _console.set(console)
    try:
        yield
    finally:
        _console.reset(token)


@dataclass(frozen=True)
class Bar:
    """A bar, or nothing where nothing is drawn."""

    display: Progress | None = None
    task: TaskID = FIRST

    def advance(self, count: int = 1) -> None:
        """Count further items as done."""
        if self.display is not None:
            self.display.advance(self.task, count)

    def update(self, done: int, figures: Sequence[str]) -> None:
        """Set the items done, and the figures beside the bar, the most important first."""
        if self.display is not None:
            self.display.update(self.task, completed=done, figures=tuple(figures))


@contextmanager
def progress_bar(
    what: str, total: int | None, done: int = 0, *, stays: bool = False
) -> Iterator[Bar]:
    """Show a bar. total: None if it is not known. stays: leave it on the screen at the end."""
    outer = _display.get()
    if outer is not None:
        task = outer.add_task(what, total=total, completed=done, figures=())
        try:
            yield Bar(outer, task)
        finally:
            outer.remove_task(task)
        return
    display = _new_display(stays)
    if display is None:
        yield Bar()
        return
    token = _display.set(display)
    try:
        with display:
            yield Bar(display, display.add_task(what, total=total, completed=done, figures=()))
    finally:
        _display.reset(token)


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield the items and show how many are done."""
    with progress_bar(what, total) as bar:
        for item in items:
            yield item
            bar.advance()


def print_above(text: str) -> bool:
    """Print a text as it is above the bars; false, and nothing printed, if there are none."""
    display = _display.get()
    if display is None:
        return False
    display.console.print(Text(text), soft_wrap=True)
    return True


def _new_display(stays: bool) -> Progress | None:
    """A display on the console; None without a terminal, and in all processes but the first."""
    console = _console.get()
    if console is None or not console.is_terminal or os.environ.get("RANK", "0") != "0":
        return None
    return Progress(
        TextColumn("{task.description}", markup=False),
        _SixthOfTheWidth(console),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
        _FittingFigures(),
        console=console,
        transient=not stays,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file must not pass the console
        redirect_stderr=sys.stderr.isatty(),
    )


class _SixthOfTheWidth(BarColumn):
    """A bar as wide as a sixth of the terminal, also after the terminal has changed its size."""

    def __init__(self, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._console = console

    def render(self, task: Task) -> ProgressBar:
        self.bar_width = min(40, max(8, self._console.width // 6))
        return super().render(task)


class _FittingFigures(ProgressColumn):
    """As many of the task's figures as there is room for."""

    def render(self, task: Task) -> _FirstThatFit:
        return _FirstThatFit(task.fields["figures"])


@dataclass(frozen=True)
class _FirstThatFit:
    """A line of the first items that fit, none of them cut."""

    items: Sequence[str]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, min(cell_len("  ".join(self.items)), options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        count = len(self.items)
        while count and cell_len("  ".join(self.items[:count])) > options.max_width:
            count -= 1
        yield Text("  ".join(self.items[:count]), no_wrap=True)
