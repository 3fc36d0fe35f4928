"""The forms of predictions, read back by the libraries of those who use them."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace

import numpy as np
import pysubs2
import pytest
import seen
import webvtt
from praatio import textgrid

from multiattn import TimedWord
from multiattn.engine.layouts import Time, Tokens
from multiattn.errors import UserError
from multiattn.prediction.forms.subtitles import LINE_WIDTH, LINES, LONGEST_SECONDS, cues
from multiattn.prediction.forms.table import FORMS, RANKED, form_named
from multiattn.prediction.forms.timed import UntimedError
from multiattn.prediction.prediction import Piece, Prediction
from multiattn.registry.host import load_host

SECONDS = 4.0  # of a recording that is not cut


def spoken(text: str, start: float = 0.25, each: float = 0.5) -> Prediction:
    """A prediction for a recording, a word every ``each`` seconds."""
    words = text.split()
    times = tuple(
        TimedWord(word, start + each * number, start + each * number + 0.4, 0.75, "ctc")
        for number, word in enumerate(words)
    )
    slots = round(SECONDS / 0.1)
    return Prediction(
        inputs={"audio": "a.wav"},
        text=text,
        score=-1.5,
        log_probability=-1.0,
        tokens=tuple(words),
        words=tuple((word, number, number + 1) for number, word in enumerate(words)),
        attention={"audio": np.full((len(words) + 1, slots), 1 / slots, np.float32)},
        labels={"audio": ()},
        layouts={"audio": Time(0.1)},
        times={"audio": times},
        viewer=lambda: seen.views(load_host(), "audio"),
    )


def cut(*texts: str) -> Prediction:
    """A recording of ten seconds a piece."""
    pieces = tuple(
        Piece(10.0 * number, 10.0 * number + 9, " ", spoken(text))
        for number, text in enumerate(texts)
    )
    return replace(spoken(" ".join(texts)), pieces=pieces, attention={}, layouts={})


def written(form: str, prediction: Prediction, name: str = "talk") -> str:
    return form_named(form).write(name, prediction)


TALK = cut("so we begin", "", 'he said "no" & <left>')
SAID = [
    (0.25, 0.65, "so"),
    (0.75, 1.15, "we"),
    (1.25, 1.65, "begin"),
    (20.25, 20.65, "he"),
    (20.75, 21.15, "said"),
    (21.25, 21.65, '"no"'),
    (21.75, 22.15, "&"),
    (22.25, 22.65, "<left>"),
]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_have_the_texts_and_times_of_the_pieces(form):
    read = pysubs2.SSAFile.from_string(written(form, TALK), format_=form)
    shown = [(event.start, event.end) for event in read]
    assert shown == [(250, 1650), (20250, 22650)]
    first, second = (event.plaintext for event in read)
    assert first == "so we begin"
    assert second.startswith('he said "no" ')


def test_webvtt_is_read_by_its_own_library():
    captions = list(webvtt.from_buffer(io.StringIO(written("vtt", TALK))))
    assert [caption.start for caption in captions] == ["00:00:00.250", "00:00:20.250"]
    assert captions[1].raw_text == 'he said "no" &amp; &lt;left&gt;'


def test_cues_keep_to_the_width_and_the_duration_that_people_can_read():
    text = " ".join(["wonderful"] * 60)
    shown = cues(spoken(text, each=0.4))
    assert " ".join(cue.text.replace("\n", " ") for cue in shown) == text
    for cue in shown:
        lines = cue.text.split("\n")
        assert len(lines) <= LINES
        assert max(map(len, lines)) <= LINE_WIDTH
        assert cue.end - cue.start <= LONGEST_SECONDS
    for one, other in itertools.pairwise(shown):
        assert one.end <= other.start


def test_a_pause_begins_a_cue_and_a_short_cue_stays_for_a_second():
    shown = cues(spoken("yes no", start=0, each=2))
    assert [(cue.start, cue.end, cue.text) for cue in shown] == [(0, 1, "yes"), (2, 3, "no")]


def test_times_beyond_an_hour_are_written_as_hours():
    late = replace(TALK, pieces=(Piece(3723.0, 3730.0, " ", spoken("late")),))
    assert "01:02:03,250 --> 01:02:04,250" in written("srt", late)


def test_ctm_has_a_word_a_line_with_start_duration_and_confidence():
    rows = [line.split() for line in written("ctm", TALK, "my talk").splitlines()]
    assert [(float(row[2]), row[4]) for row in rows] == [(start, word) for start, _, word in SAID]
    ends = [float(row[2]) + float(row[3]) for row in rows]
    assert ends == pytest.approx([end for _, end, _ in SAID])
    assert {(row[0], row[1], row[5]) for row in rows} == {("my_talk", "1", "0.7500")}


def test_stm_has_a_piece_a_line():
    assert written("stm", TALK).splitlines() == [
        "talk 1 unknown 0.000 9.000 so we begin",
        'talk 1 unknown 20.000 29.000 he said "no" & <left>',
    ]
    (line,) = written("stm", spoken("a b")).splitlines()
    assert line == "talk 1 unknown 0.000 4.000 a b"


def test_praat_reads_the_words_and_the_pieces_of_a_textgrid(tmp_path):
    file = tmp_path / "talk.TextGrid"
    file.write_text(written("textgrid", TALK), encoding="utf-8")
    grid = textgrid.openTextgrid(str(file), includeEmptyIntervals=False, reportingMode="error")
    assert grid.tierNames == ("pieces", "words")
    assert [tuple(entry) for entry in grid.getTier("words").entries] == SAID
    pieces = grid.getTier("pieces").entries
    assert [(entry.start, entry.end) for entry in pieces] == [(0, 9), (20, 29)]
    whole = textgrid.openTextgrid(str(file), includeEmptyIntervals=True, reportingMode="error")
    assert whole.maxTimestamp == 29


def test_words_that_overlap_are_written_one_after_another():
    words = (TimedWord("a", 0.0, 1.0, 1, "x"), TimedWord("b", 0.5, 0.8, 1, "x"))
    rows = written("ctm", replace(spoken("a b"), times={"audio": words})).splitlines()
    assert [row.split()[2:4] for row in rows] == [["0.000", "1.000"], ["1.000", "0.010"]]


@pytest.mark.parametrize("form", [form.name for form in FORMS])
def test_every_form_takes_an_output_without_words(form):
    written(form, replace(spoken(""), pieces=()))
    written(form, cut(""))


@pytest.mark.parametrize("form", ["srt", "vtt", "ctm", "stm", "textgrid"])
def test_a_form_with_times_refuses_an_output_without_any(form):
    untimed = replace(spoken("a b"), times={}, layouts={"audio": Tokens()})
    with pytest.raises(UntimedError, match=r"times of its words, got none.*--as text"):
        written(form, untimed)


def test_text_and_json_are_a_line_each():
    assert written("text", TALK) == f"{TALK.text}\n"
    (line,) = written("json", TALK).splitlines()
    assert json.loads(line)["text"] == TALK.text


def test_ranked_outputs_say_the_number_the_rank_and_the_score():
    best = replace(spoken("a"), alternatives=(replace(spoken("b"), score=-2.0),))
    assert RANKED.write("7", best) == "7\t1\t-1.5\ta\n7\t2\t-2\tb\n"


def test_an_unknown_form_is_named():
    with pytest.raises(UserError, match="expected --as to be one of text, json, html, srt"):
        form_named("docx")
