"""`multiattn predict`: forms, folders, documents and streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tiny_runs
from click.testing import CliRunner

from multiattn.cli import app


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("predict")))


def predict(run, *arguments, given=None):
    options = ["--plugin", str(tiny_runs.PLUGIN), "predict", str(run.path)]
    return CliRunner().invoke(app, [*options, *map(str, arguments)], input=given)


def test_a_folder_gets_a_file_for_each_input_and_a_manifest(run, tmp_path):
    out = tmp_path / "out"
    done = predict(run, "ab", "c!", " ", "gh", "--out", out)
    assert done.exit_code == 1
    assert done.stdout == ""
    printed = predict(run, "ab", "gh").stdout.splitlines()
    assert [(out / name).read_text() for name in ("0001.txt", "0004.txt")] == [
        f"{line}\n" for line in printed
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["as"] == "text"
    assert manifest["search"]["beam"] == 2
    first, refused, blank, last = manifest["outputs"]
    assert first == {"input": {"letters": "ab"}, "file": "0001.txt"}
    assert "leave the ! out" in refused["error"]
    assert blank == {"input": {"letters": " "}, "blank": True}
    assert last["file"] == "0004.txt"
    assert {path.name for path in out.iterdir()} == {"0001.txt", "0004.txt", "manifest.json"}


def test_a_folder_with_files_in_it_is_refused(run, tmp_path):
    (tmp_path / "notes").write_text("mine")
    done = predict(run, "ab", "--out", tmp_path)
    assert done.exit_code == 2
    assert "expected a new or empty folder after --out" in done.stderr
    assert (tmp_path / "notes").read_text() == "mine"


def test_ranked_outputs_go_to_files_too(run, tmp_path):
    predict(run, "ab", "--set", "search.n_best=2", "--out", tmp_path / "out")
    lines = (tmp_path / "out" / "0001.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == ["1", "2"]


@pytest.mark.parametrize("form", ["srt", "vtt", "textgrid"])
def test_a_form_that_fills_a_file_takes_one_input_on_standard_output(run, form):
    done = predict(run, "ab", "cd", "--as", form)
    assert done.exit_code == 2
    assert f"{form} fills a file, got several; give --out DIR" in done.stderr


def test_forms_with_times_take_the_times_of_any_aligner(run):
    done = predict(run, "abcd", "--as", "ctm", "--set", "search.min_length=2")
    line, *_ = done.stdout.splitlines()
    name, channel, start, duration, *_ = line.split()
    assert (name, channel) == ("input-1", "1")
    assert float(duration) > 0
    assert float(start) >= 0


def test_an_unknown_form_is_refused_before_the_model_is_loaded(tmp_path):
    done = CliRunner().invoke(app, ["predict", str(tmp_path), "ab", "--as", "docx"])
    assert done.exit_code == 2
    assert "expected --as to be one of text, json" in done.stderr


def test_a_document_is_one_input_and_its_pieces_are_joined(run, tmp_path):
    file = tmp_path / "letter.txt"
    file.write_text("ab c\ngh\n")
    segmented = ("--set", "sources.letters.segmenter=tiny-words", "--json")
    (line,) = predict(run, file, "--document", *segmented).stdout.splitlines()
    assert json.loads(line)["input"] == {"letters": "ab c\ngh"}
    two = predict(run, file, *segmented).stdout.splitlines()
    assert [json.loads(line)["input"]["letters"] for line in two] == ["ab c", "gh"]
    (line,) = predict(run, "-", "--document", *segmented, given="ab c\ngh\n").stdout.splitlines()
    assert json.loads(line)["input"] == {"letters": "ab c\ngh"}


def test_lines_of_standard_input_are_answered_before_the_next_is_written(run):
    options = ["--plugin", str(tiny_runs.PLUGIN), "predict", str(run.path), "-"]
    command = [sys.executable, "-m", "multiattn", *options]
    paths = os.pathsep.join([str(tiny_runs.PLUGIN.parent), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for line in ("ab", "c!", "gh"):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            answers.append(process.stdout.readline().rstrip("\n"))
        process.stdin.close()
        assert process.wait(60) == 1
    expected = predict(run, "ab", "gh").stdout.splitlines()
    assert answers == [expected[0], "", expected[1]]


def test_nothing_on_standard_input_is_no_input(run):
    done = predict(run, "-", given="")
    assert done.exit_code == 2
    assert "expected at least one input, got none" in done.stderr
