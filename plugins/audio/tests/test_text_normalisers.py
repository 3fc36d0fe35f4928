"""What each normaliser removes, and that applying it twice changes nothing more."""

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
def test_english_removes_noise_marks_and_hesitations_and_expands_contractions(text, english):
    assert EnglishNormaliser()(text) == english


def test_verbatim_changes_nothing():
    assert VerbatimNormaliser()(" Any, thing ") == " Any, thing "


ALPHABET = st.sampled_from([*"aAdglmnstuhve'’ -[]()<>.5ßİǅ", "been", "got", "won't", "uh", " mm"])


def test_repeated_apostrophes_are_merged():
    assert PlainNormaliser()("it''s") == "it's"
    assert EnglishNormaliser()("a''d") == "a would"


@pytest.mark.parametrize("normalise", [PlainNormaliser(), EnglishNormaliser()])
@given(text=st.lists(ALPHABET, max_size=12).map("".join) | st.text())
def test_normalisers_are_idempotent(normalise, text):
    once = normalise(text)
    assert normalise(once) == once


def test_plain_is_idempotent_on_every_character_of_unicode():
    plain = PlainNormaliser()
    changed = [code for code in range(sys.maxunicode) if (once := plain(chr(code))) != plain(once)]
    assert not changed


def test_signatures_have_a_name_and_a_version():
    names = [
        normaliser().signature()
        for normaliser in (VerbatimNormaliser, PlainNormaliser, EnglishNormaliser)
    ]
    assert names == ["none", "plain-v1", "english-v1"]


def test_a_hesitation_joined_by_an_apostrophe_does_not_leave_another_one():
    normalise = EnglishNormaliser()
    assert normalise(normalise("uh'uh")) == normalise("uh'uh") == "uh'uh"
    assert normalise("Well, uh, yes.") == "well yes"
