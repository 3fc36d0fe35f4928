"""The tokenisers of sacrebleu, for BLEU and for ROUGE. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sacrebleu.metrics.bleu import BLEU

from multiattn import UserError

BleuTokenizer = Literal[
    "13a", "intl", "none", "char", "zh", "ja-mecab", "ko-mecab", "flores101", "flores200"
]
_EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


@contextmanager
def explain_missing_packages(name: str) -> Iterator[None]:
    """Turn sacrebleu's errors about what a tokeniser lacks into a UserError of one sentence."""
    try:
        yield
    except (ImportError, RuntimeError, OSError, AssertionError) as error:
        if name in _EXTRAS:
            remedy = f"install them with `pip install '{_EXTRAS[name]}'`"
        else:
            remedy = f"get it ({' '.join(str(error).split())})"
        raise UserError(
            f"expected the packages and data that sacrebleu's tokeniser {name!r} needs, got none "
            f"that it can use; {remedy}, or choose another, such as tokenize=13a"
        ) from error


class SacrebleuTokenizer:
    """Lower-case tokens without punctuation; ``none`` only cuts at spaces. Raises UserError."""

    def __init__(self, name: str) -> None:
        with explain_missing_packages(name):
            self._tokenizer = BLEU(tokenize=name, force=True).tokenizer
        self._keeps_punctuation = name == "none"

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; the name is that of rouge-score's tokenisers."""
        tokens = self._tokenizer(text.lower()).split()
        return tokens if self._keeps_punctuation else list(filter(_is_word, tokens))

    def signature(self) -> str:
        """Case, punctuation, and sacrebleu's name for the tokeniser with its version."""
        punctuation = "yes" if self._keeps_punctuation else "no"
        version = importlib.metadata.version("sacrebleu")
        return f"case:lc|punct:{punctuation}|tok:{self._tokenizer.signature()}-sacrebleu-{version}"


def _is_word(token: str) -> bool:
    """Whether a token has a letter, a mark or a number of any script."""
    return any(unicodedata.category(character)[0] in "LMN" for character in token)
