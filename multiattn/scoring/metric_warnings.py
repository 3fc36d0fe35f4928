"""What makes a score doubtful: tokens that are not those of the texts, and what the metric says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import get_args

from multiattn.registry.schema import settings_of
from multiattn.scoring.metric import Metric, References, TokenizingMetric, WarningMetric

NOTABLE = 0.01  # the share of letters or of texts from which a loss is worth a warning
# Scripts written without spaces: their letters, and how many of them no word has on average.
_UNSPACED = (
    (re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 4),
    (re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"), 12),
)


def metric_warnings(
    metric: Metric, hypotheses: Sequence[str], references: References
) -> tuple[str, ...]:
    """Why the metric's value on these texts is undefined or means little, a sentence each."""
    found: list[str] = []
    if isinstance(metric, TokenizingMetric):
        targets = list(chain.from_iterable(references))
        texts = [*hypotheses, *targets]
        tokens = metric.tokens(texts)
        found += [
            f"{doubt}; {_remedy(metric)}"
            for doubt in (*_lost_letters(texts, tokens), *_uncut_text(tokens))
        ]
        found += _empty_references(tokens[len(hypotheses) :], references)
    if isinstance(metric, WarningMetric):
        found += metric.warnings(hypotheses, references)
    return tuple(found)


def _empty_references(tokens: Sequence[Sequence[str]], references: References) -> Iterator[str]:
    """Warn of examples without a reference that has a token; tokens: of all the references."""
    own = iter(tokens)
    empty = [
        number
        for number, targets in enumerate(references, start=1)
        if not any(list(islice(own, len(targets))))
    ]
    if empty:
        yield (
            f"{len(empty)} of {len(references)} examples have no reference with a token (the first "
            f"is example {empty[0]}): nothing can match there, and a rate by their length is "
            "undefined; check these references or leave the examples out"
        )


def _lost_letters(texts: Sequence[str], tokens: Sequence[Sequence[str]]) -> Iterator[str]:
    written = [_letters(text) for text in texts]
    lost = [
        max(0, letters - sum(map(_letters, own)))
        for letters, own in zip(written, tokens, strict=True)
    ]
    mostly = sum(2 * missing > letters for missing, letters in zip(lost, written, strict=True))
    share = sum(lost) / max(1, sum(written))
    if share >= NOTABLE or mostly >= max(1, NOTABLE * len(texts)):
        yield (
            f"its tokenizer drops {100 * share:.1f} % of the letters, and more than half of them "
            f"in {mostly} of {len(texts)} texts"
        )


def _uncut_text(tokens: Sequence[Sequence[str]]) -> Iterator[str]:
    """Warn of tokens that are whole clauses in a script without spaces between words."""
    words = Counter(chain.from_iterable(tokens))
    total = sum(_letters(word) * times for word, times in words.items())
    for script, longest in _UNSPACED:
        found = {word: count for word in words if (count := len(script.findall(word)))}
        letters = sum(count * words[word] for word, count in found.items())
        written = sum(words[word] for word in found)
        if letters and 10 * letters >= total and letters >= longest * written:
            yield (
                "its tokenizer does not divide text that is written without spaces "
                f"({letters / written:.1f} letters a token), so whole clauses are compared"
            )


def _remedy(metric: Metric) -> str:
    setting = settings_of(type(metric)).get("tokenize")
    if setting is None:
        return "score with a metric of characters as well, such as chrf or cer"
    return f"set its tokenize to another of {', '.join(map(str, get_args(setting.annotation)))}"


@lru_cache(maxsize=100_000)
def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))
