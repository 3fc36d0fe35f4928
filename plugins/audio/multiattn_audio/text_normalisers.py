"""Text normalisers, applied to reference and hypothesis before an error rate is computed.

Any change to a normaliser needs a new version in its signature, because error rates with different
signatures are not comparable. Every normaliser is idempotent.
"""

from __future__ import annotations

import re
import unicodedata


class VerbatimNormaliser:
    """Leaves a text unchanged, so that the error rate is that of jiwer alone."""

    def __call__(self, text: str) -> str:
        return text

    def signature(self) -> str:
        """There is no version, because there are no rules."""
        return "none"


class PlainNormaliser:
    """Keeps lower-case letters, digits and apostrophes within words, in any script.

    Compatible forms are unified (NFKC); everything else, including hyphens, becomes a space.
    """

    def __call__(self, text: str) -> str:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
        words = re.sub("'+", "'", "".join(map(_letter_or_space, folded.replace("’", "'"))))
        return " ".join(re.sub(r"(?<!\S)'+|'+(?!\S)", " ", words).split())

    def signature(self) -> str:
        """The name and the version of the rules."""
        return "plain-v1"


class EnglishNormaliser:
    """Also removes ``[noise]``, ``(remarks)`` and hesitations, and expands contractions.

    The rest is as in ``PlainNormaliser``. Modelled on the normaliser of Whisper (Radford et al.
    2023, appendix C), without its tables of numbers and British spellings.
    """

    def __init__(self) -> None:
        self._plain = PlainNormaliser()

    def __call__(self, text: str) -> str:
        text = self._plain(BRACKETED.sub(" ", text))
        for contraction, expansion in CONTRACTIONS:
            text = contraction.sub(expansion, text)
        return self._plain(HESITATION.sub(" ", text))

    def signature(self) -> str:
        """The name and the version of the rules."""
        return "english-v1"


def _letter_or_space(character: str) -> str:
    """Keep letters, marks, numbers and apostrophes; replace any other character by a space."""
    return character if character == "'" or unicodedata.category(character)[0] in "LMN" else " "


BRACKETED = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>")
HESITATION = re.compile(r"(?<!')\b(?:hmm|mm|mhm|mmm|uh|um)\b(?!')")
CONTRACTIONS = [
    (re.compile(pattern), expansion)
    for pattern, expansion in (
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
        (r"'s\b", " is"),  # genitives too, but in both texts alike
        (r"'d\b", " would"),
        (r"'ll\b", " will"),
        (r"'ve\b", " have"),
        (r"'m\b", " am"),
    )
]
