"""What is said of an input with symbols that the model does not know, and when nothing is."""

from __future__ import annotations

import pytest

from multiattn.data.tokenizer import Tokenizer
from multiattn.prediction.unknown_symbols import unknown_symbol_warnings
from multiattn.recipe.settings import TokenizerSettings

TEXTS = ["the boy's red apple - it's \"red\"", "a t-shirt & a boy; &apos;s &apos;"] * 3
TOKENIZERS = {
    kind: Tokenizer.train(TEXTS, TokenizerSettings(kind=kind, size=300))
    for kind in ("char", "word", "bpe", "byte", "unigram")
}


def said(kind: str, text: str) -> list[str]:
    tokenizer = TOKENIZERS[kind]
    labels = tokenizer.pieces(tokenizer.encode(text))
    return list(unknown_symbol_warnings("en", text, labels, tokenizer))


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
def test_the_share_of_unknown_characters_is_said_from_a_fifth_on(kind):
    assert said(kind, "the red 日本") == [
        "2 of 8 symbols of the source 'en' were never seen in training (日 本); give an input like "
        "those that the model was trained on"
    ]
    assert said(kind, "the red red 日本") == []  # 2 of 11
    (sentence,) = said(kind, "日本")
    assert "no symbol of the source 'en' was seen" in sentence


def test_words_are_counted_where_the_vocabulary_is_of_words():
    (sentence,) = said("word", "the snowman 日本 apple")
    assert sentence.startswith("2 of 4 symbols of the source 'en' were never seen")
    assert "(snowman 日本)" in sentence


@pytest.mark.parametrize("text", ["the red 日本", "the boy’s red apple", "\u2003"])
def test_with_a_vocabulary_of_bytes_nothing_is_unknown(text):
    assert said("byte", text) == []


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_typographic_characters_are_doubted_where_plain_ones_are_known(kind):
    sentences = said(kind, "the boy’s red apple - it's a red apple the red apple the red apple")
    (sentence,) = [one for one in sentences if "typographic" in one]
    assert ("boy’s for boy's" if kind == "word" else "(’ for ')") in sentence


@pytest.mark.parametrize("kind", ["word", "bpe", "byte", "unigram"])
def test_entities_are_doubted_unless_the_training_texts_had_them(kind):
    (sentence,) = [one for one in said(kind, "a boy &amp; the red apple &quot;") if "HTML" in one]
    assert '(&amp; for &, &quot; for ")' in sentence
    if kind in ("bpe", "byte"):  # unigram learns other pieces in every process
        assert said(kind, "a boy &apos;s red apple") == []
    assert said(kind, "a t-shirt & a boy;") == []


def test_other_forms_are_doubted_where_texts_are_left_as_they_are():
    old = Tokenizer.train(["zwei süße Hunde"], TokenizerSettings(kind="char", unicode="none"))
    new = Tokenizer.train(["zwei süße Hunde"], TokenizerSettings(kind="char"))
    for text in ("zwei su\u0308ße Hunde", "zwei \u200bsüße Hunde"):
        (sentence,) = unknown_symbol_warnings("de", text, [], old)
        assert "decomposed or invisible characters" in sentence
        assert list(unknown_symbol_warnings("de", text, [], new)) == []
