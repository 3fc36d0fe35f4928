"""The JSON that the viewer draws: a prediction with its attention and its media.

It is ``Prediction.as_json`` with a key ``view``, or a ``view`` in each of ``pieces`` if the input
was cut. docs/viewer.md describes it. Imports no torch.

Letters: W output words, S slots, or words of a text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiattn.errors import UserError
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.rendering import MediaRenderer, Renderers
from multiattn.prediction.word_times import TimedWord

KNOWN_LAYOUTS = ("tokens", "grid", "time")  # the viewer draws these; of others a picture
LEVELS = 255


@dataclass(frozen=True)
class Views:
    """Makes views of predictions.

    renderers: give the media of a source, and a picture where the viewer knows no layout.
    alternatives: whether the next best outputs are seen too.
    """

    renderers: Renderers
    alternatives: bool = True

    def json(self, prediction: Prediction) -> dict[str, Any]:
        """The prediction with its view."""
        content = prediction.as_json()
        if not prediction.pieces:
            return {**content, "view": self.view(prediction)}
        for written, piece in zip(content["pieces"], prediction.pieces, strict=True):
            written["view"] = self.view(piece.prediction)
        return content

    def view(self, prediction: Prediction) -> dict[str, Any]:
        """Sources and outputs, best first; an input that was not cut."""
        shown = prediction.n_best if self.alternatives else (prediction,)
        records = {record.source: record for record in prediction.records()}
        return {
            "sources": [
                self._source(name, records.get(name), prediction) for name in self.renderers.sources
            ],
            "outputs": [self._output(each) for each in shown],
        }

    def _source(
        self, name: str, record: AttentionRecord | None, prediction: Prediction
    ) -> dict[str, Any]:
        if record is None:
            return {"name": name, "missing": name not in prediction.inputs}
        source = {"name": name, "layout": _plain(record.layout), "labels": list(record.labels)}
        try:
            renderer = self.renderers.renderer(record)
            media = renderer.media(record) if isinstance(renderer, MediaRenderer) else None
        except UserError as error:
            return {**source, "note": str(error)}
        return source if media is None else {**source, "media": dict(media)}

    def _output(self, prediction: Prediction) -> dict[str, Any]:
        records = list(prediction.records())
        output: dict[str, Any] = {
            "text": prediction.text,
            "score": _finite(prediction.score),
            "words": [
                {"text": word, "probability": round(probability, 4)}
                for (word, _, _), probability in zip(
                    prediction.words, prediction.word_probabilities, strict=True
                )
            ],
            "attention": {record.source: _packed(record.weights) for record in records},
            "readings": {name: each.as_json() for name, each in prediction.readings.items()},
            "times": {
                source: [_times(words), *_attention_times(prediction, source)]
                for source, words in prediction.times.items()
                if words
            },
            "doubts": list(prediction.doubts),
        }
        if prediction.source_use is not None:
            use = prediction.source_use()
            for key, values in (("shares", use.shares), ("gates", use.gates)):
                if values:
                    output[key] = {
                        source: _by_word(own, prediction.words) for source, own in values.items()
                    }
        drawn = {
            record.source: self._drawing(record)
            for record in records
            if record.layout.kind not in KNOWN_LAYOUTS
        }
        return {**output, "drawings": drawn} if drawn else output

    def _drawing(self, record: AttentionRecord) -> str:
        """The renderer's picture, or why there is none."""
        try:
            return self.renderers.svg(record)
        except UserError as error:
            return str(error)


def _by_word(values: Sequence[float], words: Sequence[tuple[str, int, int]]) -> list[float]:
    """The mean over the tokens of each word."""
    return [round(math.fsum(values[first:end]) / (end - first), 4) for _, first, end in words]


def _attention_times(prediction: Prediction, source: str) -> list[dict[str, Any]]:
    words = prediction.attention_times.get(source, ())
    return [_times(words)] if words else []


def _times(words: Sequence[TimedWord]) -> dict[str, Any]:
    """Times of the words by one method: start and end in seconds, confidence."""
    return {
        "method": words[0].method,
        "words": [
            [round(word.start, 3), round(word.end, 3), round(word.confidence, 4)] for word in words
        ],
    }


def _plain(layout: Any) -> dict[str, Any]:
    try:
        return dict(asdict(layout))
    except TypeError:  # a layout of a plugin need not be a dataclass
        return {"kind": str(layout.kind)}


def _packed(weights: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """Weights (W, S) as bytes, row by row: ``scale[w] * byte / 255``, exact to half a level."""
    rows, columns = weights.shape
    scale = weights.max(axis=1, initial=0.0)  # (W,)
    shares = weights / np.where(scale > 0, scale, 1)[:, None]
    levels = np.rint(shares * LEVELS).astype(np.uint8)
    return {
        "rows": rows,
        "columns": columns,
        "scale": [round(float(value), 6) for value in scale],
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }


def unpacked(packed: Mapping[str, Any]) -> NDArray[np.float64]:
    """The weights (W, S) that a view holds, for other programs."""
    levels = np.frombuffer(base64.b64decode(packed["levels"]), dtype=np.uint8)
    shares = levels.reshape(packed["rows"], packed["columns"]) / LEVELS
    weights: NDArray[np.float64] = shares * np.array(packed["scale"]).reshape(-1, 1)
    return weights


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
