"""Join the outputs of an input's pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from multiattn.data.rows import Row
from multiattn.errors import UserError
from multiattn.prediction.long_inputs.cutter import Cut
from multiattn.prediction.long_inputs.segmenter import Segment
from multiattn.prediction.prediction import Piece, Prediction
from multiattn.prediction.word_times import TimedWord

NOTHING_FOUND = "the source's segmenter found nothing in it to decode"
Decoded = tuple[Cut | None, Prediction | UserError]  # what was decoded, and what came of it


def joined(row: Row | UserError, decoded: Sequence[Decoded]) -> Prediction | UserError:
    """The output of an input from those of its pieces, or the error if there is none.

    Scores are sums. A piece that could not be decoded is a doubt about the whole.
    """
    if isinstance(row, UserError):
        return row
    errors = [outcome for _, outcome in decoded if isinstance(outcome, UserError)]
    if errors and len(errors) == len(decoded):
        return errors[0]
    if len(decoded) == 1 and decoded[0][0] is not None and decoded[0][0].segment is None:
        return decoded[0][1]
    pieces = [
        Piece(cut.segment.start, cut.segment.end, cut.segment.separator, outcome)
        for cut, outcome in decoded
        if cut is not None and cut.segment is not None and isinstance(outcome, Prediction)
    ]
    timed = _is_timed(pieces)
    inputs = {name: value for name, value in row.sources.items() if value is not None}
    return Prediction(
        inputs=inputs,
        text=_joined_text(pieces),
        score=math.fsum(piece.prediction.score for piece in pieces),
        log_probability=math.fsum(piece.prediction.log_probability for piece in pieces),
        tokens=tuple(token for piece in pieces for token in piece.prediction.tokens),
        words=_joined_words(pieces),
        attention={},
        labels={},
        layouts={},
        times=_joined_times(inputs, pieces) if timed else {},
        doubts=tuple(_joined_doubts(decoded, timed)) if decoded else (NOTHING_FOUND,),
        pieces=tuple(pieces),
        viewer=pieces[0].prediction.viewer if pieces else None,
    )


def _joined_text(pieces: Sequence[Piece]) -> str:
    text = ""
    for piece in pieces:
        if piece.prediction.text:
            text += (piece.separator if text else "") + piece.prediction.text
    return text


def _joined_words(pieces: Sequence[Piece]) -> tuple[tuple[str, int, int], ...]:
    words, before = [], 0
    for piece in pieces:
        own = piece.prediction
        words += [(word, first + before, end + before) for word, first, end in own.words]
        before += len(own.tokens)
    return tuple(words)


def _joined_times(
    inputs: Mapping[str, Any], pieces: Sequence[Piece]
) -> dict[str, tuple[TimedWord, ...]]:
    """The times of all words from the beginning of the whole."""
    times: dict[str, tuple[TimedWord, ...]] = {}
    for source in inputs:
        aligned = [piece for piece in pieces if source in piece.prediction.times]
        if aligned:
            times[source] = tuple(
                replace(word, start=word.start + piece.start, end=word.end + piece.start)
                for piece in aligned
                for word in piece.prediction.times[source]
            )
    return times


def _is_timed(pieces: Sequence[Piece]) -> bool:
    """Whether the pieces are stretches of time."""
    return any(
        layout.kind == "time" for piece in pieces for layout in piece.prediction.layouts.values()
    )


def _joined_doubts(decoded: Sequence[Decoded], timed: bool) -> Iterator[str]:
    for cut, outcome in decoded:
        place = "" if cut is None or cut.segment is None else f"{_place(cut.segment, timed)}: "
        for doubt in [str(outcome)] if isinstance(outcome, UserError) else outcome.doubts:
            yield place + doubt


def _place(segment: Segment, timed: bool) -> str:
    if timed:
        return f"from {segment.start:.1f} to {segment.end:.1f} seconds"
    return f"characters {segment.start + 1:.0f} to {segment.end:.0f}"
