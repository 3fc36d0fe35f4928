"""What a run shows: the page that holds everything, the lines while it trains, and its doubts."""

from __future__ import annotations

import io
import json
import re
import shutil

import pytest
import tiny_runs
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.report.page import write_report
from multiattn.run_folder import RunFolder
from multiattn.runs.evaluate import evaluate
from multiattn.runs.log import display_for
from multiattn.runs.overlap import shared_with_training
from multiattn.runs.system import open_system
from multiattn.scoring.results import Results
from multiattn.training.trainer import start_accelerator


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    started = tiny_runs.start(tmp_path_factory.mktemp("trained"), summary="letters <turned> round")
    tiny_runs.trained(started)
    system = open_system(started.run, tiny_runs.host())
    accelerator = start_accelerator(started.settings, started.run)
    evaluate(system, "test", "", tiny_runs.splits_of(started), accelerator)
    return started


def page_of(tmp_path, *runs):
    write_report(runs, tiny_runs.host(), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_the_page_holds_scores_curves_and_examples_with_attention(trained, tmp_path):
    page = page_of(tmp_path, trained.run)
    assert "tiny-accuracy" in page
    assert "letters &lt;turned&gt; round" in page
    assert page.count("<svg") >= 4
    assert page.count("data:image/png;base64,") == 5
    first = (trained.data_root / "pairs" / "test.tsv").read_text().split("\t")[0]
    assert f"<b>letters</b> {first}" in page


def test_the_page_has_the_scores_of_groups(trained, tmp_path):
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "grouped"))
    system = open_system(run, tiny_runs.host(), ["evaluation.group=letters"])
    accelerator = start_accelerator(trained.settings, run)
    scores = evaluate(system, "test", "grouped", tiny_runs.splits_of(trained), accelerator)
    page = page_of(tmp_path, run)
    assert "<summary>test@grouped by letters</summary>" in page
    assert page.count(" letters</td>") == len(Results.read(run.results("test", "grouped")).groups)
    assert scores


def test_an_example_that_is_refused_leaves_the_others(trained, tmp_path):
    shutil.copytree(trained.data_root / "pairs", tmp_path / "pairs")
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "refusing"))
    run.start.write_text(json.dumps({"data": str(tmp_path)}))
    test = tmp_path / "pairs" / "test.tsv"
    test.write_text("ab\tBA\nc!\tC\nef\tFE\n")
    page = page_of(tmp_path, run)
    assert page.count("data:image/png;base64,") == 2


def test_the_page_loads_nothing_from_anywhere(trained, tmp_path):
    page = page_of(tmp_path, trained.run)
    assert not re.search(r"<(script|link)|(src|href)=\"(?!data:|#)", page)


def test_several_runs_share_their_charts(trained, tmp_path):
    other = RunFolder(shutil.copytree(trained.run.path, tmp_path / "other"))
    page = page_of(tmp_path, trained.run, other)
    assert "run, other" in page
    assert page.count("<svg") == page_of(tmp_path, trained.run).count("<svg")


def test_a_page_without_the_corpus_says_what_is_missing(trained, tmp_path):
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "moved"))
    run.start.write_text('{"data": "/nowhere"}')
    assert "None: expected the corpus in the folder /nowhere/pairs" in page_of(tmp_path, run)


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a run folder"):
        page_of(tmp_path, RunFolder(tmp_path))


def test_tensorboard_has_the_curves_and_the_attention(trained):
    events = EventAccumulator(str(trained.run.path / "tensorboard"))
    events.Reload()
    losses = events.Scalars("training/loss")
    assert [event.step for event in losses] == [2, 4, 6, 8, 10, 12]
    assert [event.step for event in events.Images("attention/letters")] == [4, 8, 12]


def test_a_terminal_sees_one_moving_line_and_a_file_plain_ones():
    for terminal in (False, True):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=120)
        display = display_for(console, 100, done=40)
        display.show("training", 50, {"loss": 2.5, "tokens_per_second": 1234})
        display.show("validation", 50, {"bleu": 30.0})
        display.close()
        shown = re.sub(r"\x1b\[[\d;?]*[a-z]", "", screen.getvalue(), flags=re.IGNORECASE)
        assert "tokens_per_second 1234" in shown
        assert "validation at step 50" in shown
        assert ("\x1b[" in screen.getvalue()) == terminal


def test_what_a_split_shares_with_training_is_counted(trained, tmp_path):
    shutil.copytree(trained.data_root / "pairs", tmp_path / "pairs")
    settings, host = trained.settings, tiny_runs.host()
    corpus = open_corpus(settings.corpus, host, tmp_path)
    assert not list(shared_with_training(Splits(corpus, settings), "test", []))
    test, train = (tmp_path / "pairs" / f"{split}.tsv" for split in ("test", "train"))
    rows = train.read_text().splitlines()
    same_source = rows[1].split("\t")[0] + "\tOTHER"
    test.write_text("\n".join([rows[0], same_source, "zz\tZZ"]) + "\n")
    doubts = list(shared_with_training(Splits(corpus, settings), "test", []))
    assert doubts == ["1 of 3 examples of test are also in train"]
