"""Results are complete, repeatable and never overwritten; a run opened again writes the same."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from matplotlib.image import imread

import multiattn
from multiattn.data.corpus import Example
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.prediction.attention_records import (
    average_over_words,
    label_spans,
    sum_over_words,
)
from multiattn.prediction.inputs import InputParser
from multiattn.prediction.rendering import Renderers, save_attention_maps
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry import records
from multiattn.runs.evaluate import check_splits, evaluate
from multiattn.runs.system import open_system
from multiattn.scoring import intervals
from multiattn.scoring.results import Results
from multiattn.training.accelerator import start_accelerator

TAB = "\t"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    started = tiny_runs.start(tmp_path_factory.mktemp("trained"))
    tiny_runs.trained(started)
    return started


@pytest.fixture
def run(trained, tmp_path):
    """The same run, to write results into."""
    return dataclasses.replace(
        trained, run=tiny_runs.RunFolder(shutil.copytree(trained.run.path, tmp_path / "run"))
    )


def evaluated(started, overrides=(), split="test", tag=""):
    system = open_system(started.run, tiny_runs.host(), overrides)
    accelerator = start_accelerator(started.settings, started.run)
    return evaluate(system, split, tag, tiny_runs.splits_of(started), accelerator)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text().splitlines()]


def test_every_example_is_written_once_in_the_order_of_the_split(run):
    scores = evaluated(run)
    lines = lines_of(run.run.results("test"))
    assert [line["id"] for line in lines] == [f"test-{number}" for number in range(6)]
    targets = (run.data_root / "pairs" / "test.tsv").read_text().split("\n")[:-1]
    assert [line["references"] for line in lines] == [[row.split("\t")[1]] for row in targets]
    pairs = [(line["text"], line["references"][0]) for line in lines]
    right = sum(a == b for pair in pairs for a, b in zip(*pair, strict=False))
    letters = sum(max(map(len, pair)) for pair in pairs)
    assert scores["tiny-accuracy"].value == pytest.approx(right / letters)
    stored = json.loads((run.run.results("test") / "scores.json").read_text())
    assert stored["tiny-accuracy"] == intervals.as_plain_data(scores["tiny-accuracy"])
    assert stored["decoding"]["search"]["beam"] == 2


def test_results_say_how_the_outputs_read_the_source_and_what_the_corpus_knows(run):
    evaluated(run)
    folder = run.run.results("test")
    lines = lines_of(folder)
    readings = [line["attention"]["letters"] for line in lines]
    means = json.loads((folder / "scores.json").read_text())["attention"]["letters"]
    for name in ("entropy", "coverage", "monotonicity", "reached"):
        mean = sum(reading[name] for reading in readings) / len(readings)
        assert means[name] == pytest.approx(mean, abs=1e-3)
    assert means["looping"] == sum(reading["looping"] > 0 for reading in readings)
    assert all(line["meta"]["letters"].endswith(" letters") for line in lines)


def test_the_same_results_again_are_only_read(run):
    first = evaluated(run)
    file = run.run.results("test") / "hypotheses.jsonl"
    file.write_text("kept")
    assert evaluated(run) == first
    assert file.read_text() == "kept"


def test_other_settings_write_beside_and_never_over(run):
    evaluated(run)
    before = (run.run.results("test") / "scores.json").read_bytes()
    with pytest.raises(UserError, match=r"got other search; use another folder with --name"):
        evaluated(run, ["search.beam=1"])
    evaluated(run, ["search.beam=1"], tag="greedy")
    assert (run.run.results("test") / "scores.json").read_bytes() == before
    assert (run.run.path / "results" / "test@greedy" / "scores.json").exists()


def test_results_of_older_weights_make_room(run):
    evaluated(run)
    old = lines_of(run.run.results("test"))
    longer = tiny_runs.start(run.data_root, ["training.steps=16"])
    longer = dataclasses.replace(longer, run=run.run)
    tiny_runs.trained(longer)
    evaluated(longer)
    (aside,) = run.run.path.glob("results/test@weights-*")
    assert lines_of(aside) == old


def test_n_best_are_listed_best_first(run):
    evaluated(run, ["search.n_best=2"])
    for line in lines_of(run.run.results("test")):
        assert line["n_best"][0] == {"text": line["text"], "score": line["score"]}
        assert line["n_best"][0]["score"] >= line["n_best"][1]["score"]


def test_every_group_has_the_scores_of_its_own_examples(run):
    evaluated(run, ["evaluation.group=letters"])
    results = Results.read(run.run.results("test"))
    assert (results.grouped_by, results.metrics) == ("letters", ("tiny-accuracy",))
    rows = (run.data_root / "pairs" / "test.tsv").read_text().splitlines()
    groups = [f"{len(row.partition(TAB)[0])} letters" for row in rows]
    assert list(results.groups) == sorted(set(groups))
    for group, scores in results.groups.items():
        lines = [line for line, own in zip(lines_of(run.run.results("test")), groups, strict=True)
                 if own == group]  # fmt: skip
        pairs = [(line["text"], line["references"][0]) for line in lines]
        right = sum(a == b for pair in pairs for a, b in zip(*pair, strict=False))
        letters = sum(max(map(len, pair)) for pair in pairs)
        assert scores["tiny-accuracy"].value == pytest.approx(right / letters)
        assert scores["tiny-accuracy"].count == len(lines)
    assert sum(scores["tiny-accuracy"].count for scores in results.groups.values()) == 6


def test_groups_may_be_of_a_field_and_some_examples_may_have_none(run):
    file = run.data_root / "pairs" / "test.tsv"
    before = file.read_text()
    try:
        file.write_text("ab\tBA\n\tCC\n")
        evaluated(run, ["evaluation.group=letters"])
        assert list(Results.read(run.run.results("test")).groups) == ["(none)", "2 letters"]
        evaluated(run, ["evaluation.group=target"], tag="target")
        assert list(Results.read(run.run.results("test", "target")).groups) == ["BA", "CC"]
    finally:
        file.write_text(before)


def test_a_corpus_that_knows_no_group_of_any_example_is_scored_as_a_whole(run):
    file = run.data_root / "pairs" / "test.tsv"
    before = file.read_text()
    try:
        file.write_text("\tBA\n\tCC\n")
        assert evaluated(run, ["evaluation.group=source"])
        assert not Results.read(run.run.results("test")).groups
    finally:
        file.write_text(before)


def test_what_a_metric_shows_of_single_errors_is_a_file_beside_the_scores(run):
    evaluated(run)
    shown = (run.run.results("test") / "tiny-accuracy.txt").read_text().splitlines()
    lines = lines_of(run.run.results("test"))
    assert shown == [f"{row['id']}: {row['text']} for {row['references'][0]}" for row in lines]


def test_results_from_before_a_setting_came_are_of_its_default(run):
    first = evaluated(run)
    file = run.run.results("test") / "scores.json"
    content = json.loads(file.read_text())
    del content["decoding"]["evaluation"]["group"]
    del content["decoding"]["search"]["block_ngrams"]
    file.write_text(json.dumps(content))
    assert evaluated(run) == first
    with pytest.raises(UserError, match="got other evaluation"):
        evaluated(run, ["evaluation.group=letters"])


@pytest.mark.parametrize(
    ("overrides", "split", "sentence"),
    [
        (["evaluation.group=speaker"], "test", "'speaker'; choose from letters, source, target"),
        (["training.steps=9"], "test", r"differ only in search, evaluation.*training\.steps"),
        ([], "exam", r"split of the corpus \(test, train, validation\), got 'exam'"),
        (["search.n_best=3"], "test", "at most"),
    ],
)
def test_a_mistaken_evaluation_writes_nothing(run, overrides, split, sentence):
    with pytest.raises(UserError, match=sentence):
        evaluated(run, overrides, split)
    assert not (run.run.path / "results").exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"decoding": {}, "bleu": 3}', None])
def test_results_that_are_none_are_named(run, content):
    folder = run.run.results("test")
    folder.mkdir(parents=True)
    (folder / "scores.json" if content is not None else folder / "else").write_text(content or "")
    with pytest.raises(UserError, match=r"scores\.json.*; move .* away"):
        evaluated(run)


def test_damaged_weights_are_named(run):
    run.run.weights.write_bytes(run.run.weights.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        evaluated(run)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match="expected a run folder"):
        multiattn.load(tmp_path)


def test_a_language_model_is_measured_by_perplexity(tmp_path):
    evaluation = {"metrics": [], "select": "perplexity"}
    decoder = {**tiny_runs.RECIPE["decoder"], "initial_state": "zero"}
    started = tiny_runs.start(tmp_path, sources={}, decoder=decoder, evaluation=evaluation)
    tiny_runs.trained(started)
    score = evaluated(started)["perplexity"]
    system = open_system(started.run, tiny_runs.host())
    surprise, count = 0.0, 0
    for line in (tmp_path / "pairs" / "test.tsv").read_text().splitlines():
        ids = [*system.processors.tokenizer.encode(line.split("\t")[1]), 2]
        shared, state = system.model.decoder.begin({}, 1)
        for before, after in zip([1, *ids], ids, strict=False):
            scores, state, _ = system.model.decoder.step(torch.tensor([[before]]), state, shared)
            surprise -= scores.detach().log_softmax(-1)[0, 0, after].item()
            count += 1
    assert score.value == pytest.approx(math.exp(surprise / count), rel=1e-5)
    assert score.low < score.value < score.high


def test_a_language_model_joins_the_search(run, tmp_path):
    language = tiny_runs.start(
        tmp_path,
        run="language",
        sources={},
        decoder={**tiny_runs.RECIPE["decoder"], "initial_state": "zero"},
        evaluation={"metrics": [], "select": "perplexity"},
    )
    tiny_runs.trained(language)
    fused = [f"search.language_model={{run: '{language.run.path}', weight: 50}}"]
    alone = multiattn.load(run.run.path, host=tiny_runs.host())("abc")
    joined = multiattn.load(run.run.path, overrides=fused, host=tiny_runs.host())("abc")
    assert joined.score < alone.score - 50  # fifty times log-probabilities of several tokens


def test_a_translation_run_is_no_language_model(run):
    fused = [f"search.language_model={{run: '{run.run.path}'}}"]
    with pytest.raises(UserError, match="without sources"):
        open_system(run.run, tiny_runs.host(), fused).generator()


@pytest.fixture(scope="module")
def predictor(trained):
    return multiattn.load(trained.run.path, host=tiny_runs.host(), device="cpu")


def test_a_prediction_brings_text_score_tokens_and_attention(predictor):
    prediction = predictor("abcd")
    assert prediction.text == "".join(prediction.tokens)
    weights = prediction.attention["letters"]
    assert weights.shape == (len(prediction.tokens) + 1, 4)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert prediction.labels["letters"] == ("▁a", "▁b", "▁c", "▁d")


def test_what_is_predicted_does_not_depend_on_what_else_is_asked(predictor):
    inputs = ["ab", "cdefgh", "a", "hgfe", "bb", "ff"]
    together = [prediction.as_json() for prediction in predictor.each(inputs)]
    alone = [predictor(one).as_json() for one in inputs]
    for one, other in zip(together, alone, strict=True):
        assert one["text"] == other["text"]
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)


def test_a_prediction_is_what_evaluation_wrote(predictor, run):
    evaluated(run)
    rows = (run.data_root / "pairs" / "test.tsv").read_text().splitlines()
    texts = [predictor(row.split("\t")[0]).text for row in rows]
    assert texts == [line["text"] for line in lines_of(run.run.results("test"))]


def test_a_prefix_begins_the_output(predictor):
    assert predictor("abcd", prefix="DC").text.startswith("DC")


def test_an_unknown_source_is_named(predictor):
    with pytest.raises(UserError, match="sources letters, got 'photo'"):
        predictor({"photo": "a.jpg"})


def test_pictures_join_subwords_to_words(tmp_path):
    weights = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    rows = average_over_words(weights, [("house", 0, 2), ("!", 2, 3)])
    np.testing.assert_allclose(rows, [[0.3, 0.55, 0.15], [0, 0, 1]])
    spans = label_spans(["▁Ha", "us", "</s>"])
    assert spans == [("Haus", 0, 2), ("</s>", 2, 3)]
    np.testing.assert_allclose(sum_over_words(rows, spans), [[0.85, 0.15], [0, 1]])


def test_attention_is_drawn_and_its_numbers_are_kept(predictor, tmp_path):
    renderers = Renderers(predictor.system.settings.sources, tiny_runs.host())
    missing = save_attention_maps(tmp_path / "0001", predictor("abcd").records(), renderers)
    assert list(missing) == []
    picture = tmp_path / "0001-letters.png"
    assert imread(picture).shape[2] == 4
    numbers = json.loads(picture.with_suffix(".json").read_text())
    assert numbers["labels"] == ["a", "b", "c", "d"]
    assert len(numbers["weights"]) == len(numbers["words"])


def parser(as_text=False, **suffixes):
    readers = {
        name: records.Reader(
            name=name, target="a:B", summary="s", produces=produces, suffixes=(suffix,)
        )
        for name, (produces, suffix) in suffixes.items()
    }
    return InputParser(readers, as_text)


def test_inputs_are_texts_files_folders_or_lines(tmp_path):
    text = parser(en=("text", ".txt"))
    (tmp_path / "two.txt").write_text("first\nsecond\n")
    given = ["A dog .", "2 = 2", str(tmp_path / "two.txt"), "-"]
    found = list(text.parse(given, io.BytesIO(b"third\n")))
    assert [one["en"] for one in found] == ["A dog .", "2 = 2", "first", "second", "third"]
    assert list(parser(as_text=True, en=("text", ".txt")).parse(["-"], [])) == [{"en": "-"}]
    for name in ("b.jpg", "a.JPG", "c.png"):
        (tmp_path / name).touch()
    found = list(parser(photo=("image", ".jpg")).parse([str(tmp_path)], []))
    assert [Path(one["photo"]).name for one in found] == ["a.JPG", "b.jpg"]


@pytest.mark.parametrize("value", ["", None, 5, ["ab", "cd"]])
def test_what_is_neither_text_nor_path_is_no_input(predictor, value):
    with pytest.raises(UserError, match="one input per call"):
        predictor(value)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda found, run: found("ab", prefix="\ud83d"), "lone surrogate"),
        (lambda found, run: list(found.each("abc")), "a list of inputs"),
        (lambda found, run: found({}), "at least one of the sources letters"),
        (lambda found, run: multiattn.load(run, overrides="seed=1"), "a list of overrides"),
        (
            lambda found, run: multiattn.load(run, host=tiny_runs.host(), device="gpu"),
            "a device that PyTorch has here",
        ),
    ],
)
def test_a_mistake_in_python_is_a_sentence_too(predictor, run, mistake, sentence):
    with pytest.raises(UserError, match=sentence):
        mistake(predictor, run.run.path)


def test_several_sources_are_given_by_name(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.touch()
    both = parser(photo=("image", ".jpg"), english=("text", ".txt"))
    given = [f"photo={photo}", "english=A dog.", "english=A cat."]
    assert list(both.parse(given, [])) == [
        {"photo": str(photo), "english": "A dog."},
        {"english": "A cat."},
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nowhere.jpg", "which is not a file"),
        ("  ", "expected SOURCE=VALUE"),
        ("french=A dog.", "one of the sources photo, english before the =, got 'french'"),
    ],
)
def test_an_input_that_nobody_takes_is_a_mistake(given, sentence):
    readers = {"photo": ("image", ".jpg")}
    if given != "nowhere.jpg":
        readers["english"] = ("text", ".txt")
    with pytest.raises(UserError, match=sentence):
        list(parser(**readers).parse([given], []))


def test_a_split_without_references_is_refused_before_training():
    class Unpublished:
        def splits(self):
            return ("test",)

        def examples(self, split, on_bad_row=None):
            return [Example(name, {"source": "a", "target": None}) for name in "ab"]

    splits = Splits(Unpublished(), RecipeSettings.model_validate(tiny_runs.RECIPE))
    with pytest.raises(
        UserError, match=r"expected references in the split 'test' .*'target'; name"
    ):
        check_splits(splits, ["test"], None)
