"""What is taken off a text before words are counted, and that it is done after once."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiattn_audio.text_normalisers import EnglishNormaliser, PlainNormaliser, VerbatimNormaliser


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello,  World!", "hello world"),
        ("DON'T STOP", "don't stop"),
        ("don’t 'quote' rock 'n' roll", "don't quote rock n roll"),
        ("state-of-the-art", "state of the art"),
        ("Übergröße № 5 ﬁne", "übergröße no 5 fine"),
        ("हिन्दी, भाषा।", "हिन्दी भाषा"),
        ("今日は、晴れ。", "今日は 晴れ"),
        ("\tone\n two\u00a0three ", "one two three"),
        ("?!", ""),
    ],
)
def test_plain_keeps_letters_marks_and_digits(text, plain):
    assert PlainNormaliser()(text) == plain


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("Uh, I won't [laughter] go", "i will not go"),
        ("it's (inaudible) what we'd been <noise>", "it is what we had been"),
        ("she's got what they're after, um", "she has got what they are after"),
        ("CAN'T", "can not"),
        ("summer hummed", "summer hummed"),
    ],
)
def test_english_takes_off_what_was_not_meant(text, english):
    assert EnglishNormaliser()(text) == english


def test_nothing_else_changes_a_text_verbatim():
    assert VerbatimNormaliser()(" Any, thing ") == " Any, thing "


ALPHABET = st.sampled_from([*"aAdglmnstuhve'’ -[]()<>.5ßİǅ", "been", "got", "won't", "uh", " mm"])


def test_apostrophes_in_a_row_are_one():
    assert PlainNormaliser()("it''s") == "it's"
    assert EnglishNormaliser()("a''d") == "a would"


@pytest.mark.parametrize("normalise", [PlainNormaliser(), EnglishNormaliser()])
@given(text=st.lists(ALPHABET, max_size=12).map("".join) | st.text())
def test_applied_twice_it_gives_the_same(normalise, text):
    once = normalise(text)
    assert normalise(once) == once


def test_no_character_of_unicode_needs_a_second_time():
    plain = PlainNormaliser()
    odd = [code for code in range(sys.maxunicode) if (once := plain(chr(code))) != plain(once)]
    assert not odd


def test_every_one_has_a_name_and_a_version():
    names = [
        normaliser().signature()
        for normaliser in (VerbatimNormaliser, PlainNormaliser, EnglishNormaliser)
    ]
    assert names == ["none", "plain-v1", "english-v1"]
