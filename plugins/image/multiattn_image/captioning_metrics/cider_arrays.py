"""CIDEr-D of a whole set at once, with document frequencies from its own references.

The arithmetic is that of pycocoevalcap's scorer, which takes captions one by one, on arrays.
Imports no torch.

Letters: H outputs, R references of all examples, G different n-grams, E n-grams of single captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from multiattn_image.captioning_metrics.cider import MAX_ORDER, SIGMA

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Ngrams:
    """The n-grams of one order: their caption (E,), their number (E,), how often they occur (E,).

    kinds: G. Sorted by caption, then by number.
    """

    captions: Integers
    numbers: Integers
    counts: Integers
    kinds: int

    def select(self, chosen: NDArray[np.bool_]) -> _Ngrams:
        return _Ngrams(self.captions[chosen], self.numbers[chosen], self.counts[chosen], self.kinds)


def scored_set(hypotheses: Sequence[str], references: References) -> tuple[Floats, int]:
    """The score of every output (H,), 0-10, and how many examples have no n-gram with weight.

    Tokens are separated by spaces. ``references[i]`` belong to ``hypotheses[i]``.
    """
    outputs = len(hypotheses)
    example = np.repeat(np.arange(outputs), [len(own) for own in references])  # (R,)
    tokens, starts = _tokens([*hypotheses, *chain.from_iterable(references)])
    similarity = np.zeros((MAX_ORDER, len(example)))
    weighted = np.zeros(outputs, dtype=np.bool_)
    lengths = np.zeros(outputs + len(example), dtype=np.int64)
    for order, ngrams in enumerate(_ngrams(tokens, starts)):
        is_output = ngrams.captions < outputs
        own, targets = ngrams.select(is_output), ngrams.select(~is_output)
        of_example = example[targets.captions - outputs]  # (E,)
        idf = np.log(float(outputs)) - np.log(_documents(of_example, targets))  # (G,)
        weighted[of_example[idf[targets.numbers] > 0]] = True
        similarity[order] = _similarity(own, targets, of_example, idf, outputs, len(example))
        if order == 1:  # the package measures length in bigrams
            np.add.at(lengths, ngrams.captions, ngrams.counts)
    delta = lengths[example] - lengths[outputs:]  # (R,)
    by_reference = similarity.mean(axis=0) * np.exp(-(delta**2) / (2 * SIGMA**2))
    sums = np.bincount(example, by_reference, minlength=outputs)
    scores = 10.0 * sums / np.maximum(1, np.bincount(example, minlength=outputs))
    return scores, int(outputs - weighted.sum())


def _similarity(
    own: _Ngrams, targets: _Ngrams, of_example: Integers, idf: Floats, outputs: int, references: int
) -> Floats:
    """The clipped cosine of every reference with the output of its example: (R,)."""
    own_weights, target_weights = (each.counts * idf[each.numbers] for each in (own, targets))
    keys = own.captions * own.kinds + own.numbers  # sorted
    wanted = of_example * own.kinds + targets.numbers
    places = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    found = np.zeros(len(wanted))
    if len(keys):
        found = np.where(keys[places] == wanted, own_weights[places], 0.0)
    reference = targets.captions - outputs
    products = np.bincount(
        reference, np.minimum(found, target_weights) * target_weights, minlength=references
    )
    own_norms = np.sqrt(np.bincount(own.captions, own_weights**2, minlength=outputs))
    norms = np.sqrt(np.bincount(reference, target_weights**2, minlength=references))
    example = np.zeros(references, dtype=np.int64)
    example[reference] = of_example
    both = own_norms[example] * norms
    similarity: Floats = np.divide(products, both, out=np.zeros(references), where=both > 0)
    return similarity


def _documents(of_example: Integers, targets: _Ngrams) -> Integers:
    """In how many examples' references each n-gram occurs, at least 1: (G,)."""
    pairs = np.unique(of_example * targets.kinds + targets.numbers)
    return np.maximum(1, np.bincount(pairs % max(1, targets.kinds), minlength=targets.kinds))


def _tokens(captions: Sequence[str]) -> tuple[Integers, Integers]:
    """The tokens of all captions as numbers, and where each caption begins and ends."""
    vocabulary: dict[str, int] = {}
    split = [caption.split() for caption in captions]
    numbers = [vocabulary.setdefault(token, len(vocabulary)) for own in split for token in own]
    ends = np.cumsum([0, *map(len, split)])
    return np.array(numbers, dtype=np.int64), ends


def _ngrams(tokens: Integers, starts: Integers) -> list[_Ngrams]:
    """The n-grams of orders 1 to 4."""
    caption = np.repeat(np.arange(len(starts) - 1), np.diff(starts))  # (tokens,)
    width = int(tokens.max(initial=0)) + 1
    orders, current = [], tokens
    for order in range(MAX_ORDER):
        if order:
            current = current[:-1] * width + tokens[order:]
        kinds, current = np.unique(current, return_inverse=True)
        inside = caption[: len(current)] == caption[order:]
        keys, counts = np.unique(
            caption[: len(current)][inside] * len(kinds) + current[inside], return_counts=True
        )
        total = max(1, len(kinds))
        orders.append(_Ngrams(keys // total, keys % total, counts, len(kinds)))
    return orders
