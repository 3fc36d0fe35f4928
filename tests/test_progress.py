"""Progress bars: drawn on a terminal of any width, and nowhere else."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
from fcntl import ioctl
from struct import pack

import pytest
from rich.console import Console

from multiattn.progress import draw_on, plain_console, progress_bar, track

PROGRAM = """
import sys
import click
from multiattn.cli.options import draw_progress, echo
from multiattn.progress import progress_bar, track

@click.command()
def work():
    draw_progress()
    for number in track(range(3), "counting", 3):
        with progress_bar("[red]inner", None):
            echo(f"line {number} \\x1b[31m[bold]" + "x" * 100)

work()
"""


def plain(drawn: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[a-z]", "", drawn, flags=re.IGNORECASE)


def run_in_terminal(width: int, output: int | None = None) -> str:
    """Run the program in a pseudo-terminal of this width; return all that it drew there."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-c", PROGRAM]
    streams = {"stdin": theirs, "stdout": theirs if output is None else output, "stderr": theirs}
    with subprocess.Popen(command, env={**environment, "TERM": "xterm"}, **streams) as process:
        os.close(theirs)
        drawn = b""
        try:
            while block := os.read(ours, 65536):
                drawn += block
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait() == 0, drawn
    os.close(ours)
    return drawn.decode()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_terminal_shows_bar_count_and_time_and_whole_lines_above_them(width):
    drawn = run_in_terminal(width)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", plain(drawn))]
    bars = [line for line in lines if line.startswith("counting")]
    assert all(len(line) <= width for line in bars)
    assert any(re.fullmatch(r"counting\s+[━╸╺]+ \d/3 [-\d]+:[-\d]+:[-\d]+", bar) for bar in bars)
    assert any(line.startswith("[red]inner") for line in lines)
    for number in range(3):
        assert rf"line {number} \x1b[31m[bold]" + "x" * 100 in lines
    assert lines[-1] == ""  # nothing stays on the screen


def test_what_goes_to_a_file_is_whole_while_a_bar_is_drawn(tmp_path):
    with (tmp_path / "out.txt").open("wb") as file:
        drawn = run_in_terminal(60, file.fileno())
    expected = [f"line {number} \x1b[31m[bold]" + "x" * 100 for number in range(3)]
    assert (tmp_path / "out.txt").read_text().split("\n") == [*expected, ""]
    assert "line" not in drawn
    assert "counting" in drawn


def test_without_a_terminal_nothing_is_drawn():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 3


def test_only_the_first_of_several_processes_draws(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    screen = io.StringIO()
    with draw_on(Console(file=screen, force_terminal=True)):
        assert list(track("abc", "letters", 3)) == ["a", "b", "c"]
    assert screen.getvalue() == ""


def test_an_error_ends_the_bar():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True)
    with draw_on(console), pytest.raises(ValueError, match="no"), progress_bar("x", 3):
        raise ValueError("no")
    with draw_on(console), progress_bar("next", 3, stays=True):
        pass
    assert plain(screen.getvalue()).rstrip().endswith("0/3 -:--:--")


def test_markup_and_emoji_codes_are_printed_as_they_are(capsys):
    plain_console().print("[red]x[/red] :smile:")
    assert capsys.readouterr().out == "[red]x[/red] :smile:\n"
