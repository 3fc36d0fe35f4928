"""What the viewer is given: weights as bytes, media, drawings, pieces."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import seen
import tiny_runs

import multiattn
from multiattn.engine.layouts import Tokens
from multiattn.prediction.prediction import Piece
from multiattn.prediction.source_use import SourceUse
from multiattn.prediction.viewer.html import viewer_element, viewer_file
from multiattn.prediction.viewer.view import unpacked
from multiattn.registry.host import load_host

MOST_BYTES = 40_000


class Circle:
    kind = "circle"


@pytest.fixture
def host():
    for plugin in ("multiattn_audio", "multiattn_image", "multiattn_text"):
        pytest.importorskip(plugin)
    return load_host()


def test_weights_survive_as_bytes_to_half_a_level(host):
    made = seen.caption(host)
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4) / 5, size=4).astype(np.float32)
    made = replace(made, attention={"photo": weights})
    (record,) = made.records()
    (output,) = made.view()["view"]["outputs"]
    scale = weights[:3].max(axis=1, keepdims=True)
    assert np.all(np.abs(unpacked(output["attention"]["photo"]) - record.weights) <= scale / 509)


def test_a_view_is_json_and_has_what_the_prediction_says(host):
    content = json.loads(json.dumps(seen.translation(host).view(), allow_nan=False))
    assert content["format"] == 1
    (source,) = content["view"]["sources"]
    assert source == {
        "name": "german",
        "layout": {"kind": "tokens"},
        "labels": ["der", "rote", "Hund", "</s>"],
    }
    (output,) = content["view"]["outputs"]
    assert [word["text"] for word in output["words"]] == ["the", "dog", "red"]
    assert [word["probability"] for word in output["words"]] == pytest.approx([0.9, 0.7, 0.5])
    looked = unpacked(output["attention"]["german"]).argmax(axis=1)
    assert looked.tolist() == [0, 2, 1]  # in words: the second is two tokens
    assert output["readings"] == {"german": {"entropy": 0.5, "coverage": 0.25}}


def test_an_image_keeps_its_aspect_and_marks_the_square_that_was_seen(host):
    (source,) = seen.caption(host).view()["view"]["sources"]
    media = source["media"]
    assert media["kind"] == "image"
    assert media["src"].startswith("data:image/jpeg;base64,")
    assert (media["width"], media["height"], media["seen"]) == (160, 80, [40, 0, 80, 80])


def test_a_recording_has_times_and_sound(host, tmp_path):
    view = seen.transcript(host, tmp_path).view()["view"]
    media = view["sources"][0]["media"]
    assert media["seconds"] == 2
    assert media["src"].startswith("data:audio/mpeg;base64,")
    assert media["spectrogram"].startswith("data:image/png;base64,")
    (times,) = view["outputs"][0]["times"]["speech"]
    assert times == {"method": "ctc", "words": [[0.2, 0.3, 0.9], [1.0, 1.1, 0.9]]}


def test_media_that_are_gone_leave_the_attention(host, tmp_path):
    made = seen.transcript(host, tmp_path)
    (tmp_path / "tone.wav").unlink()
    view = made.view()["view"]
    assert "media" not in view["sources"][0]
    assert view["outputs"][0]["attention"]["speech"]["columns"] == 40


def test_a_missing_source_is_said(host):
    made = seen.described(host)
    alone = replace(
        made, inputs={"photo": made.inputs["photo"]}, attention={"photo": made.attention["photo"]}
    )
    photo, english = alone.view()["view"]["sources"]
    assert photo["name"] == "photo"
    assert english == {"name": "english", "missing": True}


def test_what_each_source_counted_is_told_by_word(host):
    use = SourceUse({"photo": [0.2, 0.6, 0.0], "english": [0.8, 0.4, 1.0]}, {"photo": [0.5] * 3})
    made = replace(seen.described(host), source_use=lambda: use)
    (output,) = made.view()["view"]["outputs"]
    assert output["shares"] == {"photo": [0.2, 0.6], "english": [0.8, 0.4]}
    assert output["gates"] == {"photo": [0.5, 0.5]}


def test_a_layout_that_the_viewer_does_not_know_is_drawn(host):
    made = seen.translation(host)
    made = replace(made, layouts={"german": Circle()})
    (output,) = made.view()["view"]["outputs"]
    assert output["drawings"]["german"].startswith("<svg")


def test_alternatives_and_pieces_have_views_of_their_own(host):
    first, second = seen.translation(host), seen.translation(host)
    both = replace(first, alternatives=(replace(second, text="the red dog"),))
    assert [each["text"] for each in both.view()["view"]["outputs"]] == [
        "the dog red",
        "the red dog",
    ]
    cut = replace(first, pieces=(Piece(0, 3, " ", first), Piece(4, 9, " ", second)))
    content = cut.view()
    assert "view" not in content
    assert [piece["view"]["outputs"][0]["text"] for piece in content["pieces"]] == [
        "the dog red",
        "the dog red",
    ]


def test_an_input_cannot_end_the_script_that_holds_it(host):
    evil = "</script><script>alert(1)</script>"
    labels = (f"▁{evil}", "</s>")
    made = seen.prediction("a", host, german=(evil, Tokens(), labels, [0]))
    element = str(viewer_element(made.view()))
    assert element.count("</script>") == 1
    (script,) = re.findall(r'<script type="application/json">(.*?)</script>', element)
    assert json.loads(script)["input"]["german"] == evil


def test_the_viewer_is_small_and_loads_nothing():
    files = [viewer_file(name) for name in ("viewer.js", "viewer.css")]
    assert sum(len(content.encode()) for content in files) <= MOST_BYTES
    page = "".join(files).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|fetch\(|import\(", page)


def test_a_notebook_shows_a_prediction_in_a_frame(host):
    shown = seen.caption(host)._repr_html_()
    (inner,) = re.findall(r'srcdoc="([^"]*)"', shown)
    page = html.unescape(inner)
    assert page.startswith("<!doctype html>")
    assert "<multiattn-view>" in page


def test_a_run_predicts_as_a_page(tmp_path):
    run = tiny_runs.trained(tiny_runs.start(tmp_path))
    predictor = multiattn.load(run.path, host=tiny_runs.host(), device="cpu")
    page = predictor("abcd").as_html("abcd")
    assert "<title>abcd</title>" in page
    assert str(tmp_path) not in page
