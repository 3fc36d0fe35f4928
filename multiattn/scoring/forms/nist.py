"""NIST's forms with times: stm, segments with their transcripts, and ctm, words.

They are those of SCTK (https://github.com/usnistgov/SCTK, doc/infmts.htm): lines that begin with
``;;`` are comments, and ``IGNORE_TIME_SEGMENT_IN_SCORING``, in any case, is the transcript of what
is not to be scored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import ReferenceFile, Span, TimedWords
from multiattn.scoring.forms.lines import lines_with_ids

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
STM_FIELDS, CTM_FIELDS = 5, 5  # that a line must have
_LABEL = re.compile(r"<[^<>\s]*>")
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_STM_LINE = re.compile(rf"\S+\s+\S+\s+\S+\s+(?:{_NUMBER})\s+(?:{_NUMBER})(?:\s.*)?")
_CTM_LINE = re.compile(rf"\S+\s+\S+\s+(?:{_NUMBER})\s+(?:{_NUMBER})\s+\S+(?:\s.*)?")


def is_stm(text: str) -> bool:
    """Whether every line is a segment of a recording with two times that follow each other."""
    lines = [line for _, line in lines_with_ids(text)]
    if not lines or not all(_STM_LINE.fullmatch(line.strip()) for line in lines):
        return False
    return all(float(line.split()[3]) <= float(line.split()[4]) for line in lines)


def is_ctm(text: str) -> bool:
    """Whether every line is a word of a recording with a start and a duration."""
    lines = [line for _, line in lines_with_ids(text)]
    return bool(lines) and all(_CTM_LINE.fullmatch(line.strip()) for line in lines)


def read_stm(name: str, text: str) -> ReferenceFile:
    """The segments that are to be scored, and the spans of the others. Raises UserError."""
    spans, texts, meta, ignored, counts = [], [], [], [], dict[str, int]()
    for place, speaker, span, transcript in _stm_rows(name, text):
        if transcript.upper() == IGNORED:
            ignored.append(span)
            continue
        if any("/" in braces for braces in re.findall(r"\{[^{}]*\}", transcript)):
            raise UserError(
                f"expected one transcript in {place}, got sclite's alternatives in "
                f"{shown(transcript, 60)}; keep one of each {{a / b}}"
            )
        spans.append(span)
        texts.append((transcript,))
        meta.append({"speaker": speaker, "recording": span.recording})
    if not spans:
        raise UserError(f"expected a segment to score in {name}, got none; give some")
    ids = tuple(_span_id(span, counts) for span in spans)
    return ReferenceFile(
        name, tuple(texts), ids, meta=tuple(meta), spans=tuple(spans), ignored=tuple(ignored)
    )


def read_stm_words(name: str, text: str) -> TimedWords:
    """A system's segments as words, spread evenly over each. Raises UserError."""
    rows = _stm_rows(name, text)
    return TimedWords(
        name,
        tuple(
            word
            for _, _, span, transcript in rows
            if transcript.upper() != IGNORED
            for word in spread(span, transcript)
        ),
    )


def read_ctm(name: str, text: str) -> TimedWords:
    """A system's words, in order of their times. Raises UserError."""
    words = []
    for number, line in lines_with_ids(text):
        place = f"line {number} of {name}"
        fields = line.split()
        if len(fields) < CTM_FIELDS:
            raise _malformed(place, "recording, channel, start, duration and word", line)
        if fields[4].startswith("<ALT"):
            raise UserError(f"expected one word in {place}, got alternatives; keep one of them")
        start = _time(fields[2], place)
        span = Span(fields[0], fields[1], start, start + _time(fields[3], place))
        words.append((span, fields[4]))
    if not words:
        raise UserError(f"expected a word in {name}, got none; give a file that has some")
    return TimedWords(name, tuple(words))


def refuse_ctm(name: str, text: str) -> ReferenceFile:
    """Words without utterances are no references. Raises UserError."""
    raise UserError(
        f"expected references with utterances, got the words of a ctm in {name}; give an stm, or "
        "another form that has them"
    )


def spread(span: Span, text: str) -> Iterator[tuple[Span, str]]:
    """The words of a text, each with an equal part of its span."""
    words = text.split()
    each = (span.end - span.start) / max(1, len(words))
    for number, word in enumerate(words):
        start = span.start + number * each
        yield Span(span.recording, span.channel, start, start + each), word


def _stm_rows(name: str, text: str) -> Iterator[tuple[str, str, Span, str]]:
    """Where a segment stands, its speaker, its span and its transcript without the label."""
    for number, line in lines_with_ids(text):
        place = f"line {number} of {name}"
        fields = line.split(None, STM_FIELDS)
        if len(fields) < STM_FIELDS:
            raise _malformed(place, "recording, channel, speaker, start, end and words", line)
        start, end = (_time(field, place) for field in fields[3:STM_FIELDS])
        if end < start:
            raise UserError(
                f"expected an end after the start in {place}, got {start:g} and {end:g}; correct it"
            )
        words = fields[STM_FIELDS].split() if len(fields) > STM_FIELDS else []
        if words and _LABEL.fullmatch(words[0]) and "," in words[0]:
            words = words[1:]
        yield place, fields[2], Span(fields[0], fields[1], start, end), " ".join(words)


def _time(text: str, place: str) -> float:
    """Seconds. Raises UserError unless they are a number from 0 on."""
    try:
        seconds = math.nan if "_" in text else float(text)  # Python reads 1_0 as 10
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UserError(
            f"expected a time in seconds, 0 or more, in {place}, got {shown(text, 40)}; correct it"
        )
    return seconds


def _span_id(span: Span, counts: dict[str, int]) -> str:
    """A name for a segment; one that is there already gets a number."""
    name = f"{span.recording}-{span.channel}-{span.start:.2f}-{span.end:.2f}"
    counts[name] = counts.get(name, 0) + 1
    return name if counts[name] == 1 else f"{name}-{counts[name]}"


def _malformed(place: str, expected: str, line: str) -> UserError:
    return UserError(
        f"expected {expected} in {place}, got {shown(line, 60)}; correct the line, or name the "
        "form of the file with --format"
    )
