"""The words of an output with their times, as all forms with times need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from multiattn.engine.layouts import Time
from multiattn.errors import UserError
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.word_times import TimedWord

SHORTEST_SECONDS = 0.01  # a word lasts at least so long


class UntimedError(UserError):
    """An output whose words have no times."""


@dataclass(frozen=True)
class Stretch:
    """What was said in a piece of a recording, or in all of it; times in seconds."""

    start: float
    end: float
    text: str
    words: tuple[TimedWord, ...]


def stretches(prediction: Prediction) -> list[Stretch]:
    """The pieces of an output, or the whole if it was not cut; words one after another.

    Raises UntimedError.
    """
    if not prediction.pieces:
        return [_stretch(prediction, 0.0, None)]
    return [
        _stretch(piece.prediction, piece.start, piece.end)
        for piece in prediction.pieces
        if piece.prediction.text
    ]


def _stretch(prediction: Prediction, start: float, end: float | None) -> Stretch:
    words = next(iter(prediction.times.values()), ())
    if prediction.text.strip() and not words:
        raise UntimedError(
            "expected an output with the times of its words, got none: only recordings have them, "
            "where an aligner is installed; use --as text or --as json"
        )
    placed = tuple(_one_after_another(words, start))
    last = placed[-1].end if placed else start
    return Stretch(
        start, max(last, _duration(prediction) if end is None else end), prediction.text, placed
    )


def _duration(prediction: Prediction) -> float:
    """The seconds of a recording, as far as its memory tells."""
    seconds = [0.0]
    for source, weights in prediction.attention.items():
        layout = prediction.layouts[source]
        if isinstance(layout, Time):
            seconds.append(weights.shape[1] * layout.seconds_per_slot)
    return max(seconds)


def _one_after_another(words: Sequence[TimedWord], offset: float) -> Iterator[TimedWord]:
    """Words that do not overlap, each for at least a moment; ``offset``: added to their times."""
    free = 0.0
    for word in words:
        start = max(free, word.start)
        free = max(start + SHORTEST_SECONDS, word.end)
        yield replace(word, start=start + offset, end=free + offset)
