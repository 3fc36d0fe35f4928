"""Long loads and interrupts name what was being loaded."""

from __future__ import annotations

import io
import time

import pytest

from multiattn.registry import slow_imports


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(slow_imports, "PATIENCE_SECONDS", 0.01)


def test_a_terminal_is_told_what_takes_long_to_load(impatient, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with slow_imports.naming("plugin slow/plugin"):
        deadline = time.monotonic() + 5
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.005)
    assert stream.getvalue() == "loading plugin slow/plugin …\n"


def test_a_file_is_not(impatient, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with slow_imports.naming("plugin slow/plugin"):
        time.sleep(0.05)
    assert not stream.getvalue()


def test_what_loads_at_once_says_nothing(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with slow_imports.naming("plugin quick/plugin"):
        pass
    assert not stream.getvalue()


def test_the_note_of_an_interrupt_says_what_was_being_loaded():
    with pytest.raises(KeyboardInterrupt) as caught, slow_imports.naming("encoder mine/hangs"):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["while loading encoder mine/hangs"]
