"""Text -> text before words are counted. Each is named and versioned; none knows what is scored.

A change of what one does is a new version in its signature: two error rates with different
signatures are of different texts. All of them give the same when applied twice.
"""

from __future__ import annotations

import re
import unicodedata


class Verbatim:
    """Leaves a text as it is: what jiwer itself compares."""

    def __call__(self, text: str) -> str:
        return text

    def signature(self) -> str:
        """Nothing is changed, so there is no version."""
        return "none"


class Plain:
    """Small letters, digits and apostrophes within words, for any script.

    Compatible forms are made one (NFKC); everything else, hyphens too, is a space.
    """

    def __call__(self, text: str) -> str:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
        spelled = re.sub("'+", "'", "".join(map(_letter, folded.replace("’", "'"))))
        return " ".join(re.sub(r"(?<!\S)'+|'+(?!\S)", " ", spelled).split())

    def signature(self) -> str:
        """The name and the version of the rules."""
        return "plain-v1"


class English:
    """As ``Plain``, without ``[noise]``, ``(remarks)``, hesitations; contractions are written out.

    After the normaliser of Whisper (Radford et al. 2023, appendix C), without its tables of
    numbers and of British spellings.
    """

    def __init__(self) -> None:
        self._plain = Plain()

    def __call__(self, text: str) -> str:
        text = self._plain(BRACKETED.sub(" ", text))
        for contracted, full in CONTRACTIONS:
            text = contracted.sub(full, text)
        return self._plain(HESITATION.sub(" ", text))

    def signature(self) -> str:
        """The name and the version of the rules."""
        return "english-v1"


def _letter(character: str) -> str:
    """The character if a word may hold it, else a space: letters, marks, numbers, apostrophes."""
    return character if character == "'" or unicodedata.category(character)[0] in "LMN" else " "


BRACKETED = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>")
HESITATION = re.compile(r"\b(?:hmm|mm|mhm|mmm|uh|um)\b(?!')")
CONTRACTIONS = [
    (re.compile(pattern), full)
    for pattern, full in (
        (r"\bwon't\b", "will not"),
        (r"\bcan't\b", "can not"),
        (r"\blet's\b", "let us"),
        (r"\by'all\b", "you all"),
        (r"\bma'am\b", "madam"),
        (r"\bi'ma\b", "i am going to"),
        (r"\bwanna\b", "want to"),
        (r"\bgotta\b", "got to"),
        (r"\bgonna\b", "going to"),
        (r"'d been\b", " had been"),
        (r"'s been\b", " has been"),
        (r"'s got\b", " has got"),
        (r"n't\b", " not"),
        (r"'re\b", " are"),
        (r"'s\b", " is"),  # a genitive too: both sides are treated alike
        (r"'d\b", " would"),
        (r"'ll\b", " will"),
        (r"'ve\b", " have"),
        (r"'m\b", " am"),
    )
]
