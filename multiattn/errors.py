"""The exception for mistakes of the user, and how a user's values are shown in messages.

Any other exception is a bug.
"""

from __future__ import annotations

import unicodedata

VALUE_WIDTH = 80
LINE_WIDTH = 2_000  # of a message: more than the longest list of names to choose from
_BIDI_CONTROLS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # they reorder a line's text
_ESCAPES = {
    code: ascii(chr(code))[1:-1]
    for code in (*range(0xA0), 0x2028, 0x2029, *_BIDI_CONTROLS, *range(0xD800, 0xE000))
    if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and chr(code) not in "\n\t"
}


def printable(text: str) -> str:
    r"""The text with its control characters written as Python writes them: ``\x1b``.

    A terminal then neither obeys nor reorders it. Line breaks and tabs stay.
    """
    return text.translate(_ESCAPES)


def shown(value: object, width: int = VALUE_WIDTH) -> str:
    """A user's value for a message: as Python writes it, cut to ``width`` characters."""
    written = repr(value[:width] if isinstance(value, str) else value)
    whole = len(written) <= width and not (isinstance(value, str) and len(value) > width)
    return written if whole else f"{written[: width - 1]}…"


def shortened(text: str, width: int = VALUE_WIDTH) -> str:
    """The text without its middle, if it is longer than ``width`` characters."""
    end = width // 4
    return text if len(text) <= width else f"{text[: width - end - 3]} … {text[-end:]}"


class UserError(Exception):
    """A mistake in the user's input. The message says what was expected, what came, what to do.

    The command line prints the message and exits with code 2; ``--debug`` shows the traceback.
    Control characters in the message are escaped and long lines lose their middle.
    """

    def __init__(self, message: str) -> None:
        lines = printable(message).split("\n")
        super().__init__("\n".join(shortened(line, LINE_WIDTH) for line in lines))
