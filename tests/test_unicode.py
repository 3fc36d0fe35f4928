"""Texts that look alike become alike; what changes a text's look or meaning stays."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiattn.unicode import normalise_unicode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gru\u0308\u00dfe", "Grüße"),
        ("u\u200b\u0308", "ü"),
        ("\ufeffa\u200bb\u2060c\u00add\u200e", "abcd"),
        ("a\x00b\x07c\x1b[1m\x7f\x9b", "abc[1m"),
        ("a\tb\x0bc\x85d\u2028e\u00a0f\u3000g", "a\tb\x0bc\x85d\u2028e\u00a0f\u3000g"),
        ("می\u200cخواهم \U0001f468\u200d\U0001f469", "می\u200cخواهم \U0001f468\u200d\U0001f469"),
        ("ﬁ x² “a”", "ﬁ x² “a”"),
    ],
)
def test_a_text_is_composed_and_loses_what_nobody_sees(text, expected):
    assert normalise_unicode(text) == expected


@given(st.text())
def test_a_second_time_changes_nothing_and_the_text_is_in_nfc(text):
    once = normalise_unicode(text)
    assert normalise_unicode(once) == once
    assert unicodedata.is_normalized("NFC", once)
