"""One form for texts that look alike: NFC, without control and zero-width characters."""

from __future__ import annotations

import re
import unicodedata

# Control characters that are no white space, the soft hyphen, the zero-width space, word joiner and
# byte-order mark, and marks of direction. The joiners U+200C and U+200D change how text is written.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
    "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)


def normalise_unicode(text: str) -> str:
    """NFC, without invisible characters; white space and the joiners stay."""
    return unicodedata.normalize("NFC", drop_invisible(text))


def drop_invisible(text: str) -> str:
    """Leave out control and zero-width characters, but no white space and no joiner."""
    return _INVISIBLE.sub("", text)
