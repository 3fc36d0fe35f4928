"""What a recipe makes of a corpus's examples, good ones and bad ones."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from multiattn.data.corpus import Example
from multiattn.data.rows import Row
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings

RECIPE = RecipeSettings.model_validate(
    {
        "corpus": {"name": "listed"},
        "decoder": "none",
        "sources": {"word": {"field": "en", "reader": "letters", "encoder": "none"}},
        "target": {"field": "de"},
    }
)
GOOD = [Example("a", {"en": "dog", "de": "hund"}), Example("b", {"en": None, "de": "weg"})]


class Listed:
    """A corpus in memory; ``bad`` is what its reading may complain of."""

    def __init__(self, *listed, bad=()) -> None:
        self.listed = listed
        self.bad = bad
        self.reads = []

    def splits(self):
        return ("train", "test")

    def examples(self, split, on_bad_row=None):
        self.reads.append(split)
        for sentence in self.bad:
            if on_bad_row is None:
                raise UserError(sentence)
            on_bad_row(sentence)
        return self.listed


def splits_of(*listed, bad=(), policy="stop"):
    return Splits(Listed(*listed, bad=bad), RECIPE, policy)


def rows_to_train_on(*listed, bad=()):
    rows, _ = splits_of(*listed, bad=bad).training_rows("train")
    return rows


def test_a_row_has_the_raw_values_of_the_recipe():
    assert rows_to_train_on(*GOOD) == [
        Row("a", {"word": "dog"}, ("hund",)),
        Row("b", {"word": None}, ("weg",)),
    ]


def test_several_targets_are_rows_to_learn_from_and_references_to_score_against():
    several = Example("five", {"en": "x", "de": ("ein hund", "ein weg")})
    assert rows_to_train_on(several, GOOD[0]) == [
        Row("five#0", {"word": "x"}, ("ein hund",), references=("ein hund", "ein weg")),
        Row("five#1", {"word": "x"}, ("ein weg",), references=("ein hund", "ein weg")),
        Row("a", {"word": "dog"}, ("hund",)),
    ]
    assert splits_of(several, GOOD[0]).evaluation_rows("test")[0] == [
        Row("five", {"word": "x"}, ("ein hund", "ein weg")),
        Row("a", {"word": "dog"}, ("hund",)),
    ]


def test_an_example_to_score_may_lack_references():
    unpublished = Example("a", {"en": "dog", "de": None})
    ((row,), _) = splits_of(unpublished).evaluation_rows("test")
    assert row.targets == ()


def test_an_example_that_alone_lacks_references_stops_or_is_skipped():
    unpublished = Example("z", {"en": "dog", "de": None})
    empty = Example("y", {"en": "dog", "de": ()})
    with pytest.raises(UserError, match=r"for all examples of 'test' or for none, .* example 'z'"):
        splits_of(*GOOD, unpublished).evaluation_rows("test")
    splits = splits_of(GOOD[0], unpublished, GOOD[1], empty, policy="skip")
    rows, bad_rows = splits.evaluation_rows("test")
    assert [row.id for row in rows] == ["a", "b"]
    assert [re.search("example '(.)'", each)[1] for each in bad_rows.sentences] == ["z", "y"]


@pytest.mark.parametrize(
    ("example", "bad", "message"),
    [
        (None, ["expected two columns in x.tsv line 3, got one; correct it"], "x.tsv line 3"),
        (Example("z", {"en": "x", "de": None}), [], "field 'de' of example 'z', got none"),
        (Example("z", {"en": ("x", "y"), "de": "ein"}), [], "'word' in the field 'en' of example"),
    ],
)
def test_a_bad_row_stops_or_is_skipped_and_remembered(example, bad, message):
    listed = GOOD if example is None else [*GOOD, example]
    with pytest.raises(UserError, match=message):
        rows_to_train_on(*listed, bad=bad)
    rows, bad_rows = splits_of(*listed, bad=bad, policy="skip").training_rows("train")
    assert rows == rows_to_train_on(*GOOD)
    (sentence,) = bad_rows.sentences
    assert message in sentence


def test_a_field_that_the_corpus_lacks_is_named():
    with pytest.raises(
        UserError, match="a field 'de' in the split 'train' of the corpus, got en, fr"
    ):
        rows_to_train_on(Example("a", {"en": "dog", "fr": "chien"}))


def test_a_second_example_of_one_id_is_a_bad_row():
    again = replace(GOOD[1], meta={"file": "train.tsv", "line": "9"})
    sentence = r"id for every example of 'train', got example 'b' \(train.tsv, line 9\) again"
    with pytest.raises(UserError, match=sentence):
        rows_to_train_on(*GOOD, again)
    rows, bad_rows = splits_of(*GOOD, again, policy="skip").training_rows("train")
    assert rows == rows_to_train_on(*GOOD)
    assert re.search(sentence, bad_rows.sentences[0])


def test_a_split_without_a_usable_example_is_refused_with_the_reason():
    lacking = Example("z", {"en": "x", "de": None})
    for method in ("training_rows", "evaluation_rows"):
        with pytest.raises(UserError, match="expected examples in the split 'test', got none; "):
            getattr(splits_of(), method)("test")
    with pytest.raises(UserError, match=r"got bad rows alone \(.*'z', got none; add"):
        splits_of(lacking, policy="skip").training_rows("train")


def test_rows_are_free_of_torch():
    modules = "multiattn.data.rows, multiattn.data.splits, multiattn.data.batch_plan"
    code = f"import {modules}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_split_is_read_once_however_often_it_is_asked_for():
    corpus = Listed(*GOOD)
    splits = Splits(corpus, RECIPE)
    splits.require("train")
    for _ in range(2):
        assert [row.id for row in splits.training_rows("train")[0]] == ["a", "b"]
        assert [row.id for row in splits.evaluation_rows("test")[0]] == ["a", "b"]
        assert list(splits.values("train", "en")) == ["dog"]
    assert corpus.reads == ["train", "test"]
