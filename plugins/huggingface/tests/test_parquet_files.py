"""Parquet files that are read otherwise than their names say, and columns of any type."""

import io
import re
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pyarrow
import pytest
from datasets import ClassLabel, Features, Image, List, Value
from pyarrow import parquet

from multiattn import UserError
from multiattn_huggingface.corpus.hf_dataset import HuggingFaceDataset

MOOD = ClassLabel(names=["glad", "sad"])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def png():
    content = io.BytesIO()
    PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


def write(folder, name, columns, features=None):
    file = folder / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = Features(features).arrow_schema if features else None
    parquet.write_table(pyarrow.Table.from_pydict(columns, schema=schema), file)


def read(folder, **settings):
    return HuggingFaceDataset(folder, **{"fields": {"text": "t"}, **settings}).examples("train")


def refusal(capfd, folder, **settings):
    """The sentence that refuses a dataset; the library itself prints nothing."""
    with pytest.raises(UserError) as raised:
        read(folder, **settings)
    assert capfd.readouterr().err == ""
    return str(raised.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-00001-of-00002"], "expected 2 files of train in .*; fetch train-00000-of-00002"),
        (["train-00001-of-00003"], "got 1 of them; fetch train-00000-of-00003.parquet and 1 more"),
        (["train", "dev", "valid"], "the split 'validation' in .*, got dev.parquet and valid.par"),
        (["train/a", "test/a", "eval/a"], "got eval/a.parquet and test/a.parquet"),
        (["train", "more"], "got more.parquet beside train; name it as theirs"),
    ],
)
def test_files_that_would_be_joined_or_left_out_are_named(tmp_path, capfd, names, said):
    for name in names:
        write(tmp_path / "mine", name, {"t": ["a"]})
    assert re.search(said, refusal(capfd, tmp_path / "mine"))


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002", "train-00001-of-00002", "dev"],
        ["data/train/1", "data/train/2", "data/valid/1"],
        ["train-1", "train-2", "validation-1", "validation-2"],
    ],
)
def test_all_files_of_a_split_are_read(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(names):
        write(tmp_path / "mine", name, {"t": [str(number)]})
    (tmp_path / "mine" / "._train.parquet").write_bytes(b"of a Mac")
    (tmp_path / "mine" / "test.log").write_text("no parquet file")
    texts = {each.fields["text"] for each in read(Path("mine"))}
    assert texts == {str(number) for number, name in enumerate(names) if "train" in name}


def test_files_with_other_columns_are_named(tmp_path, capfd):
    write(tmp_path, "train-1", {"t": ["a"]})
    write(tmp_path, "train-2", {"t": ["a"], "u": ["a"]})
    assert "got t in train-1.parquet and t, u in train-2.parquet" in refusal(capfd, tmp_path)


def test_a_file_without_rows_is_named(tmp_path, capfd):
    write(tmp_path, "train", {"t": ["a"]})
    write(tmp_path, "test", {"t": []}, {"t": Value("string")})
    assert re.search(r"expected rows in .*/test.parquet, got none", refusal(capfd, tmp_path))


def test_files_with_columns_of_other_types_are_refused_with_the_reason(tmp_path, capfd):
    write(tmp_path, "train-1", {"t": [1]})
    write(tmp_path, "train-2", {"t": ["no number"]})
    assert re.search(r"cannot be read \(.*no number.*int64", refusal(capfd, tmp_path))


def test_a_saved_split_without_rows_is_refused(tmp_path, capfd):
    empty = datasets.Dataset.from_dict({"t": ["a"]}).select([])
    datasets.DatasetDict({"train": empty}).save_to_disk(tmp_path / "mine")
    capfd.readouterr()
    assert "expected rows in " in refusal(capfd, tmp_path / "mine")


def test_labels_that_are_not_known_are_left_out_of_a_list(tmp_path):
    labels = [[0, -1], [None, 1], [-1], None]
    write(tmp_path, "train", {"m": labels}, {"m": List(MOOD)})
    examples = read(tmp_path, fields={"mood": "m"})
    assert [each.fields["mood"] for each in examples] == [("glad",), ("sad",), None, None]


def test_a_label_without_a_name_is_a_bad_row(tmp_path, capfd):
    write(tmp_path, "train", {"m": [1, 7]}, {"m": MOOD})
    assert "'m' in row 1 of train, got 7" in refusal(capfd, tmp_path, fields={"mood": "m"})


def test_parts_of_structs_become_fields_images_too(tmp_path):
    features = {"page": {"photo": Image(), "deep": {"title": Value("string")}}}
    pages = [{"photo": {"bytes": png(), "path": None}, "deep": {"title": "x"}}, None]
    write(tmp_path, "train", {"page": pages}, features)
    made = read(tmp_path, fields={"photo": "page.photo", "text": "page.deep.title"})
    assert made[0].fields["photo"].load() == png()
    assert [each.fields["text"] for each in made] == ["x", None]
    assert made[1].fields["photo"] is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fields": {}}, "expected in corpus.fields a column for each field, got none"),
        ({"fields": {"a": ()}}, "expected in corpus.fields a column for each field, got none"),
        ({"fields": {"a": "nothing"}}, "'nothing' of the dataset, got an empty struct; name"),
        ({"fields": {"a": "photos"}}, "'photos' of the dataset, got lists of Image; name"),
        ({"fields": {"a": "nested"}}, "'nested' of the dataset, got lists of lists of string"),
        ({"id": "photo"}, "'photo' of the dataset, got Image; name another as corpus.id"),
        ({"id": "size"}, "'size' of the dataset, got float64; name another as corpus.id"),
        ({"id": "nothing"}, "'nothing' of the dataset, got an empty struct; name another as corp"),
        ({"group": "when"}, r"'when' of the dataset, got timestamp\[s\]; name another as corpus.g"),
        (
            {"config": "de"},
            "expected corpus.config and .* only with a dataset of the hub, got 'de'",
        ),
        (
            {"revision": "v1"},
            "expected .* corpus.revision only with a dataset of the hub, got 'v1'",
        ),
    ],
)
def test_columns_and_settings_of_no_use_are_refused(tmp_path, capfd, settings, said):
    features = {
        "t": Value("string"),
        "nothing": {},
        "photo": Image(),
        "photos": List(Image()),
        "nested": List(List(Value("string"))),
        "size": Value("float64"),
        "when": Value("timestamp[s]"),
    }
    photo = {"bytes": png(), "path": None}
    rows = {"t": "a", "photo": photo, "photos": [photo], "nested": [["a"]], "size": 1.0, "when": 1}
    table = pyarrow.Table.from_pydict(
        {name: [value] for name, value in {**rows, "nothing": {}}.items()},
        schema=Features(features).arrow_schema,
    )
    datasets.DatasetDict({"train": datasets.Dataset(table)}).save_to_disk(tmp_path / "mine")
    capfd.readouterr()
    assert re.search(said, refusal(capfd, tmp_path / "mine", **settings))
