"""Splits that a corpus lacks, cut off its training split."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
import tiny_runs
from rich.console import Console

from multiattn.data.corpus import Example
from multiattn.data.splits import Names, Splits
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings, SplitNames
from multiattn.runs.dry_run import dry_run
from multiattn.runs.overlap import shared_with_training
from multiattn.runs.run import train_and_evaluate
from multiattn.runs.train import draw_nothing


class Corpus:
    """A corpus in memory: its one split is called ``train``, or ``all``."""

    def __init__(self, examples, name="train") -> None:
        self.listed = examples
        self.name = name

    def splits(self):
        return (self.name,)

    def examples(self, split, on_bad_row=None):
        if split != self.name:
            raise UserError(f"expected {self.name}, got {split}; write it")
        return self.listed


class Speakers(Corpus):
    group = "speaker"


def numbered(count: int, speakers: int = 0) -> list[Example]:
    return [
        Example(
            f"row-{n}",
            {"text": f"text {n}"},
            {"speaker": f"s{n * n % speakers}"} if speakers else {},
        )
        for n in range(count)
    ]


def cut(corpus, **splits) -> Splits:
    settings = RecipeSettings.model_validate(
        {
            "corpus": {"name": "memory"},
            "splits": splits,
            "target": {"field": "text"},
            "decoder": {"name": "lstm"},
        }
    )
    return Splits(corpus, settings)


def ids(splits: Splits, split: str) -> list[str]:
    return [example.id for example in splits.examples(split)]


def test_a_share_is_cut_off_by_the_hash_of_the_ids_and_the_rest_is_trained_on():
    splits = cut(Corpus(numbered(200)), validation="5%", test="10%")
    order = sorted(
        (f"row-{n}" for n in range(200)), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
    )
    assert set(ids(splits, "test")) == {*order[:20]}
    assert set(ids(splits, "validation")) == {*order[-10:]}
    assert set(ids(splits, "train")) == {*order[20:-10]}
    assert ids(splits, "train") == sorted(ids(splits, "train"), key=lambda name: int(name[4:]))
    assert splits.cut_sizes() == "train is cut by id: 170 train, 10 validation, 20 test"


def test_the_cut_is_the_same_on_every_machine():
    """As `printf ID | sha256sum` orders them; another cut would train on what was a test."""
    splits = cut(Corpus(numbered(40)), validation="5%", test="5%")
    assert ids(splits, "test") == ["row-23", "row-29"]
    assert ids(splits, "validation") == ["row-9", "row-12"]


def test_neither_the_order_of_the_rows_nor_the_other_cut_changes_a_cut():
    one = cut(Corpus(numbered(100)), validation="5%", test="10%")
    other = cut(Corpus(numbered(100)[::-1]), validation="20%", test="10%")
    assert {*ids(one, "test")} == {*ids(other, "test")}
    assert {*ids(one, "validation")} < {*ids(other, "validation")}


@pytest.mark.parametrize("size", [7, "7%"])
def test_a_number_of_examples_may_be_cut_off_and_another_split_named(size):
    splits = cut(Corpus(numbered(100), "all"), train="all", validation=size, test="all")
    assert splits.names == Names("all", "validation", "all")
    assert len(ids(splits, "validation")) == 7
    assert len(ids(splits, "all")) == 93


def test_no_speaker_is_on_both_sides_of_a_cut():
    splits = cut(Speakers(numbered(300, speakers=31)), validation="15%", test="15%")
    speakers = {
        name: {example.meta["speaker"] for example in splits.examples(name)}
        for name in ("train", "validation", "test")
    }
    counts = Counter(speaker for each in speakers.values() for speaker in each)
    assert {*counts.values()} == {1}
    assert len(counts) == 16  # squares modulo 31
    assert all(25 <= len(ids(splits, name)) <= 65 for name in ("validation", "test"))
    assert splits.cut_sizes().startswith("train is cut by speaker: ")


@pytest.mark.parametrize("group", ["id", None])
def test_examples_are_cut_one_by_one_where_the_recipe_says_so_or_no_speaker_is_known(group):
    examples = numbered(100, speakers=0 if group is None else 2)
    splits = cut(Speakers(examples), validation=10, test=10, group=group)
    alone = cut(Corpus(numbered(100)), validation=10, test=10)
    assert ids(splits, "test") == ids(alone, "test")


def test_files_are_groups_by_their_name_wherever_they_lie():
    def album(folder: Path) -> Corpus:
        fields = [{"text": "a", "image": str(folder / f"{n // 2}.jpg")} for n in range(40)]
        return Corpus([Example(f"row-{n}", each) for n, each in enumerate(fields)])

    here, there = (cut(album(Path(folder)), test="10%", group="image") for folder in ("/a", "/b/c"))
    assert ids(here, "test") == ids(there, "test")
    assert len({example.fields["image"] for example in here.examples("test")}) == 2


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({"validation": "0%"}, "expected a share above 0% and below 100%, such as 5%, got '0%'"),
        ({"test": "150%"}, "expected a share above 0% and below 100%"),
        ({"test": "-5%"}, "expected a share above 0% and below 100%"),
        ({"validation": "60%", "test": "40%"}, "leaves some to train on beside 60%, got '40%'"),
        ({"train": "90%"}, "expected the name of a split"),
        ({"train": "test", "test": "5%"}, "expected no split called 'test'"),
        ({"validation": "5%", "test": "validation"}, "expected no split called 'validation'"),
        ({"test": 0}, "greater than 0"),
        ({"test": True}, "got True"),
    ],
)
def test_nonsense_is_a_sentence_of_the_recipe(tmp_path, splits, sentence):
    with pytest.raises(UserError) as caught:
        tiny_runs.start(tmp_path, splits=splits)
    assert sentence in str(caught.value)
    assert "splits." in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("corpus", "splits", "sentence"),
    [
        (Corpus(numbered(2)), {"validation": "5%", "test": "5%"}, "got 2 with 2 values of id"),
        (Corpus(numbered(20)), {"validation": 12, "test": 12}, "to cut 12 for validation and 12"),
        (Corpus(numbered(20)), {"test": 20}, "got 20 with 20 values of id; cut off less"),
        (Speakers(numbered(90, 2)), {"validation": 5, "test": 5}, "with 2 values of speaker"),
        (Corpus(numbered(9)), {"test": "50%", "group": "poet"}, "got 'poet'; choose from text"),
        (Corpus(numbered(9), "all"), {"test": "50%"}, "a split of the corpus (all), got 'train'"),
    ],
)
def test_a_corpus_that_cannot_be_cut_so_is_refused_in_one_sentence(corpus, splits, sentence):
    with pytest.raises(UserError) as caught:
        cut(corpus, **splits).examples("test")
    assert sentence in str(caught.value)


def test_an_old_recipe_and_one_that_names_its_splits_are_not_cut():
    assert SplitNames().sizes == {}
    assert Names.of(SplitNames(validation="dev", test="dev")) == Names("train", "dev", "dev")
    assert cut(Corpus(numbered(3))).cut_sizes() == ""


def test_a_run_trains_on_the_rest_and_scores_what_was_cut_off(tmp_path):
    overrides = ["splits.validation=10%", "splits.test=4", "training.steps=4"]
    started = tiny_runs.start(tmp_path, overrides)
    whole = len((tmp_path / "pairs" / "train.tsv").read_text().splitlines())
    share = round(whole / 10)
    left = f"train is cut by id: {whole - share - 4} train, {share} validation, 4 test"
    lines = [*dry_run(started, tiny_runs.host(), ("validation", "test"))]
    assert left in lines
    assert f"train: {whole - share - 4} rows" in lines
    result = train_and_evaluate(started, tiny_runs.host(), Console(quiet=True), draw_nothing)
    assert [*result.scores] == ["validation", "test"]
    hypotheses = (started.run.results("test") / "hypotheses.jsonl").read_text().splitlines()
    assert len(hypotheses) == 4
    assert "validation: 10%\n  test: 4" in started.run.recipe.read_text()
    splits = tiny_runs.splits_of(started)
    fields = ("source", "target")
    train = {tuple(each.fields[name] for name in fields) for each in splits.examples("train")}
    test = [tuple(each.fields[name] for name in fields) for each in splits.examples("test")]
    shared = sum(pair in train for pair in test)
    told = [*shared_with_training(splits, "test", [])]
    assert told == ([f"{shared} of 4 examples of test are also in train"] if shared else [])
    other = tiny_runs.start(tmp_path, [*overrides, "splits.test=5"])
    with pytest.raises(UserError, match=r"got other values of splits\.test"):
        train_and_evaluate(other, tiny_runs.host(), Console(quiet=True), draw_nothing)


def test_a_split_that_is_missing_is_refused_with_the_corpus_s_reason():
    with pytest.raises(
        UserError, match=r"\(train\), got 'test' \(expected train, got test\); choose"
    ):
        cut(Corpus([])).require("test")
    unlisted = Corpus([])
    unlisted.splits = tuple
    with pytest.raises(UserError, match=r"^expected train, got test; write it$"):
        cut(unlisted).require("test")
