"""Forms with times: examples of their documentation, and files that their own tools write."""

from __future__ import annotations

import io

import pysubs2
import pytest
import webvtt

from multiattn.errors import UserError
from multiattn.scoring.forms import nist, subtitles
from multiattn.scoring.forms.contents import Span

# SCTK, doc/infmts.htm
STM = """\
;; comment
2345 A 2345-a 0.10 2.03 <o,f0,male> uh huh yes i thought
2345 A 2345-b 2.10 3.04 <o,f0,male> dog walking is a very
2345 A 2345-a 3.50 4.59 IGNORE_TIME_SEGMENT_IN_SCORING
2345 A 2345-a 5.00 6.00 <o,,> ignore_time_segment_in_scoring
2345 B 2345-c 3.50 4.59 uh huh
"""
CTM = """\
;; comment
7654 A 11.34 0.2 YES -6.763
7654 A 12.00 0.34 YOU -12.384530
7654 A 13.30 0.5 CAN 2.806418
7654 A 17.50 0.2 AS 0.537922
"""


def test_stm_has_utterances_with_speakers_and_times():
    read = nist.read_stm("f", STM)
    assert read.texts == (("uh huh yes i thought",), ("dog walking is a very",), ("uh huh",))
    assert [meta["speaker"] for meta in read.meta] == ["2345-a", "2345-b", "2345-c"]
    assert read.spans[0] == Span("2345", "A", 0.10, 2.03)
    assert read.ignored == (Span("2345", "A", 3.5, 4.59), Span("2345", "A", 5.0, 6.0))
    assert len(set(read.ids)) == 3


def test_ctm_has_words_with_times():
    read = nist.read_ctm("f", CTM)
    assert [word for _, word in read.words] == ["YES", "YOU", "CAN", "AS"]
    assert read.words[0][0] == Span("7654", "A", 11.34, 11.54)


def test_forms_are_told_by_their_text():
    assert nist.is_stm(STM)
    assert nist.is_ctm(CTM)
    assert not nist.is_stm(CTM)
    assert not nist.is_ctm("a plain sentence of words\n")
    assert not nist.is_stm("")


def library_subtitles(form):
    file = pysubs2.SSAFile()
    file.append(pysubs2.SSAEvent(1500, 3000, text="so we {\\i1}begin{\\i0}\\Nhere"))
    file.append(pysubs2.SSAEvent(3_600_000, 3_601_250, text="at an hour"))
    return file.to_string(form)


@pytest.mark.parametrize(
    ("form", "read"), [("srt", subtitles.srt_cues), ("vtt", subtitles.vtt_cues)]
)
def test_subtitles_of_a_library_have_its_texts_and_times(form, read):
    found = read("f", library_subtitles(form))
    assert found.texts == (("so we begin here",), ("at an hour",))
    assert [(span.start, span.end) for span in found.spans] == [(1.5, 3.0), (3600.0, 3601.25)]


def test_webvtt_of_its_own_library_is_read():
    file = webvtt.WebVTT()
    file.captions.append(webvtt.Caption("00:00:01.000", "00:00:02.500", ["one", "two"]))
    content = io.StringIO()
    file.write(content)
    found = subtitles.vtt_cues("f", content.getvalue())
    assert found.texts == (("one two",),)
    assert found.spans[0].end == 2.5


def test_markup_notes_settings_and_entities_are_no_words():
    text = (
        "WEBVTT - title\n\nNOTE\nnothing to say\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n01:02.000 --> 01:04.000 line:0 align:start\n"
        "<v.loud Ann Lee>Fish &amp; <c.green>chips</c>\n\n"
        "01:05.000 --> 01:06.000\n<i></i>\n"
    )
    found = subtitles.vtt_cues("f", text)
    assert found.texts == (("Fish & chips",),)
    assert found.meta == ({"speaker": "Ann Lee"},)
    assert found.spans[0].start == 62.0


def test_words_are_spread_over_their_cue():
    words = subtitles.srt_words("f", "1\n00:00:01,000 --> 00:00:03,000\nfour words in here\n").words
    assert [(span.start, span.end) for span, _ in words] == [(1, 1.5), (1.5, 2), (2, 2.5), (2.5, 3)]


@pytest.mark.parametrize(
    ("read", "text", "parts"),
    [
        (nist.read_stm, "rec A s 1.0\n", ["recording, channel, speaker", "line 1 of f"]),
        (nist.read_stm, "rec A s 2.0 1.0 a\n", ["an end after the start in line 1 of f"]),
        (nist.read_stm, "rec A s -1 1.0 a\n", ["0 or more, in line 1 of f", "'-1'"]),
        (nist.read_stm, "rec A s nan 1.0 a\n", ["'nan'"]),
        (nist.read_stm, "rec A s 0 1 { a / b }\n", ["alternatives"]),
        (nist.read_stm, ";; only\n", ["a segment to score in f"]),
        (nist.read_ctm, "rec A 1.0 a\n", ["start, duration and word in line 1 of f"]),
        (nist.read_ctm, "rec A 1.0 -0.2 a\n", ["'-0.2'"]),
        (nist.read_ctm, "rec A * * <ALT_BEGIN>\n", ["alternatives"]),
        (nist.refuse_ctm, CTM, ["references with utterances", "stm"]),
        (subtitles.srt_cues, "1\n00:00:03,000 --> 00:00:01,000\na\n", ["line 2 of f", "after"]),
        (subtitles.srt_cues, "1\n00:00:0x,000 --> 00:00:01,000\na\n", ["two times such as"]),
        (subtitles.srt_cues, "1\n00:00:01,000 --> 00:00:02,000\na\n\nlost\n", ["line 5 of f"]),
        (subtitles.vtt_cues, "WEBVTT\n\n", ["a cue with words in f"]),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_line(read, text, parts):
    with pytest.raises(UserError) as caught:
        read("f", text)
    assert all(part in str(caught.value) for part in parts), caught.value
