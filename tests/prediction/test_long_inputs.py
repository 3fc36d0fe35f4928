"""Inputs longer than those in training: cut, decoded in pieces, joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_runs

import multiattn
from multiattn import TimedWord
from multiattn.data.rows import Row
from multiattn.engine.layouts import Time
from multiattn.errors import UserError
from multiattn.prediction.long_inputs.cutter import Cut
from multiattn.prediction.long_inputs.joining import joined
from multiattn.prediction.long_inputs.segmenter import Segment
from multiattn.prediction.prediction import Prediction
from multiattn.runs.source_sizes import SourceSizes

SEGMENTER = "sources.letters.segmenter=tiny-words"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("long")))


@pytest.fixture
def predictor(run):
    return multiattn.load(run.path, host=tiny_runs.host(), device="cpu", overrides=[SEGMENTER])


@pytest.fixture
def longest(run):
    return SourceSizes.read(run)["letters"].longest


def long_text(longest: int) -> str:
    words = ["ab", "cdef", "gh", "ba"]
    text = " ".join(words * longest)
    assert len(text) > longest
    return text


def test_a_long_input_gives_the_outputs_of_its_pieces(predictor, longest):
    text = long_text(longest)
    whole = predictor(text)
    words = text.split(" ")
    parts = [predictor(word) for word in words]
    assert whole.text == " ".join(part.text for part in parts if part.text)
    assert whole.score == pytest.approx(sum(part.score for part in parts))
    assert whole.log_probability == pytest.approx(sum(part.log_probability for part in parts))
    assert whole.tokens == tuple(token for part in parts for token in part.tokens)
    for piece, word in zip(whole.pieces, words, strict=True):
        assert text[int(piece.start) : int(piece.end)] == word
    for word, first, end in whole.words:
        assert "".join(whole.tokens[first:end]) == word
    assert whole.inputs == {"letters": text}


def test_an_input_as_long_as_in_training_is_not_cut(predictor, longest):
    text = "ab " * (longest // 3)
    assert predictor(text[:longest].strip()).pieces == ()


def test_a_text_of_several_lines_is_a_document(predictor):
    cuts = predictor._cutter.cuts(Row("1", {"letters": "ab c\nd"}))
    assert [cut.row.sources["letters"] for cut in cuts] == ["ab", "c\nd"]


def test_a_run_without_a_segmenter_cuts_nothing(run, longest):
    predictor = multiattn.load(run.path, host=tiny_runs.host(), device="cpu")
    assert predictor(long_text(longest)).pieces == ()


def test_a_prefix_keeps_an_input_whole(predictor, longest):
    assert predictor(long_text(longest), prefix="A").pieces == ()


def test_long_and_short_inputs_may_be_mixed(predictor, longest):
    inputs = ["ab", long_text(longest), "c!", "gh"]
    outcomes = list(predictor.attempts(inputs))
    assert [isinstance(one, UserError) for one in outcomes] == [False, False, True, False]
    assert [bool(one.pieces) for one in outcomes if isinstance(one, Prediction)] == [0, 1, 0]


def test_a_piece_that_is_refused_is_a_doubt_and_the_others_are_decoded(predictor, longest):
    text = "c! " + long_text(longest)
    whole = predictor(text)
    assert whole.text == predictor(long_text(longest)).text
    (doubt,) = (doubt for doubt in whole.doubts if "leave the ! out" in doubt)
    assert doubt.startswith("characters 1 to 2: ")


def test_the_json_of_a_long_input_has_its_pieces(predictor, longest):
    content = predictor(long_text(longest)).as_json()
    assert [piece["text"] for piece in content["pieces"]] == [
        piece.prediction.text for piece in predictor(long_text(longest)).pieces
    ]
    assert {"start", "end", "score"} <= content["pieces"][0].keys()


def test_what_seems_incomplete_is_decoded_in_smaller_pieces(predictor, monkeypatch):
    decode = predictor._decoder.decode
    asked: list[str] = []

    def doubtful(rows, prefix):
        asked.extend(row.sources["letters"] for row in rows)
        return [
            replace(one, incomplete=len(row.sources["letters"]) > 2)
            for row, one in zip(rows, decode(rows, prefix), strict=True)
        ]

    monkeypatch.setattr(predictor._decoder, "decode", doubtful)
    whole = predictor("abcdef")
    assert [piece.prediction.inputs["letters"] for piece in whole.pieces] == list("abcdef")
    assert [word for word in asked if len(word) > 1] == ["abcdef", "abc", "def"]
    assert whole.text == "/".join(piece.prediction.text for piece in whole.pieces)


def test_what_stays_incomplete_in_pieces_is_left_whole(predictor, monkeypatch):
    decode = predictor._decoder.decode
    monkeypatch.setattr(
        predictor._decoder,
        "decode",
        lambda rows, prefix: [replace(one, incomplete=True) for one in decode(rows, prefix)],
    )
    assert predictor("abcdef").pieces == ()


def test_a_segmenter_of_other_values_is_refused(run, tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        "from multiattn import Segmenter, hookimpl\n\n\n"
        "@hookimpl\ndef multiattn_components():\n"
        '    yield Segmenter(name="loud", target="loud:Loud", consumes="audio", summary="-")\n\n\n'
        "class Loud:\n    def segments(self, value, longest):\n        return []\n"
    )
    host = tiny_runs.host(plugin)
    with pytest.raises(UserError, match=r"sources\.letters\.segmenter one for 'text', got loud"):
        multiattn.load(
            run.path, host=host, device="cpu", overrides=["sources.letters.segmenter=loud"]
        )


def prediction(text: str, times: tuple[TimedWord, ...]) -> Prediction:
    attention = {"audio": np.ones((2, 5), np.float32) / 5}
    layouts = {"audio": Time(0.1)}
    return Prediction(
        {"audio": "a.wav"}, text, -1.0, -1.0, (), (), attention, {}, layouts, {"audio": times}
    )


def test_the_times_of_pieces_count_from_the_beginning_of_the_whole():
    word = TimedWord("ja", 0.2, 0.5, 0.9, "ctc")
    decoded = [
        (Cut(Row("1", {}), "1", Segment(None, 1.0, 2.0, 9.0)), prediction("ja", (word,))),
        (Cut(Row("1", {}), "1", Segment(None, 4.0, 5.0, 9.0)), prediction("ja", (word,))),
    ]
    whole = joined(Row("1", {"audio": "a.wav"}), decoded)
    assert [(each.start, each.end) for each in whole.times["audio"]] == [(1.2, 1.5), (4.2, 4.5)]


def test_a_doubt_says_from_where_to_where():
    doubtful = replace(prediction("ja", ()), doubts=("it stops",))
    decoded = [(Cut(Row("1", {}), "1", Segment(None, 1.0, 2.5, 9.0)), doubtful)]
    assert joined(Row("1", {"audio": "a.wav"}), decoded).doubts == (
        "from 1.0 to 2.5 seconds: it stops",
    )


def test_an_input_with_nothing_in_it_has_an_empty_output():
    whole = joined(Row("1", {"audio": "silence.wav"}), [])
    assert (whole.text, whole.score, whole.pieces) == ("", 0, ())
    assert whole.doubts == ("the source's segmenter found nothing in it to decode",)
