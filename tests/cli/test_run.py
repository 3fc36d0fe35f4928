"""The commands that train, evaluate and predict: what they print, and what they say of mistakes."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import tiny_runs
import yaml
from click.testing import CliRunner

from multiattn.cli import app


def call(*arguments, stdin=""):
    everything = ["--plugin", str(tiny_runs.PLUGIN), *map(str, arguments)]
    return CliRunner().invoke(app, everything, input=stdin)


@pytest.fixture(scope="module", autouse=True)
def only_the_core():
    tiny_runs.host()  # it sets which plugins are allowed


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran")
    tiny_runs.start(folder)
    result = call("run", folder / "tiny.yaml", "--data", folder, "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_one_command_trains_evaluates_and_says_how_to_go_on(ran):
    folder, output = ran
    assert "validation:" in output
    assert "test:" in output
    assert "tiny-accuracy" in output
    assert str(folder / "run" / "results") in output
    last = output.strip().splitlines()[-1]
    assert f"multiattn predict {folder / 'run'}" in last
    assert (folder / "run" / "results" / "test" / "scores.json").exists()
    versions = json.loads((folder / "run" / "versions.json").read_text())
    assert versions.keys() >= {"python", "torch", "multiattn"}
    assert list((folder / "run" / "tensorboard").glob("events*"))


def test_the_same_command_again_changes_nothing(ran):
    folder, _ = ran
    files = {file: file.read_bytes() for file in folder.rglob("*.safetensors")}
    again = call("run", folder / "tiny.yaml", "--data", folder, "--out", folder / "run")
    assert again.exit_code == 0, again.output
    assert {file: file.read_bytes() for file in folder.rglob("*.safetensors")} == files


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_finished_run_says_with_what_it_was_trained(ran, tmp_path, command):
    folder, first = ran
    assert "trained already" not in first
    out = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    version, numpy = importlib.metadata.version("multiattn"), importlib.metadata.version("numpy")
    said = f"trained already with multiattn {version}; use another --out to train anew\n"
    words = (command, folder / "tiny.yaml", "--data", folder, "--out", out)
    assert said in call(*words).stdout
    before = json.loads((out / "versions.json").read_text()) | {"numpy": "1.9", "platform": "other"}
    (out / "versions.json").write_text(json.dumps(before))
    for _ in range(2):  # nothing was trained, so that the record stays
        assert f"multiattn {version}, numpy 1.9 (now {numpy}); use another" in call(*words).stdout


@pytest.mark.parametrize(("command", "hinted"), [("run", "predict"), ("train", "evaluate")])
def test_the_hint_can_be_pasted_even_with_a_space_in_the_folder(ran, tmp_path, command, hinted):
    folder, _ = ran
    out = Path(shutil.copytree(folder / "run", tmp_path / "my run"))
    result = call(command, folder / "tiny.yaml", "--data", folder, "--out", out)
    assert result.exit_code == 0, result.output
    words = shlex.split(result.output.rpartition("multiattn ")[2])
    assert words[:2] == [hinted, str(out)]
    assert call(*words).exit_code == 0


def test_predictions_are_lines_json_and_pictures(ran, tmp_path):
    folder, _ = ran
    result = call("predict", folder / "run", "-", "--json", stdin="abc\ndefg\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["input"] for line in lines] == [{"letters": "abc"}, {"letters": "defg"}]
    result = call("predict", folder / "run", "abc", "letters=b", "--attention", tmp_path)
    assert result.stdout.splitlines()[0] == lines[0]["text"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"000{number}-letters.{suffix}" for number in (1, 2) for suffix in ("json", "png", "svg")
    ]


def test_what_may_be_wrong_with_an_output_is_said_beside_it(ran):
    folder, _ = ran
    sizes = ["--set", "search.min_length=2", "--set", "search.max_length=2"]
    result = call("predict", folder / "run", "abc", "zz", *sizes)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2
    doubts = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert doubts == [["warning", f"input {number}"] for number in (1, 2, 2)]


def test_a_refused_input_keeps_its_line_and_the_others_their_outputs(ran):
    folder, _ = ran
    result = call("predict", folder / "run", "-", "--json", stdin="abc\nd!e\ngh\n")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["format"] for line in lines] == [1, 1, 1]
    assert [line.get("input") for line in lines] == [{"letters": "abc"}, None, {"letters": "gh"}]
    assert "leave the ! out" in lines[1]["error"]
    refusal, summary = result.stderr.splitlines()
    assert refusal.startswith("input 2: expected letters")
    assert summary == "3 inputs: 2 decoded, 0 blank, 1 failed"
    plain = call("predict", folder / "run", "-", stdin="abc\nd!e\ngh\n").stdout.split("\n")
    assert plain == [lines[0]["text"], "", lines[2]["text"], ""]


def test_a_blank_input_is_an_empty_line_and_no_failure(ran, tmp_path):
    folder, _ = ran
    alone = call("predict", folder / "run", "abc", "gh").stdout.splitlines()
    (tmp_path / "in.en").write_text("abc\n\ngh\n  \n")
    (tmp_path / "in.jsonl").write_text('{"letters": "abc"}\n\n{"letters": "gh"}\n \n')
    (tmp_path / "in.tsv").write_text("id\tletters\n1\tabc\n\n2\tgh\n  \n")
    (tmp_path / "in.csv").write_text("id,letters\n1,abc\n\n2,gh\n  \n")
    files = [([tmp_path / f"in.{kind}"], "") for kind in ("en", "jsonl", "tsv", "csv")]
    for arguments, stdin in (*files, (["-"], "abc\n\u200b\ngh\n\ufeff \u00ad\n")):
        result = call("predict", folder / "run", *arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{alone[0]}\n\n{alone[1]}\n\n"
        assert result.stderr == "4 inputs: 2 decoded, 2 blank, 0 failed\n"
    result = call("predict", folder / "run", "-", "--json", stdin="abc\n\n")
    decoded, blank = (json.loads(line) for line in result.stdout.splitlines())
    assert decoded.keys() >= {"format", "input", "text", "score"}
    assert blank.keys() == {"format", "input", "text", "score", "log_probability", "tokens"}
    assert (blank["input"], blank["text"], blank["score"]) == ({"letters": ""}, "", None)


def test_where_no_input_can_be_decoded_the_exit_code_is_2(ran):
    folder, _ = ran
    result = call("predict", folder / "run", "-", stdin="d!e\n\nf!\n")
    assert (result.exit_code, result.stdout) == (2, "\n\n\n")
    beginnings = [line.split(":")[0] for line in result.stderr.splitlines()]
    assert beginnings == ["input 1", "input 3", "error"]


def test_several_outputs_are_lines_with_number_rank_and_score(ran):
    folder, _ = ran
    several = ["--set", "search.n_best=2", "--set", "search.beam=3"]
    given = {"stdin": "abc\n\nd!e\ngh\n"}
    as_json = call("predict", folder / "run", "-", "--json", *several, **given)
    result = call("predict", folder / "run", "-", *several, **given)
    assert result.exit_code == as_json.exit_code == 1
    expected = []
    for number, line in enumerate(map(json.loads, as_json.stdout.splitlines()), start=1):
        found = line.get("n_best", [])
        assert [one["rank"] for one in found] == [*range(1, len(found) + 1)]
        rows = [f"{number}\t{one['rank']}\t{one['score']:.6g}\t{one['text']}" for one in found]
        expected += rows or [f"{number}\t\t\t"]
    assert result.stdout.splitlines() == expected
    assert len(expected) == 6


def test_the_only_input_refused_is_one_sentence(ran):
    folder, _ = ran
    result = call("predict", folder / "run", "d!e")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_scores_of_groups_are_printed_too(ran):
    folder, _ = ran
    group = ["--name", "grouped", "--set", "evaluation.group=letters"]
    result = call("evaluate", folder / "run", *group)
    assert result.exit_code == 0, result.output
    assert "letters" in result.stdout
    assert "tiny-accuracy [95 %]" in result.stdout
    stored = json.loads((folder / "run/results/test@grouped/scores.json").read_text())
    assert all(name in result.stdout for name in stored["groups"])


def test_evaluation_uses_the_data_of_the_run(ran):
    folder, _ = ran
    result = call(
        "evaluate",
        folder / "run",
        "--split",
        "validation",
        "--name",
        "b1",
        "--set",
        "search.beam=1",
    )
    assert result.exit_code == 0, result.output
    assert (folder / "run" / "results" / "validation@b1" / "hypotheses.jsonl").exists()


def test_a_seed_and_settings_replace_the_recipe_s(ran, tmp_path):
    folder, _ = ran
    out = tmp_path / "seeded"
    short = ["--seed", "7", "--set", "training.steps=1"]
    result = call("train", folder / "tiny.yaml", "--data", folder, "--out", out, *short)
    assert result.exit_code == 0, result.output
    assert "seed: 7" in (out / "recipe.yaml").read_text()
    assert not (out / "results").exists()


def test_what_casts_doubt_on_scores_is_said_before_the_first_step_and_at_the_end(tmp_path):
    tiny_runs.start(tmp_path, overrides=["training.steps=1"], splits={"test": "train"})
    command = ["run", tmp_path / "tiny.yaml", "--data", tmp_path, "--out", tmp_path / "run"]
    result = call(*command, "--set", "training.steps=1")
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.output.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert len(set(warnings)) == 1
    assert "of train are also in train" in warnings[0]
    assert result.output.index("warning: ") < result.output.index("start at step 0")
    result = call("evaluate", tmp_path / "run", "--split", "validation", "--name", "again")
    assert "warning: " not in result.output
    result = call("evaluate", tmp_path / "run", "--split", "train", "--name", "again")
    assert warnings[0] in result.stderr.splitlines()


def test_splits_in_different_unicode_forms_are_told_before_the_first_step(tmp_path):
    tiny_runs.start(tmp_path)
    for split, text in (("train", "\u00c9"), ("validation", "E\u0301")):
        with (tmp_path / "pairs" / f"{split}.tsv").open("a", encoding="utf-8") as file:
            file.write(f"a\t{text}\n")
    command = ["train", tmp_path / "tiny.yaml", "--data", tmp_path, "--out", tmp_path / "run"]
    told = "warning: texts differ in Unicode form: decomposed (NFD) are 1 of 'target' in validation"
    for more in (["--dry-run"], ["--set", "training.steps=1"]):
        result = call(*command, *more)
        assert result.exit_code == 0, result.output
        assert told in result.output


def test_a_dry_run_shows_all_and_writes_nothing(ran, tmp_path):
    folder, _ = ran
    out = tmp_path / "dry"
    result = call("run", folder / "tiny.yaml", "--data", folder, "--out", out, "--dry-run")
    assert result.exit_code == 0, result.output
    for part in (
        "parameters:",
        "encoders.letters",
        "steps per epoch",
        "peak memory",
        "batch_tokens",
    ):
        assert part in result.output
    assert not out.exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("splits.test=tomorrow", "expected a split of the corpus (test, train, validation), got"),
        ("evaluation.group=speaker", "expected evaluation.group to be a field or note"),
        ("search.scorers=[ctc]", "ctc"),
    ],
)
def test_what_would_stop_a_run_at_its_end_stops_it_before_its_start(
    ran, tmp_path, setting, sentence, dry
):
    folder, _ = ran
    out = tmp_path / "out"
    recipe = [folder / "tiny.yaml", "--data", folder, "--out", out, "--set", setting, *dry]
    result = call("run", *recipe)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (out / "log.jsonl").exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_an_input_that_could_not_be_scored_is_met_before_training(tmp_path, dry):
    tiny_runs.start(tmp_path)
    with (tmp_path / "pairs" / "test.tsv").open("a") as file:
        file.write("ab?\tAB\n")
    result = call(
        "run", tmp_path / "tiny.yaml", "--data", tmp_path, "--out", tmp_path / "out", *dry
    )
    assert result.exit_code == 2
    assert "expected letters, got 'ab?'" in result.stderr
    assert not (tmp_path / "out" / "log.jsonl").exists()


@pytest.fixture(scope="module")
def language(ran):
    """A language model over the tokens of the run, and one over its own, which are words."""
    folder, _ = ran
    settings = {
        "sources": {},
        "target": {"field": "target", "tokenizer": {"kind": "word"}},
        "decoder": {**tiny_runs.RECIPE["decoder"], "initial_state": "zero"},
        "evaluation": {"metrics": []},
    }
    recipe = folder / "language.yaml"
    recipe.write_text(yaml.safe_dump({**tiny_runs.RECIPE, **settings}))
    trained = {}
    for name, options in {"same": ["--tokenizer", folder / "run"], "other": []}.items():
        trained[name] = folder / f"language-{name}"
        result = call("train", recipe, "--data", folder, "--out", trained[name], *options)
        assert result.exit_code == 0, result.output
    return trained


def test_a_language_model_may_take_a_run_s_tokenizer(ran, language):
    folder, _ = ran
    file = Path("target", "tokenizer.json")
    assert (language["same"] / file).read_bytes() == (folder / "run" / file).read_bytes()
    assert (language["other"] / file).read_bytes() != (folder / "run" / file).read_bytes()
    assert "kind: char" in (language["same"] / "recipe.yaml").read_text()


def test_a_language_model_joins_by_an_option_as_by_the_setting(ran, language):
    folder, _ = ran
    run, same = folder / "run", language["same"]
    alone = call("predict", run, "abc", "--json")
    fused = call("predict", run, "abc", "--json", "--lm", same, "--lm-weight", 0.5)
    setting = f"search.language_model={{run: '{same}', weight: 0.5}}"
    by_setting = call("predict", run, "abc", "--json", "--set", setting)
    assert fused.stdout == by_setting.stdout
    assert json.loads(fused.stdout)["score"] < json.loads(alone.stdout)["score"]
    result = call("evaluate", run, "--name", "fused", "--lm", same)
    assert result.exit_code == 0, result.output
    scores = json.loads((run / "results" / "test@fused" / "scores.json").read_text())
    joined = {"run": str(same), "weight": 0.2}
    assert scores["decoding"]["search"]["language_model"] == joined


def test_a_run_may_be_trained_with_a_language_model(ran, language, tmp_path):
    folder, _ = ran
    shared = ["--tokenizer", language["same"], "--lm", language["same"]]
    short = ["--set", "training.steps=4"]
    arguments = ["--data", folder, "--out", tmp_path / "run", *shared, *short]
    result = call("run", folder / "tiny.yaml", *arguments)
    assert result.exit_code == 0, result.output
    again = call("run", folder / "tiny.yaml", *arguments)
    assert again.exit_code == 0, again.output


def test_a_language_model_over_other_tokens_is_refused(ran, language):
    folder, _ = ran
    result = call("predict", folder / "run", "abc", "--lm", language["other"])
    assert result.exit_code == 2
    assert "multiattn run RECIPE --tokenizer RUN" in result.stderr


def test_a_tokenizer_of_other_settings_is_refused_with_those_to_write(ran, tmp_path):
    folder, _ = ran
    given = ["--set", f"target.tokenizer_of={folder / 'run'}", "--set", "target.tokenizer.size=9"]
    out = ["--data", folder, "--out", tmp_path / "run"]
    result = call("train", folder / "tiny.yaml", *out, *given)
    assert result.exit_code == 2
    assert (
        "{kind: char, size: 8000, unicode: nfc, lowercase: False, sampling: 0.0}" in result.stderr
    )


def test_a_run_with_a_ctc_head_writes_with_it(tmp_path):
    objectives = ["cross-entropy", {"name": "ctc", "weight": 0.5}]
    scorers = [{"name": "ctc", "weight": 0.4}]
    search = {**tiny_runs.RECIPE["search"], "length_penalty": 0.0, "scorers": scorers}
    started = tiny_runs.start(tmp_path, objectives=objectives, search=search)
    for file in (tmp_path / "pairs").glob("*.tsv"):  # one slot per letter: none twice in a row
        lines = [line for line in file.read_text().splitlines() if not re.search(r"(.)\1", line)]
        file.write_text("\n".join(lines) + "\n")
    tiny_runs.trained(started)
    found = {}
    for method in ("beam", "ctc"):
        given = ["--json", "--set", f"search.method={method}"]
        result = call("predict", started.run.path, "abc", "hgfedc", *given)
        assert result.exit_code == 0, result.output
        found[method] = [json.loads(line) for line in result.stdout.splitlines()]
    for beam, rescored in zip(found["beam"], found["ctc"], strict=True):
        if beam["text"] == rescored["text"]:
            assert beam["score"] == pytest.approx(rescored["score"], rel=1e-5)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("run RECIPE --data FOLDER/elsewhere", "--data"),
        ("run RECIPE --data FOLDER --set training.batch_token=3", "batch_tokens"),
        ("run RECIPE --data FOLDER --set training.steps=many", "integer"),
        ("run RECIPE --data FOLDER --set decoder.name=gru", "gru"),
        ("run RECIPE --data FOLDER --set training.batch_tokens=61", "training.batch_tokens"),
        ("run RECIPE --data FOLDER --set splits.train=exam", "splits.train"),
        ("evaluate FOLDER", "expected a run folder"),
        ("evaluate FOLDER/run --set search.bean=2", "beam"),
        ("evaluate FOLDER/run --split exam", "exam"),
        ("evaluate FOLDER/run --name c --set search.method=ctc", "needs the head 'ctc'"),
        ("predict FOLDER/run abc --set search.scorers=[ctc]", "needs the head 'ctc'"),
        ("predict FOLDER/run abc --set search.n_best=3", "expected at most 2, the beam"),
        ("predict FOLDER/run abc --set search.top_k=3", "search.top_k: expected 0 with method"),
        ("predict FOLDER/run abc --set search.max_source={'lines':3}", "got 'lines'"),
        ("predict FOLDER/run nowhere/abc.txt", "which is not a file; check the path"),
        ("predict FOLDER/run abc --lm FOLDER/run", "without sources as the language model"),
        ("predict FOLDER/run abc --lm-weight 0.4", "search.language_model.run"),
        ("run RECIPE --data FOLDER --tokenizer FOLDER", "expected a run folder"),
        ("predict FOLDER/run", "at least one input"),
        ("predict FOLDER abc", "expected a run folder"),
        ("run nowhere.yaml", "nowhere.yaml"),
        ("predict FOLDER/run abc --prefix \u03b6", "expected a prefix that the model can generate"),
        ("evaluate FOLDER/run --name a/b", "expected a name without /"),
        ("report FOLDER/run --out RECIPE/page.html", "could not write"),
        ("run RECIPE --data FOLDER --set objectives=[]", "objectives: expected"),
        ("run RECIPE --data FOLDER --set objectives.\u00b2=3", "objectives: expected"),
        ("run RECIPE --data FOLDER --set sources={}", "which perplexity measures"),
        ("run RECIPE --data FOLDER --set decoder.hidden_dim=-4", "greater than 0"),
        ("run RECIPE --data FOLDER --set decoder.dropout=-1", "decoder.dropout: expected"),
        ("run RECIPE --data FOLDER --set target.tokenizer.size=4", "greater than 4"),
        ("run RECIPE --data FOLDER --set search.length_penalty=.nan", "finite"),
        ("run RECIPE --data FOLDER --set objectives.0.weight=.inf", "finite"),
        (
            "run RECIPE --data FOLDER --set evaluation.metrics=[tiny-accuracy,tiny-accuracy]",
            "each metric once, unlike tiny-accuracy",
        ),
        (
            "run RECIPE --data FOLDER --set training.groups=[{'pattern':nothing}] --dry-run",
            "training.groups: expected a pattern that some parameter matches",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(ran, command, sentence):
    folder, _ = ran
    out = ["--out", folder / "run"] if command.startswith("run ") else []
    before = {file: file.read_bytes() for file in (folder / "run").rglob("*") if file.is_file()}
    words = [
        word.replace("RECIPE", str(folder / "tiny.yaml")).replace("FOLDER", str(folder))
        for word in command.split()
    ]
    result = call(*words, *out)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    after = {file: file.read_bytes() for file in (folder / "run").rglob("*") if file.is_file()}
    assert after == before


@pytest.mark.parametrize("below", ["", "run"])
@pytest.mark.parametrize("command", ["run", "train"])
def test_a_run_needs_a_place_that_is_no_file(ran, command, below):
    folder, _ = ran
    recipe = folder / "tiny.yaml"
    result = call(command, recipe, "--data", folder, "--out", recipe / below)
    assert result.exit_code == 2, result.output
    assert "expected a folder to write the run to" in result.stderr


@pytest.mark.parametrize("name", ["../../evil", "a.b", "", "keys", "training", "my source"])
def test_a_source_that_cannot_be_called_so_leaves_nothing_behind(ran, tmp_path, name):
    folder, _ = ran
    sources = {name: tiny_runs.RECIPE["sources"]["letters"]}
    recipe = tmp_path / "odd.yaml"
    recipe.write_text(yaml.safe_dump({**tiny_runs.RECIPE, "sources": sources}))
    out = tmp_path / "deep" / "er" / "run"
    result = call("train", recipe, "--data", folder, "--out", out)
    assert result.exit_code == 2, result.output
    assert "expected a source name" in result.stderr or "source names of" in result.stderr
    assert not list((tmp_path / "deep").glob("evil*"))
    assert not (out / "log.jsonl").exists()


def test_bytes_that_are_no_text_are_refused(ran):
    folder, _ = ran
    result = call("predict", folder / "run", "-", stdin=b"\xff\xfe\x80\n")
    assert result.exit_code == 2
    assert "expected UTF-8 in standard input, line 1" in result.stderr


def test_a_language_model_takes_no_input(ran, language):
    result = call("predict", language["same"], "hello")
    assert result.exit_code == 2
    assert "none: it takes no input" in result.stderr


def test_three_mistakes_are_three_sentences(ran):
    folder, _ = ran
    wrong = ["seed=x", "training.stepz=1", "decoder=lstmm"]
    sets = [word for override in wrong for word in ("--set", override)]
    result = call("run", folder / "tiny.yaml", "--data", folder, *sets)
    assert result.exit_code == 2
    assert all(place in result.stderr for place in ("seed", "stepz", "lstmm"))


@pytest.mark.parametrize(
    "command",
    [
        "run LONG",
        "run LONG.yaml",
        "run FOLDER/tiny.yaml --data LONG",
        "run FOLDER/tiny.yaml --data FOLDER --set corpus.folder=LONG",
        "run FOLDER/tiny.yaml --data FOLDER --out LONG",
        "run FOLDER/tiny.yaml --data FOLDER --init LONG",
        "run FOLDER/tiny.yaml --seed LONG",
        "run FOLDER/tiny.yaml --LONG",
        "LONG",
        "predict LONG abc",
        "predict FOLDER/run letters=LONG --set search.beam=LONG",
        "evaluate FOLDER/run --split LONG --name b",
        "evaluate FOLDER/run --name LONG",
        "score LONG --hyp FOLDER/tiny.yaml --ref FOLDER/tiny.yaml",
        "score tiny-accuracy --hyp LONG --ref LONG",
        "plugins why LONG",
        "--plugin LONG plugins",
    ],
)
def test_a_long_value_with_escapes_is_one_short_harmless_sentence(ran, command):
    folder, _ = ran
    long = "\x1b[31m" + "x" * 100_000
    words = [word.replace("FOLDER", str(folder)).replace("LONG", long) for word in command.split()]
    result = call(*words)
    assert result.exit_code == 2, result.output[:3000]
    assert len(result.stderr) < 3000
    assert "\x1b" not in result.stderr
    assert not isinstance(result.exception, OSError)


def test_truncated_weights_are_named(ran, tmp_path):
    folder, _ = ran
    run = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    result = call("predict", run, "abc")
    assert result.exit_code == 2
    assert "model.safetensors" in result.stderr
