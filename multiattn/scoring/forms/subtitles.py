"""Subtitles: SubRip (.srt) and WebVTT (.vtt), cues with their times, without their markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import Meta, ReferenceFile, Span, TimedWords
from multiattn.scoring.forms.lines import split_lines
from multiattn.scoring.forms.nist import spread

ARROW = "-->"
VTT_HEADER = "WEBVTT"
VTT_BLOCKS = ("NOTE", "STYLE", "REGION")  # that hold no cue
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})")
_SRT_START = re.compile(r"\s*\d+\s*\n\s*\d+:\d\d:\d\d,\d+\s*-->")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True)
class _Cue:
    number: int  # of the line with its times
    span: Span
    text: str
    meta: Meta


def is_vtt(text: str) -> bool:
    """Whether it begins as a WebVTT file must."""
    return text.startswith(VTT_HEADER)


def is_srt(text: str) -> bool:
    """Whether it begins with a number and two times."""
    return _SRT_START.match(text) is not None


def read_cues(name: str, text: str, vtt: bool) -> ReferenceFile:
    """An utterance per cue that has words. Raises UserError."""
    cues = [cue for cue in _cues(name, text, vtt) if cue.text]
    if not cues:
        raise UserError(f"expected a cue with words in {name}, got none; give a file with some")
    return ReferenceFile(
        name,
        tuple((cue.text,) for cue in cues),
        tuple(f"cue-{number}" for number, _ in enumerate(cues, start=1)),
        meta=tuple(cue.meta for cue in cues) if any(cue.meta for cue in cues) else None,
        spans=tuple(cue.span for cue in cues),
    )


def read_words(name: str, text: str, vtt: bool) -> TimedWords:
    """The words of all cues, spread evenly over each. Raises UserError."""
    cues = _cues(name, text, vtt)
    return TimedWords(name, tuple(word for cue in cues for word in spread(cue.span, cue.text)))


def _cues(name: str, text: str, vtt: bool) -> Iterator[_Cue]:
    lines = list(enumerate(split_lines(text), start=1))
    blocks: list[list[tuple[int, str]]] = [[]]
    for number, line in lines:
        if line.strip():
            blocks[-1].append((number, line.strip()))
        elif blocks[-1]:
            blocks.append([])
    for block in blocks:
        if not block or (vtt and _is_no_cue(block)):
            continue
        yield _cue(name, block, vtt)


def _is_no_cue(block: list[tuple[int, str]]) -> bool:
    first = block[0][1]
    if first.startswith(VTT_HEADER) and block[0][0] == 1:
        return True
    return first.split()[0] in VTT_BLOCKS and not any(ARROW in line for _, line in block)


def _cue(name: str, block: list[tuple[int, str]], vtt: bool) -> _Cue:
    """A cue from its lines: a name or a number, its times, its text."""
    at = next((index for index, (_, line) in enumerate(block[:2]) if ARROW in line), None)
    if at is None:
        number, line = block[0]
        raise UserError(
            f"expected a number and two times with {ARROW} between them in line {number} of "
            f"{name}, got {shown(line, 60)}; correct it, or name the form with --format"
        )
    number, times = block[at]
    start, end = _times(times, f"line {number} of {name}")
    raw = " ".join(line for _, line in block[at + 1 :])
    voice = _VOICE.search(raw)
    text = _MARKUP.sub("", raw)
    text = " ".join((html.unescape(text) if vtt else text).split())
    meta = {"speaker": voice[1].strip()} if voice else {}
    return _Cue(number, Span("", "", start, end), text, meta)


def _times(line: str, place: str) -> tuple[float, float]:
    before, _, after = line.partition(ARROW)
    first = (after.split() or [""])[0]
    start, end = _CLOCK.fullmatch(before.strip()), _CLOCK.fullmatch(first)
    if start is None or end is None:
        raise UserError(
            f"expected two times such as 00:00:01,500 {ARROW} 00:00:03,000 in {place}, got "
            f"{shown(line, 60)}; correct them"
        )
    seconds = _seconds(start), _seconds(end)
    if seconds[1] < seconds[0]:
        raise UserError(f"expected an end after the start in {place}, got {line}; correct it")
    return seconds


def _seconds(clock: re.Match[str]) -> float:
    hours, minutes, seconds, fraction = clock.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return float(whole + int(fraction) / 10 ** len(fraction))


srt_cues, vtt_cues = (partial(read_cues, vtt=vtt) for vtt in (False, True))
srt_words, vtt_words = (partial(read_words, vtt=vtt) for vtt in (False, True))
