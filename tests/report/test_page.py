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
from multiattn.report.charts import curves_of
from multiattn.report.examples import choose, relative_path
from multiattn.report.page import _relative_to, write_report
from multiattn.run_folder import RunFolder
from multiattn.runs.evaluate import evaluate
from multiattn.runs.log import OnFieldScale, _human, display_for
from multiattn.runs.overlap import shared_with_training
from multiattn.runs.system import open_system
from multiattn.scoring.results import Results
from multiattn.training.accelerator import start_accelerator


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
    lines = (trained.data_root / "pairs" / "test.tsv").read_text().splitlines()
    views = views_of(page)
    assert len(views) == min(12, len(lines))
    assert {view["input"]["letters"] for view in views} <= {line.split("\t")[0] for line in lines}
    kinds = re.findall(r'data-kind="(\w+)"', page)
    assert kinds == ["worst"] * 4 + ["best"] * (len(views) - 4)


def views_of(page):
    """What the viewer shows."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page)
    return [json.loads(view) for view in found]


def test_the_worst_examples_come_first_and_chosen_ones_are_added(trained, tmp_path):
    rows = [
        json.loads(line)
        for line in (trained.run.results("test") / "hypotheses.jsonl").read_text().splitlines()
    ]
    right = {row["id"]: row["text"] == row["references"][0] for row in rows}
    examples = choose(
        tiny_runs.splits_of(trained).examples("test"), sorted(right, key=right.get), [rows[3]["id"]]
    )
    by_kind = {kind: [each.id for k, each in examples if k == kind] for kind, _ in examples}
    assert by_kind["chosen"] == [rows[3]["id"]]
    assert sum(right[name] for name in by_kind["worst"]) <= sum(right[n] for n in by_kind["best"])
    assert not set(by_kind["worst"]) & set(by_kind["best"])
    with pytest.raises(UserError, match="the ids of examples in the split after --example"):
        write_report([trained.run], tiny_runs.host(), tmp_path / "r.html", wanted=["nobody"])


def test_the_first_screen_says_how_good_and_compares_with_the_recipe(trained, tmp_path):
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "run"))
    score = Results.read(run.results("test")).scores["tiny-accuracy"]
    for expected, where in ((100 * score.low - 1, "below"), (100 * score.high + 1, "above")):
        text = trained.run.recipe.read_text().replace("expected: {}", "")
        run.recipe.write_text(f"{text}\nexpected: {{tiny-accuracy: {expected}}}\n")
        page = page_of(tmp_path, run)
        assert f"lies {where} this interval" in page
        assert f'<p class="value">{100 * score.value:.2f}</p>' in page
    assert re.search(r"<dt>parameters</dt><dd>[\d,]+</dd>", page)


def test_runs_on_the_same_examples_are_tested_in_pairs(trained, tmp_path):
    other = RunFolder(shutil.copytree(trained.run.path, tmp_path / "other"))
    page = page_of(tmp_path, trained.run, other)
    assert "<h2>Do they differ?</h2>" in page
    assert '<td class="number">1.0000</td>' in page  # a run does not differ from itself
    outputs = other.results("test") / "hypotheses.jsonl"
    outputs.write_text("".join(outputs.read_text().splitlines(keepends=True)[:-1]))
    assert "<h2>Do they differ?</h2>" not in page_of(tmp_path, trained.run, other)


def test_the_page_has_the_scores_of_groups(trained, tmp_path):
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "grouped"))
    system = open_system(run, tiny_runs.host(), ["evaluation.group=letters"])
    accelerator = start_accelerator(trained.settings, run)
    scores = evaluate(system, "test", "grouped", tiny_runs.splits_of(trained), accelerator)
    page = page_of(tmp_path, run)
    assert "<summary>test@grouped by letters</summary>" in page
    table = page.split("<summary>test@grouped by letters</summary>")[1].split("</details>")[0]
    groups = Results.read(run.results("test", "grouped")).groups
    assert table.count(" letters</td>") == len(groups)
    assert scores


def test_an_example_that_is_refused_leaves_the_others(trained, tmp_path):
    shutil.copytree(trained.data_root / "pairs", tmp_path / "pairs")
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "refusing"))
    run.start.write_text(json.dumps({"data": str(tmp_path)}))
    test = tmp_path / "pairs" / "test.tsv"
    test.write_text("ab\tBA\nc!\tC\nef\tFE\n")
    page = page_of(tmp_path, run)
    assert len(views_of(page)) == 2


def test_the_page_loads_nothing_from_anywhere(trained, tmp_path):
    page = page_of(tmp_path, trained.run)
    assert not re.search(r"<(script src|link)|(src|href)=\"(?!data:|#)", page)
    assert "fetch(" not in page
    assert str(tmp_path) not in page
    assert str(trained.data_root) not in page


def test_several_runs_share_their_charts(trained, tmp_path):
    other = RunFolder(shutil.copytree(trained.run.path, tmp_path / "other"))
    page = page_of(tmp_path, trained.run, other)
    assert "run, other" in page
    assert page.count("<svg") == page_of(tmp_path, trained.run).count("<svg")


def test_a_page_without_the_corpus_says_what_is_missing(trained, tmp_path):
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / "moved"))
    run.start.write_text('{"data": "/nowhere"}')
    page = page_of(tmp_path, run)
    assert "None: expected the corpus in the folder pairs, got no such folder" in page
    assert "/nowhere" not in page


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
        display.show("validation", 50, {"bleu": 30.0, "found": "[red]a\x1b[5mb"})
        display.close()
        shown = re.sub(r"\x1b\[[\d;?]*[a-z]", "", screen.getvalue(), flags=re.IGNORECASE)
        assert ("1.2k tokens/s" if terminal else "tokens_per_second 1234") in shown
        assert "validation at step 50" in shown
        assert r": bleu 30  found [red]a\x1b[5mb" in shown
        assert ("\x1b[" in screen.getvalue()) == terminal


@pytest.mark.parametrize(
    ("width", "beside"),
    [
        (60, ["loss 2.31", "cider 47.3"]),
        (80, ["loss 2.31", "cider 47.3", "2.5k tokens/s"]),
        (120, ["loss 2.31", "cider 47.3", "2.5k tokens/s", "epoch 3", "learning rate 0.0015"]),
        (200, ["epoch 3", "learning rate 0.0015", "gradient norm 0.78"]),
    ],
)
def test_bar_step_and_time_come_first_and_then_the_figures_that_fit(width, beside):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width)
    display = OnFieldScale(display_for(console, 1500, 0, "cider"), {"cider": "0-1"})
    display.show("validation", 50, {"cider": 0.473})
    values = {"epoch": 3, "loss": 2.3123, "gradient_norm": 0.7793, "learning_rate": 0.0015}
    display.show("training", 100, {**values, "tokens_per_second": 2512, "seconds": 4.2})
    display.close()
    plain = re.sub(r"\x1b\[[\d;?]*[a-z]", "", screen.getvalue(), flags=re.IGNORECASE)
    last = [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()][-1]
    assert len(last) <= width
    assert re.match(r"training [━╸╺]+  100/1500 [-\d]+:[-\d]+:[-\d]+ ", last), last
    assert last.endswith("  ".join(beside)), last


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (999, "999"), (999.6, "1.0k"), (2512, "2.5k"), (9960, "10k"), (1.24e6, "1.2M")],
)
def test_speeds_are_written_for_people(number, written):
    assert _human(number) == written


def test_markup_escapes_and_scripts_in_names_and_corpora_are_harmless_in_a_page(trained, tmp_path):
    shutil.copytree(trained.data_root / "pairs", tmp_path / "pairs")
    evil = "<script>alert(1)</script>"
    run = RunFolder(shutil.copytree(trained.run.path, tmp_path / f"{evil[:8]}&amp;$\\frac$_\x1b"))
    run.start.write_text(json.dumps({"data": str(tmp_path)}))
    (tmp_path / "pairs" / "test.tsv").write_text(f"ab\t{evil}\n")
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace("letters <turned> round", f"'[red]{evil}'"))
    scores = json.loads((run.results("test") / "scores.json").read_text())
    scores["tiny-accuracy"]["signature"] = f"<img src=x onerror=alert(1)>{evil}"
    named = {f"<b>{evil}": scores["tiny-accuracy"], **scores}
    (run.results("test") / "scores.json").write_text(json.dumps(named))
    with run.log.open("a") as log:
        line = {"kind": "data", "step": 12, "found": evil}
        log.write(json.dumps(line) + "\n")
        log.write(json.dumps({"kind": "training", "step": 12, f"loss {evil}": 1.0}) + "\n")
    outputs = run.results("test") / "hypotheses.jsonl"
    row = {"id": evil, "text": evil, "references": [evil], "meta": {evil: evil}}
    outputs.write_text(json.dumps(row) + "\n")
    page = page_of(tmp_path, run)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_the_page_has_scores_on_the_scale_of_the_terminal(trained, tmp_path):
    page = page_of(tmp_path, trained.run)
    score = Results.read(trained.run.results("test")).scores["tiny-accuracy"]
    assert score.unit == "0-1"
    assert f'<td class="number">{100 * score.value:.2f}</td>' in page
    assert f"<td>{100 * score.low:.2f} – {100 * score.high:.2f}</td>" in page
    assert "<td>0-1 ×100</td>" in page
    stored = [
        line["tiny-accuracy"]
        for line in map(json.loads, trained.run.log.read_text().splitlines())
        if line["kind"] == "validation"
    ]
    (curve,) = [
        curve
        for curve in curves_of("run", trained.run, {"tiny-accuracy": "0-1"})
        if curve.figure == "tiny-accuracy"
    ]
    assert list(curve.values) == [100 * value for value in stored]


def test_paths_in_the_page_are_relative_to_the_corpus(tmp_path):
    folder = tmp_path / "data" / "scenes"
    inside, outside = folder / "images" / "a.png", tmp_path / "elsewhere" / "b.png"
    assert relative_path(str(inside), folder) == "images/a.png"
    assert relative_path(str(outside), folder) == "b.png"
    folders = (folder, tmp_path / "data")
    note = f"bad row in {folder}/train.csv, line 3, and {tmp_path}/data/other/x"
    assert _relative_to(folders, note) == "bad row in train.csv, line 3, and other/x"


def test_runs_of_the_same_name_are_told_apart_by_the_folders_above(trained, tmp_path):
    others = [RunFolder(shutil.copytree(trained.run.path, tmp_path / x / "run")) for x in "ab"]
    page = page_of(tmp_path, *others)
    assert "<h1>a/run, b/run</h1>" in page


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
