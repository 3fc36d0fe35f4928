"""The word list: what it masks in English, and which German words it counts."""

from __future__ import annotations

import pytest

from multiattn_text.corpora import Multi30k
from multiattn_text.masked_multi30k import MaskedMulti30k
from multiattn_text.masked_words import MASK, MASKED_WORDS, WORD_LIST, MaskedWords


def test_each_noun_and_colour_is_replaced_by_one_mask():
    masked = MASKED_WORDS.mask("a young man in a red t-shirt throws balls to dogs .")
    assert masked == "a young ___ in a ___ ___ throws ___ to ___ ."


def test_a_hyphenated_word_is_masked_as_a_whole_and_a_longer_word_is_not():
    masked = MASKED_WORDS.mask("a blond-haired , middle-aged salesman in a doghouse .")
    assert masked == "a ___ , middle-aged salesman in a doghouse ."


def test_a_german_word_names_one_concept():
    with pytest.raises(ValueError, match="rotes is on two lines"):
        MaskedWords.parse("red = rot~\npink = rotes")
    english = [word for line in WORD_LIST.split("\n") for word in line.partition("=")[0].split()]
    assert len(english) == len(set(english)) == len(MASKED_WORDS.english)


def test_every_listed_word_is_in_the_training_split(real_corpus):
    train = Multi30k(real_corpus("multi30k"), variant="tok").examples("train")
    english, german = (
        {token for row in train for token in str(row.fields[name]).split()} for name in ("en", "de")
    )
    assert MASKED_WORDS.english <= english
    listed = {word for line in WORD_LIST.split("\n") for word in line.partition("=")[2].split()}
    assert {word for word in listed if not word.endswith("~")} <= german
    stems = {word.removesuffix("~") for word in listed if word.endswith("~")}
    assert all(any(word.startswith(stem) for word in german) for stem in stems)


def test_nearly_all_counted_german_words_have_their_english_masked(real_corpus):
    train = MaskedMulti30k(real_corpus("multi30k")).examples("train")
    masked = sum(str(row.fields["masked"]).split().count(MASK) for row in train)
    counted, hidden = 0, 0
    for row in train:
        concepts = MASKED_WORDS.count_concepts(str(row.fields["de"])).total()
        counted += concepts
        hidden += min(concepts, str(row.fields["masked"]).split().count(MASK))
    assert hidden / counted > 0.97
    assert 2 < masked / len(train) < 4
