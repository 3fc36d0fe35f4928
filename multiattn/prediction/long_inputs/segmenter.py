"""The protocol of segmenters, which know where an input may be cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Segment:
    """A piece of a value that its reader reads, and its place in the whole.

    start, end, whole: where it begins and ends and how long the whole is, in seconds for a
    recording, in characters for a text. separator: what stands between it and the one before.
    """

    value: Any
    start: float
    end: float
    whole: float
    separator: str = " "


@runtime_checkable
class Segmenter(Protocol):
    """The target of a ``segmenter`` record."""

    def segments(self, value: Any, longest: float | None) -> Iterable[Segment]:
        """The pieces of a value, in order; what is between them holds nothing to decode.

        A value that need not be cut is one segment, the value itself. longest: the size that a
        piece should not exceed, as the source's reader measures it; None if it is not known. The
        segments are used one by one, so that a long recording is never held as a whole. Raises
        UserError for a value that cannot be read.
        """
