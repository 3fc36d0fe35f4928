"""The tokenisers of captions: COCO's own for English, sacrebleu's for others. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sacrebleu.metrics.bleu import BLEU

from multiattn import UserError
from multiattn_image.captioning_metrics import ptb_tokenizer

TokenizerName = Literal["ptb", "none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
_EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


@dataclass(frozen=True)
class Tokenizer:
    """tokenise: captions in lower case with single spaces between their tokens."""

    tokenise: Callable[[Sequence[str]], list[str]]
    signature: str


def make_tokenizer(name: TokenizerName) -> Tokenizer:
    """Raises UserError where the packages of a tokeniser are missing."""
    if name == "ptb":
        return Tokenizer(ptb_tokenizer.tokenise, f"case:lc|punct:no|tok:{ptb_tokenizer.NAME}")
    try:
        cut = BLEU(tokenize=name, force=True).tokenizer
    except (ImportError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"expected the packages that sacrebleu's tokeniser {name!r} needs, got none that it "
            f"can use; install them with `pip install '{_EXTRAS.get(name, 'sacrebleu')}'`, or "
            "choose another, such as tokenize=char"
        ) from error
    keeps_punctuation = name == "none"

    def tokenise(captions: Sequence[str]) -> list[str]:
        cuts = [cut(caption.lower()).split() for caption in captions]
        return [
            " ".join(token for token in tokens if keeps_punctuation or _is_word(token))
            for tokens in cuts
        ]

    punctuation = "yes" if keeps_punctuation else "no"
    version = importlib.metadata.version("sacrebleu")
    tokens = f"{cut.signature()}-sacrebleu-{version}"
    return Tokenizer(tokenise, f"case:lc|punct:{punctuation}|tok:{tokens}")


def _is_word(token: str) -> bool:
    """Whether a token has a letter, a mark or a number of any script."""
    return any(unicodedata.category(character)[0] in "LMN" for character in token)
