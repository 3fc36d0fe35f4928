"""Masked Multi30k: its fields, its splits, and which photograph each line gets."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from multiattn import UserError
from multiattn_text.masked_multi30k import MaskedMulti30k, shuffle_images

LINES = {
    "train": [("a cat .", "eine katze .", "images/9.jpg"), ("a dog .", "ein hund .", "")],
    "val": [("a man .", "ein mann .", "images/1.jpg"), ("a bus .", "ein bus .", "")],
    "test_2016_flickr": [
        ("a red hat .", "ein roter hut .", "images/2.jpg"),
        ("a blue car .", "ein blaues auto .", "images/3.jpg"),
    ],
}
PICTURED = ["val-1", "test_2016_flickr-1", "test_2016_flickr-2"]


@pytest.fixture
def corpus(tmp_path) -> MaskedMulti30k:
    folder = tmp_path / "multi30k"
    (folder / "tok").mkdir(parents=True)
    for split, lines in LINES.items():
        for index, name in enumerate(("tok/{}.en.gz", "tok/{}.de.gz", "{}.image.gz")):
            column = "".join(f"{line[index]}\n" for line in lines)
            (folder / name.format(split)).write_bytes(gzip.compress(column.encode()))
    return MaskedMulti30k(folder)


def image_names(corpus: MaskedMulti30k, split: str) -> dict[str, str]:
    return {row.id: Path(str(row.fields["image"])).name for row in corpus.examples(split)}


def test_the_unmasked_english_is_kept_beside_the_masked(corpus):
    (example,) = corpus.examples("test_2016_flickr-pictured")[:1]
    fields = {name: value for name, value in example.fields.items() if name != "image"}
    assert fields == {"en": "a red hat .", "masked": "a ___ ___ .", "de": "ein roter hut ."}


def test_the_splits_to_compare_hold_the_same_pictured_lines(corpus):
    assert set(corpus.comparison_splits) <= set(corpus.splits())
    for split in corpus.comparison_splits:
        assert [row.id for row in corpus.examples(split)] == PICTURED
    assert image_names(corpus, "pictured") == dict(
        zip(PICTURED, ["1.jpg", "2.jpg", "3.jpg"], strict=1)
    )
    assert image_names(corpus, "pictured-blind") == dict.fromkeys(PICTURED, "None")


def test_every_shuffled_line_has_another_lines_photograph(corpus):
    own, shuffled = image_names(corpus, "pictured"), image_names(corpus, "pictured-shuffled")
    assert Counter(own.values()) == Counter(shuffled.values())
    assert all(own[line] != shuffled[line] for line in PICTURED)


def test_no_example_keeps_its_image_when_images_are_shuffled(corpus):
    first, second, third = corpus.examples("pictured")
    rows = [first, second, first, third]  # rotated by half, the first gets its own
    assert [row.fields["image"] for row in shuffle_images(rows)] == [
        row.fields["image"] for row in (third, first, second, first)
    ]
    with pytest.raises(UserError, match=r"got 1 for 2 lines; complete"):
        shuffle_images([first, first])


def test_the_pictured_lines_of_one_split_are_a_split(corpus):
    assert [row.id for row in corpus.examples("val-pictured")] == ["val-1"]
    assert [row.id for row in corpus.examples("train-pictured")] == ["train-1"]
    assert len(corpus.examples("train")) == 2
    with pytest.raises(UserError, match=r"expected nowhere\.en"):
        corpus.examples("nowhere-pictured")


def test_a_bad_line_is_left_out_of_the_splits_to_compare(tmp_path, corpus):
    file = tmp_path / "multi30k" / "tok" / "val.en.gz"
    file.write_bytes(gzip.compress(b"\na bus .\n"))
    errors: list[str] = []
    assert [row.id for row in corpus.examples("pictured", errors.append)] == PICTURED[1:]
    assert len(errors) == 1
    with pytest.raises(UserError, match=r"val\.en\.gz, line 1"):
        corpus.examples("pictured-blind")


def test_the_real_splits_to_compare_have_427_lines(real_corpus):
    corpus = MaskedMulti30k(real_corpus("multi30k"))
    assert {len(corpus.examples(split)) for split in corpus.comparison_splits} == {427}
    own, shuffled = image_names(corpus, "pictured"), image_names(corpus, "pictured-shuffled")
    assert len(set(own.values())) == 427
    assert all(own[line] != shuffled[line] for line in own)
