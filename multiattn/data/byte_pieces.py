"""Pieces of byte-level BPE: strings in which each character stands for one byte (Latin-1)."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

BYTES = 256


def bytes_of_pieces(pieces: Iterable[str]) -> list[str]:
    """The bytes of pieces as the ``tokenizers`` library writes them.

    There printable bytes stand for themselves, the others for the characters from U+0100 on
    (Radford et al. 2019).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, BYTES)]
    others = [byte for byte in range(BYTES) if byte not in printable]
    shifted = {BYTES + place: byte for place, byte in enumerate(others)}
    return [piece.translate(shifted) for piece in pieces]


def to_bytes(text: str) -> str:
    """The UTF-8 bytes of a text."""
    return text.encode().decode("latin-1")


def to_text(text: str) -> str:
    """The text that the bytes spell; what is not UTF-8 becomes U+FFFD."""
    return text.encode("latin-1").decode("utf-8", "replace")


def escaped(piece: str) -> str:
    r"""The text of one piece; a byte that is no character as ``\xff``."""
    return piece.encode("latin-1").decode("utf-8", "backslashreplace")


def shared_out(pieces: Sequence[str]) -> list[str]:
    """Divide the text of pieces among them: a character goes to the piece with its first byte."""
    shown, first = [""] * len(pieces), 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, piece in enumerate(pieces):
        for byte in piece:
            begun = bool(decoder.getstate()[0])
            first = first if begun else place
            complete = decoder.decode(byte.encode("latin-1"))
            shown[first] += complete[:1]
            shown[place] += complete[1:]
            first = place if complete else first
    if pieces:
        shown[first] += decoder.decode(b"", final=True)
    return shown
