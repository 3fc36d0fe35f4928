"""The corpus: paths beside the table, ids, bad rows."""

from __future__ import annotations

import json

import pytest

from multiattn import UserError
from multiattn.corpora import BadRowError
from multiattn_sensors.corpus import SeriesFolder


def write(folder, *rows):
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return SeriesFolder(folder)


def test_paths_are_relative_to_the_folder_and_ids_are_optional(tmp_path):
    (tmp_path / "a.npy").touch()
    rows = [{"series": "a.npy", "text": "one", "id": "first"}, {"series": "a.npy", "text": "two"}]
    corpus = write(tmp_path, *rows)
    assert corpus.splits() == ("train",)
    first, second = corpus.examples("train")
    assert first.fields == {"series": str(tmp_path / "a.npy"), "text": "one"}
    assert (first.id, second.id) == ("first", "train-2")
    assert second.meta == {"file": "train.jsonl", "line": "2"}


def test_a_row_without_its_series_is_named_or_skipped(tmp_path):
    (tmp_path / "a.npy").touch()
    rows = [{"series": "gone.npy", "text": "one"}, {"series": "a.npy", "text": "two"}]
    corpus = write(tmp_path, *rows)
    with pytest.raises(BadRowError, match=r"gone\.npy, which .*train\.jsonl, line 1 names"):
        corpus.examples("train")
    skipped = []
    (example,) = corpus.examples("train", skipped.append)
    assert example.fields["text"] == "two"
    assert len(skipped) == 1


def test_a_split_that_does_not_exist_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"test\.jsonl"):
        SeriesFolder(tmp_path).examples("test")
