"""Renderers and aligners: several for one layout, chosen by the recipe, and ones that fail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import tiny_runs
from click.testing import CliRunner
from matplotlib.image import imread

import multiattn
from multiattn.cli import app
from multiattn.registry.host import load_host
from multiattn.report.page import write_report
from multiattn.run_folder import RunFolder

RIVAL = Path(__file__).parents[1] / "hostile" / "draws_tokens.py"
BOTH = "multiattn/heat-map and draws-tokens/stripes and draws-tokens/failing"


def call(*arguments):
    plugins = ["--plugin", str(tiny_runs.PLUGIN), "--plugin", str(RIVAL)]
    return CliRunner().invoke(app, [*plugins, *map(str, arguments)])


@pytest.fixture(autouse=True)
def only_the_core(monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "multiattn")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("trained")))


def host():
    return load_host([tiny_runs.PLUGIN, RIVAL])


def test_two_renderers_of_a_layout_are_refused_before_anything_is_printed(run, tmp_path):
    done = call("predict", run.path, "abc", "--attention", tmp_path)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert BOTH in done.stderr
    assert "choose one: sources.letters.renderer=multiattn/heat-map" in done.stderr


def test_without_pictures_two_renderers_are_no_mistake(run):
    assert call("predict", run.path, "abc").exit_code == 0


def test_the_recipe_chooses_among_renderers_of_a_layout(run, tmp_path):
    for name in ("multiattn/heat-map", "stripes"):
        folder = tmp_path / name.replace("/", "-")
        chosen = ("--set", f"sources.letters.renderer={name}")
        assert call("predict", run.path, "abc", "--attention", folder, *chosen).exit_code == 0
    assert imread(tmp_path / "stripes" / "0001-letters.png").shape == (120, 360, 4)  # 3 by 1 inches
    assert imread(tmp_path / "multiattn-heat-map" / "0001-letters.png").shape != (120, 360, 4)


def test_a_renderer_that_nobody_provides_is_a_mistake_in_the_recipe(run):
    done = call("predict", run.path, "abc", "--set", "sources.letters.renderer=strips")
    assert done.exit_code == 2
    assert "sources.letters.renderer: expected the name of a known renderer" in done.stderr
    assert "did you mean stripes?" in done.stderr


def test_a_renderer_that_fails_costs_its_picture_alone(run, tmp_path):
    chosen = ("--set", "sources.letters.renderer=failing")
    done = call("predict", run.path, "abc", "letters=b", "--attention", tmp_path, *chosen)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 2
    sentence = "the renderer failing raised ZeroDivisionError: no stripes"
    said = [line for line in done.stderr.splitlines() if sentence in line]
    assert [line[:17] for line in said] == ["warning: input 1:", "warning: input 2:"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".json"}


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ("renderer=failing", "the renderer failing raised ZeroDivisionError"),
        ("renderer=null", f"expected one renderer of the layout 'tokens', got {BOTH}"),
    ],
)
def test_training_goes_on_without_pictures_and_says_why_once(tmp_path, caplog, chosen, sentence):
    tiny_runs.start(tmp_path)
    arguments = ["--data", tmp_path, "--out", tmp_path / "run"]
    for setting in (chosen, "aligner=tiny-places"):
        arguments += ["--set", f"sources.letters.{setting}"]
    with caplog.at_level(logging.WARNING):
        done = call("train", tmp_path / "tiny.yaml", *arguments)
    assert done.exit_code == 0, done.output
    assert "finished at step 12" in done.stdout
    assert [sentence in record.getMessage() for record in caplog.records] == [True]


def test_the_report_says_why_a_picture_is_missing(run, tmp_path):
    write_report([run], host(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    views = page.count("<multiattn-view><script")
    assert page.count('"note": "expected one renderer of the layout \'tokens\'') == views > 0
    assert "data:image/png" not in page


def test_two_aligners_of_a_layout_give_no_times_and_say_so_once(run, caplog):
    predictor = multiattn.load(run.path, host=host())
    with caplog.at_level(logging.WARNING):
        found = [predictor("abc"), predictor("abcd")]
    assert all(prediction.text and not prediction.times for prediction in found)
    (record,) = caplog.records
    assert "tiny-plugin/tiny-places and draws-tokens/ordinals" in record.getMessage()
    assert "choose one: sources.letters.aligner=tiny-plugin/tiny-places" in record.getMessage()


def test_the_recipe_chooses_among_aligners_of_a_layout(run):
    chosen = ["sources.letters.aligner=tiny-places"]
    predictor = multiattn.load(run.path, overrides=chosen, host=host())
    alone = multiattn.load(run.path, host=tiny_runs.host())
    assert predictor("bcd").times == alone("bcd").times != {}


def test_an_aligner_that_fails_gives_no_times_and_is_logged_once(run, caplog):
    chosen = ["sources.letters.aligner=ordinals"]
    predictor = multiattn.load(run.path, overrides=chosen, host=host())
    with caplog.at_level(logging.WARNING):
        failed = [predictor("abcd", prefix="A") for _ in range(2)]
        timed = predictor("abcd", prefix="B")
    assert [prediction.times for prediction in failed] == [{}, {}]
    assert [word.method for word in timed.times["letters"]] == ["ordinal"] * len(timed.words)
    assert [record.getMessage() for record in caplog.records] == [
        "no times of the words over 'letters': ZeroDivisionError: no ordinals"
    ]


def test_a_finished_run_may_be_given_another_renderer(run, tmp_path):
    data = run.read_start()["data"]
    chosen = ("--set", "sources.letters.renderer=stripes")
    done = call("train", data / "tiny.yaml", "--data", data, "--out", run.path, *chosen)
    assert done.exit_code == 0, done.output
    assert "renderer:\n      name: stripes" in run.recipe.read_text()


def test_a_renderer_or_an_aligner_of_another_layout_is_refused_before_training(run, tmp_path):
    data, out = run.read_start()["data"], tmp_path / "out"
    for kind, name in (("renderer", "dials"), ("aligner", "chimes")):
        chosen = ("--set", f"sources.letters.{kind}={name}")
        done = call("train", data / "tiny.yaml", "--data", data, "--out", out, *chosen)
        assert done.exit_code == 2
        assert f"sources.letters.{kind} one for the layout 'tokens', which the" in done.stderr
        assert f"got {name} for 'clock'; choose from " in done.stderr
        assert not (out / "log.jsonl").exists()
    done = call(
        "predict",
        run.path,
        "abc",
        "--attention",
        tmp_path,
        "--set",
        "sources.letters.renderer=dials",
    )
    assert done.exit_code == 2
    assert "got dials for 'clock'; choose from multiattn/heat-map, draws-tokens/" in done.stderr
