"""Texts that look alike and are written otherwise: counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from multiattn.data.corpus import Example
from multiattn.data.splits import Splits
from multiattn.data.text_forms import form_warnings
from multiattn.data.tokenizer import Tokenizer
from multiattn.recipe.settings import RecipeSettings, TokenizerSettings

ACCENTS = ["süße Hunde", "Bäume", "plain"]
RECIPE = {
    "corpus": {"name": "listed"},
    "sources": {"english": {"field": "en", "reader": "text", "encoder": "lstm"}},
    "target": {"field": "de"},
    "decoder": "lstm",
}


@dataclass
class Listed:
    texts: Mapping[str, Sequence[str]]  # by split

    def splits(self) -> Sequence[str]:
        return list(self.texts)

    def examples(self, split: str, on_bad_row: object = None) -> list[Example]:
        texts = self.texts[split]
        return [Example(str(n), {"en": "a dog", "de": text}) for n, text in enumerate(texts)]


def warned(unicode: str = "nfc", **texts: Sequence[str]) -> list[str]:
    splits = Splits(Listed(texts), RecipeSettings.model_validate(RECIPE))
    for split in texts:
        splits.examples(split)
    settings = TokenizerSettings(kind="char", unicode=unicode)
    tokenizer = Tokenizer.train(["a dog"], settings)
    return list(form_warnings(splits, {"en": tokenizer, "de": tokenizer}))


def decomposed(texts: Sequence[str]) -> list[str]:
    return [normalize("NFD", text) for text in texts]


def test_one_form_and_nothing_invisible_need_no_warning():
    assert warned(train=ACCENTS, test=ACCENTS) == []
    assert warned(train=decomposed(ACCENTS), test=decomposed(ACCENTS)) == []
    assert warned(train=["plain"], test=["a\u200db"]) == []


def test_splits_in_different_forms_are_counted_and_named():
    (sentence,) = warned(train=ACCENTS, test=decomposed(ACCENTS))
    assert "decomposed (NFD) are 2 of 'de' in test, others NFC" in sentence
    assert "reads all as NFC" in sentence
    (sentence,) = warned(unicode="none", train=ACCENTS, test=decomposed(ACCENTS))
    assert "set unicode: nfc" in sentence


def test_invisible_characters_are_counted_and_named():
    (sentence,) = warned(train=["a\u200bb", "\ufeffc", "d"], test=["e"])
    assert sentence.startswith("2 texts of 'de' in train have control or zero-width characters")
