"""Cuts a text between its sentences, with Wikimedia's sentencex."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multiattn import Segment

_WRAPPED = re.compile(r"(?<!\n)\n(?![ \t\r]*\n)")  # a line end inside a paragraph


class SentenceSegmenter:
    """A sentence is a piece; what stands between two of them comes back between their outputs.

    A single line end counts as a space, because a sentence may run over several lines; empty lines
    end a paragraph. A sentence is not cut, however long it is.

    language: the code of the language, such as ``en``; it knows the abbreviations of many.
    """

    def __init__(self, *, language: str = "en") -> None:
        self._language = language

    def segments(self, value: str, longest: float | None = None) -> Iterator[Segment]:
        """The sentences of a text. Positions are in characters."""
        from sentencex import segment

        position, between = 0, ""
        for part in segment(self._language, _WRAPPED.sub(" ", value)):
            sentence = part.strip()
            start = position + part.find(sentence)
            end = start + len(sentence)
            between += part[: start - position]
            if sentence:
                yield Segment(sentence, start, end, len(value), between or " ")
                between = ""
            between += part[end - position :]
            position += len(part)
