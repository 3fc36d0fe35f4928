"""Warn of texts of a corpus that look alike but are written in other code points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from unicodedata import is_normalized

from multiattn.data.splits import Splits
from multiattn.data.tokenizer import Tokenizer
from multiattn.unicode import drop_invisible


@dataclass(frozen=True)
class _Forms:
    """How many texts are in each form; a text without accents is neither composed nor not."""

    composed: int
    decomposed: int
    invisible: int


def form_warnings(splits: Splits, tokenizers: Mapping[str, Tokenizer]) -> Iterator[str]:
    """A sentence where splits or fields differ in Unicode form, and for invisible characters.

    tokenizers: of each text field. Only splits that have been read are compared.
    """
    counts = {
        f"{field!r} in {split}": (_count(splits.values(split, field)), tokenizer)
        for split in splits.read
        for field, tokenizer in tokenizers.items()
    }
    composed = [where for where, (forms, _) in counts.items() if forms.composed]
    decomposed = [where for where, (forms, _) in counts.items() if forms.decomposed]
    unchanged = any(tokenizer.settings.unicode == "none" for tokenizer in tokenizers.values())
    if composed and decomposed:
        shown = ", ".join(f"{counts[where][0].decomposed} of {where}" for where in decomposed)
        remedy = (
            "the model takes what looks alike for different texts: set unicode: nfc in tokenizers"
            if unchanged
            else "the model reads all as NFC"
        )
        yield f"texts differ in Unicode form: decomposed (NFD) are {shown}, others NFC; {remedy}"
    invisible = [where for where, (forms, _) in counts.items() if forms.invisible]
    if invisible:
        shown = ", ".join(f"{counts[where][0].invisible} texts of {where}" for where in invisible)
        remedy = "set unicode: nfc in tokenizers" if unchanged else "the model does not read these"
        yield f"{shown} have control or zero-width characters; {remedy}"


def _count(texts: Iterable[str]) -> _Forms:
    composed = decomposed = invisible = 0
    for text in texts:
        if not is_normalized("NFC", text):
            decomposed += 1
        elif not is_normalized("NFD", text):
            composed += 1
        invisible += drop_invisible(text) != text
    return _Forms(composed, decomposed, invisible)
