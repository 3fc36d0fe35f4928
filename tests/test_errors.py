"""Messages for users: what they gave is shown, but neither at length nor obeyed by a terminal."""

from __future__ import annotations

import pickle
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from multiattn.errors import LINE_WIDTH, UserError, printable, shortened, shown


@given(st.text(), st.integers(0, 0x10FFFF))
def test_what_is_printed_has_no_control_characters(text, code):
    printed = printable(text + chr(code))
    kinds = {unicodedata.category(letter) for letter in printed if letter not in "\n\t"}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(printed) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def test_text_without_control_characters_is_printed_as_it_is():
    for text in ("naïve 😀 می‌خواهم", "עברית\tand\nmore", "[red]x[/red]", "👩‍🚀"):
        assert printable(text) == text


def test_control_characters_are_written_as_python_writes_them():
    assert printable("\x1b[31m\a\r\x9b\u202e\ud800") == r"\x1b[31m\x07\r\x9b\u202e\ud800"


def test_values_are_cut():
    assert shown("abc") == "'abc'"
    assert shown([1, None]) == "[1, None]"
    assert shown("x" * 78) == repr("x" * 78)
    for value in ("x" * 100_000, ["y"] * 1000, "\x1b" * 81):
        assert len(shown(value)) == 80
        assert shown(value).endswith("…")


def test_a_long_line_loses_its_middle_and_keeps_what_to_do():
    error = UserError("got " + "x" * 100_000 + "; give another\nsecond line")
    first, second = str(error).split("\n")
    assert len(first) == LINE_WIDTH
    assert first.startswith("got xxx")
    assert first.endswith("; give another")
    assert second == "second line"
    assert shortened("abc") == "abc"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
