"""Masked Multi30k: what is masked, which photograph a line gets, which words are found again."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from multiattn import scoring
from multiattn.errors import UserError
from multiattn.plugins import load_host
from multiattn_text.corpora import Multi30k
from multiattn_text.masked_words import (
    LISTED,
    MASK,
    WORDS,
    MaskedMulti30k,
    MaskedRecall,
    Words,
    shuffled,
)

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
        for place, name in enumerate(("tok/{}.en.gz", "tok/{}.de.gz", "{}.image.gz")):
            column = "".join(f"{line[place]}\n" for line in lines)
            (folder / name.format(split)).write_bytes(gzip.compress(column.encode()))
    return MaskedMulti30k(folder)


def images(corpus: MaskedMulti30k, split: str) -> dict[str, str]:
    return {row.id: Path(str(row.fields["image"])).name for row in corpus.examples(split)}


def test_nouns_and_colours_give_way_to_one_sign_each():
    masked = LISTED.masked("a young man in a red t-shirt throws balls to dogs .")
    assert masked == "a young ___ in a ___ ___ throws ___ to ___ ."


def test_a_hyphenated_word_is_masked_whole_and_a_longer_one_is_not():
    masked = LISTED.masked("a blond-haired , middle-aged salesman in a doghouse .")
    assert masked == "a ___ , middle-aged salesman in a doghouse ."


def test_the_whole_english_stays_beside_the_masked(corpus):
    (example,) = corpus.examples("test_2016_flickr-pictured")[:1]
    fields = {name: value for name, value in example.fields.items() if name != "image"}
    assert fields == {"en": "a red hat .", "masked": "a ___ ___ .", "de": "ein roter hut ."}


def test_the_splits_that_are_compared_hold_the_same_pictured_lines(corpus):
    assert set(corpus.compared) <= set(corpus.splits())
    for split in corpus.compared:
        assert [row.id for row in corpus.examples(split)] == PICTURED
    assert images(corpus, "pictured") == dict(zip(PICTURED, ["1.jpg", "2.jpg", "3.jpg"], strict=1))
    assert images(corpus, "pictured-blind") == dict.fromkeys(PICTURED, "None")


def test_every_shuffled_line_has_another_lines_photograph(corpus):
    own, others = images(corpus, "pictured"), images(corpus, "pictured-shuffled")
    assert Counter(own.values()) == Counter(others.values())
    assert all(own[line] != others[line] for line in PICTURED)


def test_shuffling_goes_on_until_no_file_comes_back(corpus):
    first, second, third = corpus.examples("pictured")
    rows = [first, second, first, third]  # half the list further on, the first meets itself
    assert [row.fields["image"] for row in shuffled(rows)] == [
        row.fields["image"] for row in (third, first, second, first)
    ]
    with pytest.raises(UserError, match=r"got 1 for 2 lines; complete"):
        shuffled([first, first])


def test_pictured_lines_of_a_split_can_be_had_alone(corpus):
    assert [row.id for row in corpus.examples("val-pictured")] == ["val-1"]
    assert [row.id for row in corpus.examples("train-pictured")] == ["train-1"]
    assert len(corpus.examples("train")) == 2
    with pytest.raises(UserError, match=r"expected nowhere\.en"):
        corpus.examples("nowhere-pictured")


def test_a_bad_line_is_left_out_of_what_is_compared(tmp_path, corpus):
    file = tmp_path / "multi30k" / "tok" / "val.en.gz"
    file.write_bytes(gzip.compress(b"\na bus .\n"))
    told: list[str] = []
    assert [row.id for row in corpus.examples("pictured", told.append)] == PICTURED[1:]
    assert len(told) == 1
    with pytest.raises(UserError, match=r"val\.en\.gz, line 1"):
        corpus.examples("pictured-blind")


def recall(hypothesis: str, *references: str) -> list[float]:
    return MaskedRecall().statistics([hypothesis], [references])[0].tolist()


def test_recall_counts_listed_words_of_the_reference_that_were_written():
    assert recall("ein mann steht .", "ein mann mit hund steht .") == [1, 2]
    assert recall("eine katze läuft .", "ein mann mit hund steht .") == [0, 2]
    assert recall("", "sie lachen .") == [0, 0]


def test_a_thing_is_found_in_any_form_and_as_often_as_it_was_written():
    assert recall("drei herren mit rotem hut", "ein mann mit einer roten mütze") == [3, 3]
    assert recall("ein hund und ein hund", "ein hund") == [1, 1]
    assert recall("ein hund", "ein hund und ein schwarzer hund") == [1, 3]


def test_capitals_make_no_difference_and_parts_of_words_are_no_words():
    assert recall("Ein HUND bellt", "ein hund bellt") == [1, 1]
    assert recall("ein hundehalsband", "ein hund") == [0, 1]


def test_of_several_references_the_best_found_counts():
    assert recall("ein hund", "eine katze und ein hund", "ein hund", "ein vogel") == [1, 1]


def test_recall_is_found_over_counted_and_may_be_compared():
    host = load_host()
    metric, record = MaskedRecall(), host.find("metric", "masked-recall").record
    references = [["ein hund"], ["ein roter ball"], ["eine frau"]] * 40
    right = [text for (text,) in references]
    blind = ["ein hund", "ein ball", "ein mann"] * 40
    scores = scoring.score(record, metric, blind, references, resamples=50)
    assert scores["masked-recall"].value == pytest.approx(2 / 4)
    assert "words:multi30k-1|match:thing" in scores["masked-recall"].signature
    found = scoring.compare(record, metric, blind, right, references, resamples=50, trials=200)
    assert found.difference == pytest.approx(0.5)
    assert found.low > 0
    assert found.p_value < 0.05


def test_nothing_to_find_is_a_recall_of_nought():
    metric = MaskedRecall()
    assert metric.aggregate(metric.statistics(["a"], [["b"]]).sum(0), 1) == {"masked-recall": 0.0}


def test_a_german_word_names_one_thing():
    with pytest.raises(ValueError, match="rotes stands in two lines"):
        Words.read("red = rot~\npink = rotes")
    english = [word for line in WORDS.split("\n") for word in line.partition("=")[0].split()]
    assert len(english) == len(set(english)) == len(LISTED.english)


def test_every_listed_word_is_one_of_the_training_side(real_corpus):
    train = Multi30k(real_corpus("multi30k"), variant="tok").examples("train")
    english, german = (
        {token for row in train for token in str(row.fields[name]).split()} for name in ("en", "de")
    )
    assert LISTED.english <= english
    listed = {word for line in WORDS.split("\n") for word in line.partition("=")[2].split()}
    assert {word for word in listed if not word.endswith("~")} <= german
    stems = {word.removesuffix("~") for word in listed if word.endswith("~")}
    assert all(any(word.startswith(stem) for word in german) for stem in stems)


def test_german_words_that_count_nearly_all_had_their_english_masked(real_corpus):
    train = MaskedMulti30k(real_corpus("multi30k")).examples("train")
    masked = sum(str(row.fields["masked"]).split().count(MASK) for row in train)
    counted, hidden = 0, 0
    for row in train:
        things = LISTED.things(str(row.fields["de"])).total()
        counted += things
        hidden += min(things, str(row.fields["masked"]).split().count(MASK))
    assert hidden / counted > 0.97
    assert 2 < masked / len(train) < 4


def test_real_splits_have_the_lines_with_a_photograph(real_corpus):
    corpus = MaskedMulti30k(real_corpus("multi30k"))
    assert {len(corpus.examples(split)) for split in corpus.compared} == {427}
    own, others = images(corpus, "pictured"), images(corpus, "pictured-shuffled")
    assert len(set(own.values())) == 427
    assert all(own[line] != others[line] for line in own)
