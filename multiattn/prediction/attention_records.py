"""The attention weights of one output over one source, by words: what a renderer draws.

No torch and no matplotlib is imported here, so that a prediction costs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiattn.data.corpus import StoredMedia

Span = tuple[str, int, int]  # a word and the tokens [first, end) that spell it


@dataclass(frozen=True)
class AttentionRecord:
    """The attention weights of one output over one of its sources.

    value: the raw input, as passed to the reader.
    labels: a name per slot, S, or none.
    words: the output's words, W.
    weights: (W, S), each row the mean weights of the word's tokens.
    layout: what the slots are (``memory.Layout``).
    """

    source: str
    value: Any
    labels: tuple[str, ...]
    words: tuple[str, ...]
    weights: NDArray[np.floating[Any]]
    layout: Any

    def as_json(self) -> dict[str, Any]:
        """The record as plain data, for other programs."""
        return {
            "source": self.source,
            "value": display_value(self.value),
            "labels": list(self.labels),
            "words": list(self.words),
            "weights": [[round(float(weight), 5) for weight in row] for row in self.weights],
        }


def display_value(value: Any) -> str:
    """A raw input for JSON: a text or a path unchanged, any other value named or described."""
    if isinstance(value, StoredMedia):
        return value.name
    return value if isinstance(value, str) else f"<{type(value).__name__}>"


def average_over_words(
    weights: NDArray[np.floating[Any]], spans: Sequence[Span]
) -> NDArray[np.floating[Any]]:
    """(T, S) weights of tokens -> (W, S) of words: the mean of a word's tokens."""
    rows = [weights[first:end].mean(axis=0) for _, first, end in spans]
    return np.array(rows).reshape(len(spans), weights.shape[1])


def sum_over_words(
    weights: NDArray[np.floating[Any]], spans: Sequence[Span]
) -> NDArray[np.floating[Any]]:
    """(W, S) -> (W, words of the source): the sum over a word's slots, so rows keep their sum."""
    columns = [weights[:, first:end].sum(axis=1) for _, first, end in spans]
    return np.array(columns).reshape(len(spans), weights.shape[0]).T


def label_spans(labels: Sequence[str]) -> list[Span]:
    """Join the labels of a text's slots into words: ``▁`` starts one, specials stand alone."""
    spans: list[Span] = []
    alone = True
    for index, label in enumerate(labels):
        special = label.startswith("<") and label.endswith(">")
        letters = label if special else label.replace("▁", "")
        if alone or special or label.startswith("▁"):
            spans.append((letters, index, index + 1))
        else:
            word, first, _ = spans[-1]
            spans[-1] = (word + letters, first, index + 1)
        alone = special
    return spans
