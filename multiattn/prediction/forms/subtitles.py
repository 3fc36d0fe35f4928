"""Subtitles: SubRip (.srt) and WebVTT (.vtt).

A cue has at most two lines of 42 characters and lasts at most seven seconds, as broadcasters ask
(BBC Subtitle Guidelines; Netflix Timed Text Style Guide).
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from multiattn.prediction.forms.timed import stretches
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.word_times import TimedWord

LINE_WIDTH, LINES = 42, 2
LONGEST_SECONDS, SHORTEST_SECONDS = 7.0, 1.0
PAUSE_SECONDS = 0.7  # between words: a new cue


@dataclass(frozen=True)
class Cue:
    """A text that is shown from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    text: str


def srt(name: str, prediction: Prediction) -> str:
    """SubRip: numbered cues."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues(prediction), start=1)
    )


def vtt(name: str, prediction: Prediction) -> str:
    """WebVTT, the subtitles of the web (W3C)."""
    blocks = ["WEBVTT\n"]
    for cue in cues(prediction):
        text = html.escape(cue.text, quote=False)
        blocks.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def cues(prediction: Prediction) -> list[Cue]:
    """The cues of an output, each shown for a second if the next does not begin before.

    Raises UserError for an output whose words have no times.
    """
    groups = [group for stretch in stretches(prediction) for group in _groups(list(stretch.words))]
    starts = [group[0].start for group in groups[1:]] + [float("inf")]
    return [
        Cue(
            group[0].start,
            min(max(group[-1].end, group[0].start + SHORTEST_SECONDS), next_start),
            "\n".join(_lines(group)),
        )
        for group, next_start in zip(groups, starts, strict=False)
    ]


def _groups(words: list[TimedWord]) -> Iterator[list[TimedWord]]:
    """Words that are shown together."""
    group: list[TimedWord] = []
    for word in words:
        if group and not _fits(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _fits(group: list[TimedWord], word: TimedWord) -> bool:
    return (
        word.start - group[-1].end < PAUSE_SECONDS
        and word.end - group[0].start <= LONGEST_SECONDS
        and len(_lines([*group, word])) <= LINES
    )


def _lines(group: list[TimedWord]) -> list[str]:
    return textwrap.wrap(" ".join(word.word for word in group), LINE_WIDTH)


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"
