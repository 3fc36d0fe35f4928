"""What a predictor returns for one input: output, score, attention, times and doubts.

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multiattn.engine.layouts import Layout
from multiattn.prediction.attention_records import (
    AttentionRecord,
    average_over_words,
    display_value,
    label_spans,
    sum_over_words,
)
from multiattn.prediction.forms.json_lines import FORMAT
from multiattn.prediction.word_times import TimedWord

if TYPE_CHECKING:
    from multiattn.prediction.source_use import SourceUse
    from multiattn.prediction.viewer.view import Views
    from multiattn.search.diagnostics.reading import Reading

NOTEBOOK_HEIGHT = 640  # pixels
PIECE_KEYS = ("text", "score", "log_probability", "n_best")  # of a piece, in JSON


@dataclass(frozen=True, eq=False)
class Piece:
    """The output of a piece of an input that was cut.

    start, end: its place in the whole, in seconds or characters. separator: what stands before its
    text in that of the whole, unless it is the first.
    """

    start: float
    end: float
    separator: str
    prediction: Prediction

    def as_json(self) -> dict[str, Any]:
        """The place and what the prediction says, without what the whole says too."""
        own = self.prediction.as_json()
        kept = {key: own[key] for key in PIECE_KEYS if key in own}
        return {"start": round(self.start, 3), "end": round(self.end, 3), **kept}


@dataclass(frozen=True, eq=False)
class Prediction:
    """One output for one input.

    score: the search's ranking score. log_probability: the model's own, including the end token.
    tokens: its T tokens in readable form. words: (word, first, end) over the tokens.
    attention: per source the weights (T + 1, S) of each token and the end; each row sums to 1.
    labels: per source a name for each of the S slots. layouts: per source what the slots are.
    times: per source when each word was said, if a plugin can align that layout.
    attention_times: the same by attention alone, where ``times`` are by something better.
    token_log_probabilities: the decoder's, of each token and of the end (T + 1).
    readings: how the output reads each source that it attends to.
    source_use: how much each source counted for each token, where the decoder can tell.
    viewer: makes the views of the run's predictions.
    doubts: warnings about the output, in sentences.
    alternatives: the next best outputs, if ``search.n_best`` is above 1, each text once.
    incomplete: whether a doubt is that the output lacks a part of the input, or repeats one.
    pieces: the outputs of its pieces, if the input was cut; attention and alternatives are theirs.
    """

    inputs: Mapping[str, Any]
    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]
    attention: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, tuple[str, ...]]
    layouts: Mapping[str, Layout]
    times: Mapping[str, tuple[TimedWord, ...]]
    doubts: tuple[str, ...] = ()
    alternatives: tuple[Prediction, ...] = ()
    incomplete: bool = False
    pieces: tuple[Piece, ...] = ()
    token_log_probabilities: tuple[float, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    attention_times: Mapping[str, tuple[TimedWord, ...]] = field(default_factory=dict)
    source_use: Callable[[], SourceUse] | None = field(default=None, repr=False)
    viewer: Callable[[], Views] | None = field(default=None, repr=False)

    @property
    def n_best(self) -> tuple[Prediction, ...]:
        """The output and its alternatives, best first."""
        return self, *self.alternatives

    @property
    def word_probabilities(self) -> tuple[float, ...]:
        """The decoder's probability of each word: the product of its tokens'."""
        logs = self.token_log_probabilities
        return tuple(math.exp(math.fsum(logs[first:end])) for _, first, end in self.words)

    def records(self) -> Iterator[AttentionRecord]:
        """Records to draw, one per source: output words by slots (by words for a text source)."""
        for source, weights in self.attention.items():
            rows, labels = average_over_words(weights, self.words), self.labels[source]
            if self.layouts[source].kind == "tokens":
                spans = label_spans(labels)
                rows = sum_over_words(rows, spans)
                labels = tuple(label for label, _, _ in spans)
            words = tuple(word for word, _, _ in self.words)
            value, layout = self.inputs[source], self.layouts[source]
            yield AttentionRecord(source, value, labels, words, rows, layout)

    def as_json(self) -> dict[str, Any]:
        """The input, the output, its score and word times; attention is in ``records``."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "input": {name: display_value(value) for name, value in self.inputs.items()},
            "text": self.text,
            "score": self.score,
            "log_probability": self.log_probability,
            "tokens": list(self.tokens),
        }
        if self.times:
            content["words"] = [
                {**word.as_json(), "source": source}
                for source, words in self.times.items()
                for word in words
            ]
        if self.doubts:
            content["doubts"] = list(self.doubts)
        if self.alternatives:
            content["n_best"] = [
                {"rank": rank, "text": other.text, "score": other.score}
                for rank, other in enumerate(self.n_best, start=1)
            ]
        if self.pieces:
            content["pieces"] = [piece.as_json() for piece in self.pieces]
        return content

    def view(self) -> dict[str, Any]:
        """What the viewer draws: ``as_json`` with attention and media (docs/viewer.md)."""
        if self.viewer is None:
            raise RuntimeError("expected a prediction of a Predictor")
        return self.viewer().json(self)

    def as_html(self, title: str = "Prediction") -> str:
        """A page that shows where the model looked for each word; it needs no other file."""
        from multiattn.prediction.viewer.html import viewer_element, viewer_page

        return viewer_page(title, [viewer_element(self.view())])

    def _repr_html_(self) -> str:
        """How a notebook shows a prediction."""
        from multiattn.prediction.viewer.html import framed

        return framed(self.as_html(), NOTEBOOK_HEIGHT)
