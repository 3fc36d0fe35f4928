"""From the stretches of a recording in which somebody speaks to pieces of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multiattn import Segment
from multiattn_audio.recordings.decoding import (
    Excerpt,
    Recording,
    Sound,
    can_seek,
    decode,
    mix_down,
    read_header,
)
from multiattn_audio.recordings.formats import RawFormat

HUNDREDTHS_PER_SECOND = 100  # readers of recordings measure in hundredths
RAW = RawFormat()


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording, in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start


def limit_of(longest: float | None, max_seconds: float | None) -> float | None:
    """The longest piece in seconds, from hundredths and a setting; None if there is no limit."""
    given = None if longest is None else longest / HUNDREDTHS_PER_SECOND
    return min((each for each in (given, max_seconds) if each is not None), default=None)


def whole(recording: Recording) -> Segment:
    """A recording that need not be cut. Raises UserError for one that cannot be read."""
    seconds = read_header(recording, RAW).seconds
    return Segment(recording, 0.0, seconds, seconds)


def seekable(recording: Recording) -> Recording:
    """The recording, or its samples if a stretch of it cannot be decoded alone."""
    source = recording.recording if isinstance(recording, Excerpt) else recording
    if can_seek(source, RAW):
        return recording
    rate = read_header(recording, RAW).sample_rate_hz
    return Sound(mix_down(decode(recording, RAW)), rate)


def without_short_pauses(stretches: Sequence[Stretch], shortest: float) -> list[Stretch]:
    """Stretches with no pause shorter than this between them, in seconds."""
    joined: list[Stretch] = []
    for stretch in stretches:
        if joined and stretch.start - joined[-1].end < shortest:
            joined[-1] = replace(joined[-1], end=stretch.end)
        else:
            joined.append(stretch)
    return joined


def with_margins(stretches: Sequence[Stretch], margin: float, seconds: float) -> list[Stretch]:
    """Stretches with so much of the pauses around them, at most half of each, in seconds."""
    wider = []
    for number, stretch in enumerate(stretches):
        before = stretches[number - 1].end if number else -stretch.start
        after = stretches[number + 1].start if number + 1 < len(stretches) else 2 * seconds
        start = max(stretch.start - margin, (before + stretch.start) / 2, 0.0)
        end = min(stretch.end + margin, (stretch.end + after) / 2, seconds)
        wider.append(Stretch(start, end))
    return wider


def segments(
    recording: Recording, stretches: Sequence[Stretch], seconds: float
) -> Iterator[Segment]:
    """The pieces of a recording, each decoded when it is read."""
    offset, source = 0.0, recording
    if isinstance(recording, Excerpt):
        offset, source = recording.start, recording.recording
    assert not isinstance(source, Excerpt)  # noqa: S101
    source = str(source) if isinstance(source, Path) else source
    for stretch in stretches:
        piece = Excerpt(source, offset + stretch.start, offset + stretch.end)
        yield Segment(piece, stretch.start, stretch.end, seconds)
