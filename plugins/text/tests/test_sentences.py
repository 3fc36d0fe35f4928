"""Where a text is cut: between its sentences."""

from __future__ import annotations

import pytest

from multiattn_text.sentences import SentenceSegmenter


def pieces(text: str, language: str = "en"):
    return list(SentenceSegmenter(language=language).segments(text))


def test_sentences_and_what_stands_between_them_make_the_text():
    text = "Mr. Smith ran home.  He slept!\n\nDid he?\n\n\nYes."
    found = pieces(text)
    assert [piece.value for piece in found] == [
        "Mr. Smith ran home.",
        "He slept!",
        "Did he?",
        "Yes.",
    ]
    assert [piece.separator for piece in found] == [" ", "  ", "\n\n", "\n\n\n"]
    assert "".join(piece.separator + piece.value for piece in found).strip() == text
    for piece in found:
        assert text[int(piece.start) : int(piece.end)] == piece.value


def test_a_sentence_may_run_over_several_lines():
    (only,) = pieces("two men are\nwalking .\n")
    assert only.value == "two men are walking ."


def test_lower_case_and_tokenised_text_is_cut_too():
    assert [piece.value for piece in pieces("two men walk . a dog runs .")] == [
        "two men walk .",
        "a dog runs .",
    ]


def test_a_language_knows_its_abbreviations_and_its_marks():
    assert len(pieces("Er kam z.B. um 5 Uhr. Dann ging er.", "de")) == 2
    chinese = pieces("我喜欢猫。他喜欢狗！", "zh")
    assert [piece.value for piece in chinese] == ["我喜欢猫。", "他喜欢狗！"]
    assert chinese[1].separator == " "


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_a_blank_text_has_no_sentences(text):
    assert pieces(text) == []
