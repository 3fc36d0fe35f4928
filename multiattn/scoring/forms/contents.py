"""What a file of outputs or references holds, whatever its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multiattn.errors import UserError, shown

NAMED = 3  # how many of the ids in question a message names


Meta = Mapping[str, str]  # what else is known of an example, such as its speaker


@dataclass(frozen=True)
class Span:
    """A stretch of a recording's channel, in seconds. Subtitles name no recording."""

    recording: str
    channel: str
    start: float
    end: float

    @property
    def middle(self) -> float:
        """The time that decides to which other span it belongs."""
        return (self.start + self.end) / 2

    @property
    def place(self) -> tuple[str, str]:
        """Recording and channel."""
        return self.recording, self.channel


@dataclass(frozen=True)
class SystemOutputs:
    """A system's outputs: one text per example.

    A run's outputs come with ids and references; otherwise these may be None.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    references: tuple[tuple[str, ...], ...] | None = None
    meta: tuple[Meta, ...] | None = None


@dataclass(frozen=True)
class TimedWords:
    """A system's words with their times, which are yet to be joined to utterances."""

    name: str
    words: tuple[tuple[Span, str], ...]


@dataclass(frozen=True)
class ReferenceFile:
    """References, one or several per example. ``whole``: the file may contain other examples too.

    COCO's annotations cover a whole set of images; its splits have no files of their own.
    spans: where each utterance lies, in a form with times. ignored: what is not to be scored.
    """

    name: str
    texts: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...] | None
    whole: bool = False
    meta: tuple[Meta, ...] | None = None
    spans: tuple[Span, ...] | None = None
    ignored: tuple[Span, ...] = ()


Contents = SystemOutputs | TimedWords | ReferenceFile


def require_unique(name: str, ids: Sequence[str]) -> None:
    """Raise UserError if an id is repeated."""
    repeated = [one for one, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(
            f"expected every id once in {name}, got {first_few(repeated)} more than once; "
            "remove the repeated lines"
        )


def first_few(ids: Sequence[str]) -> str:
    """How many ids there are, and the first: ``5 ('a', 'b', 'c', …)``."""
    named = ", ".join(map(shown, ids[:NAMED]))
    return f"{len(ids)} ({named}{', …' if len(ids) > NAMED else ''})"
