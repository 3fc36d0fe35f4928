"""Transcripts with times for other tools: NIST ctm and stm, Praat's TextGrid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from multiattn.prediction.forms.timed import Stretch, stretches
from multiattn.prediction.prediction import Prediction

CHANNEL, SPEAKER = "1", "unknown"
Interval = tuple[float, float, str]  # start, end, text


def ctm(name: str, prediction: Prediction) -> str:
    """NIST ctm: a word on each line, with its start, its duration and its confidence."""
    return "".join(
        f"{_identifier(name)} {CHANNEL} {word.start:.3f} {word.end - word.start:.3f} {word.word} "
        f"{word.confidence:.4f}\n"
        for stretch in stretches(prediction)
        for word in stretch.words
    )


def stm(name: str, prediction: Prediction) -> str:
    """NIST stm: a piece on each line, with its start and its end."""
    return "".join(
        f"{_identifier(name)} {CHANNEL} {SPEAKER} {stretch.start:.3f} {stretch.end:.3f} "
        f"{' '.join(stretch.text.split())}\n"
        for stretch in stretches(prediction)
    )


def textgrid(name: str, prediction: Prediction) -> str:
    """Praat's TextGrid, with a tier of the pieces and one of the words."""
    pieces = stretches(prediction)
    end = max([piece.end for piece in pieces], default=0.0)
    tiers = {"pieces": _pieces(pieces), "words": _words(pieces)}
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.3f}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (tier, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", *_tier(tier, _without_gaps(intervals, end), end)]
    return "\n".join(lines) + "\n"


def _pieces(pieces: Sequence[Stretch]) -> list[Interval]:
    return [(piece.start, piece.end, piece.text) for piece in pieces]


def _words(pieces: Sequence[Stretch]) -> list[Interval]:
    return [(word.start, word.end, word.word) for piece in pieces for word in piece.words]


def _tier(name: str, intervals: Sequence[Interval], end: float) -> Iterator[str]:
    yield '        class = "IntervalTier"'
    yield f'        name = "{name}"'
    yield "        xmin = 0"
    yield f"        xmax = {end:.3f}"
    yield f"        intervals: size = {len(intervals)}"
    for number, (start, stop, text) in enumerate(intervals, start=1):
        yield f"        intervals [{number}]:"
        yield f"            xmin = {start:.3f}"
        yield f"            xmax = {stop:.3f}"
        quoted = text.replace('"', '""')
        yield f'            text = "{quoted}"'


def _without_gaps(intervals: Sequence[Interval], end: float) -> list[Interval]:
    """Intervals that follow each other without a gap, as Praat asks, from 0 to the end."""
    filled: list[Interval] = []
    reached = 0.0
    for start, stop, text in intervals:
        start, stop = round(max(start, reached), 3), round(min(stop, end), 3)
        if stop <= start:
            continue
        if start > reached:
            filled.append((reached, start, ""))
        filled.append((start, stop, text))
        reached = stop
    if reached < end or not filled:
        filled.append((reached, end, ""))
    return filled


def _identifier(name: str) -> str:
    """A name as one word; in ctm and stm, fields end at spaces."""
    return re.sub(r"\s+", "_", name)
