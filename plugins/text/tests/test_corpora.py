"""Text corpora: fields and ids of the examples, and errors that name file and line."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from multiattn import UserError
from multiattn_text.corpora import Aeslc, Multi30k, Parallel, Table


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files, ``__`` for a dot: ``train__en='one\\n'``; those named .gz are compressed."""
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        path = folder / name.replace("__", ".")
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return folder


def jsonl(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def fields_of(examples) -> list[dict[str, object]]:
    return [dict(example.fields) for example in examples]


def test_files_are_aligned_by_line(tmp_path):
    corpus = Parallel(write(tmp_path, train__en="one\ntwo\n", train__de__gz="eins\nzwei"))
    first, second = corpus.examples("train")
    assert first.fields == {"de": "eins", "en": "one"}
    assert second.fields == {"de": "zwei", "en": "two"}
    assert [first.id, second.id] == ["train-1", "train-2"]
    assert second.meta["line"] == "2"


def test_file_names_are_free_and_there_may_be_more_than_two(tmp_path):
    write(tmp_path, a_dev__txt="a\n", b_dev__txt="b\n", c_dev__txt="c\n", b_test__txt="t\n")
    names = {name: f"{name}_{{split}}.txt" for name in "abc"}
    corpus = Parallel(tmp_path, fields=names)
    assert corpus.splits() == ("dev",)
    assert fields_of(corpus.examples("dev")) == [{"a": "a", "b": "b", "c": "c"}]


def test_files_may_be_in_folders_by_language_or_split(tmp_path):
    for name in ("en", "de", "val"):
        (tmp_path / name).mkdir()
    write(tmp_path / "en", val__gz="a\n", test="t\n")
    write(tmp_path / "de", val="b\n")
    write(tmp_path / "val", val__fr="c\n")
    names = {"en": "en/{split}.gz", "de": "de/{split}", "fr": "{split}/{split}.fr"}
    corpus = Parallel(tmp_path, fields=names)
    assert corpus.splits() == ("val",)
    assert fields_of(corpus.examples("val")) == [{"en": "a", "de": "b", "fr": "c"}]


def test_a_split_of_aligned_files_has_every_field(tmp_path):
    write(tmp_path, train__en="a\n", train__de="b\n", val__en="a\n", val__de__gz="b\n", x__en="a\n")
    write(tmp_path, train__en__bak="junk", notes="junk", LICENSE="junk")
    assert Parallel(tmp_path).splits() == ("train", "val")
    assert fields_of(Parallel(tmp_path).examples("train")) == [{"de": "b", "en": "a"}]


def test_only_a_line_feed_ends_a_line(tmp_path):
    odd = "a\u2028b\x0cc\x85d"
    write(tmp_path, train__en=f"\ufeff{odd}\r\ntwo\r\n", train__de="eins\nzwei\n")
    assert [row["en"] for row in fields_of(Parallel(tmp_path).examples("train"))] == [odd, "two"]


def test_the_error_for_unequal_files_gives_both_line_counts(tmp_path):
    write(tmp_path, train__en="one\ntwo\n", train__de="eins\nzwei\ndrei\n")
    with pytest.raises(UserError, match=r"got 3 in .*train\.de, 2 in .*train\.en; "):
        Parallel(tmp_path).examples("train")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"one\n\nthree\n", r"train\.en, line 2, got an empty one; "),
        (b"one\n \t\nthree\n", r"train\.en, line 2, got an empty one; "),
        (b"one\ntw\xf6\nthree\n", r"UTF-8 in .*train\.en, line 2, got the byte 0xf6 at column 3; "),
    ],
)
def test_a_bad_line_raises_or_is_skipped_and_reported(tmp_path, bad, message):
    write(tmp_path, train__en=bad, train__de="eins\nzwei\ndrei\n")
    with pytest.raises(UserError, match=message):
        Parallel(tmp_path).examples("train")
    errors: list[str] = []
    kept = Parallel(tmp_path).examples("train", errors.append)
    assert [example.id for example in kept] == ["train-1", "train-3"]
    assert fields_of(kept)[1] == {"de": "drei", "en": "three"}
    with pytest.raises(UserError, match=message):
        raise UserError(*errors)


def test_the_error_for_a_missing_file_gives_the_expected_names(tmp_path):
    write(tmp_path, train__en="one\n", train__de="eins\n")
    expected = r"expected dev\.en or dev\.en\.gz in .*, got no such file; check --data"
    with pytest.raises(UserError, match=expected):
        Parallel(tmp_path, fields={"en": "{split}.en"}).examples("dev")
    with pytest.raises(UserError, match="got no such file"):
        Parallel(tmp_path).examples("dev")
    with pytest.raises(UserError, match="got no such file"):
        Table(tmp_path / "nowhere", fields={"text": "text"}).examples("train")
    assert Parallel(tmp_path / "nowhere").splits() == ()


def test_the_error_for_an_empty_file_names_it(tmp_path):
    write(tmp_path, train__en="", train__de="")
    with pytest.raises(UserError, match=r"train\.de, got an empty file"):
        Parallel(tmp_path).examples("train")


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"no gzip at all\n"])
def test_the_error_for_a_damaged_gzip_file_names_it(tmp_path, damage):
    write(tmp_path, train__en="one\n", train__de__gz="eins\n")
    path = tmp_path / "train.de.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"complete gzip file at .*train\.de\.gz, got "):
        Parallel(tmp_path).examples("train")


def test_a_file_pattern_without_a_split_is_rejected(tmp_path):
    with pytest.raises(UserError, match=r"field 'en', got 'train\.en'; write for example"):
        Parallel(tmp_path, fields={"en": "train.en"})


def test_a_file_pattern_outside_the_folder_is_rejected(tmp_path):
    with pytest.raises(UserError, match=f"expected files below {tmp_path}, got '/else/"):
        Parallel(tmp_path, fields={"en": "/else/{split}.en", "de": "{split}.de"}).splits()


def test_multi30k_aligns_languages_and_images(tmp_path):
    folder = tmp_path / "multi30k"
    (folder / "tok").mkdir(parents=True)
    write(folder, val__en__gz="A dog.\nA cat.\n", val__de__gz="Ein Hund.\nEine Katze.\n")
    write(folder, val__image__gz="images/7.jpg\n\n")
    write(
        folder / "tok", val__en__gz="a dog .\na cat .\n", val__de__gz="ein hund .\neine katze .\n"
    )
    raw, tokenised = Multi30k(folder), Multi30k(folder, variant="tok", photographs="photos")
    assert raw.splits() == tokenised.splits() == ("val",)
    assert fields_of(raw.examples("val")) == [
        {"en": "A dog.", "de": "Ein Hund.", "image": str(tmp_path / "flickr8k/images/7.jpg")},
        {"en": "A cat.", "de": "Eine Katze.", "image": None},
    ]
    first = tokenised.examples("val")[0].fields
    assert first["de"] == "ein hund ."
    assert first["image"] == str(folder / "photos/images/7.jpg")


def test_multi30k_without_image_files_has_no_images(tmp_path):
    write(tmp_path, val__en__gz="A dog.\n", val__de__gz="Ein Hund.\n")
    assert Multi30k(tmp_path).examples("val")[0].fields["image"] is None


def test_a_bad_line_of_multi30k_is_skipped_in_every_field(tmp_path):
    write(tmp_path, val__en__gz="a\n\nc\n", val__de__gz="x\ny\nz\n", val__image__gz="\n\nc.jpg\n")
    errors: list[str] = []
    rows = fields_of(Multi30k(tmp_path).examples("val", errors.append))
    assert [(row["en"], row["de"], Path(str(row["image"])).name) for row in rows] == [
        ("a", "x", "None"),
        ("c", "z", "c.jpg"),
    ]
    assert len(errors) == 1


@pytest.mark.parametrize("variant", ["raw", "tok"])
def test_real_multi30k_has_its_published_number_of_rows(real_corpus, variant):
    corpus = Multi30k(real_corpus("multi30k"), variant=variant)
    counts = {"train": (29_000, 6_122), "val": (1_014, 214), "test_2016_flickr": (1_000, 213)}
    assert corpus.splits() == tuple(sorted(counts))
    for split, (rows, photographs) in counts.items():
        examples = corpus.examples(split)
        images = [example.fields["image"] for example in examples if example.fields["image"]]
        assert (len(examples), len(images)) == (rows, photographs)
        assert Path(str(images[0])).is_file() or not real_corpus("flickr8k").is_dir()


def test_a_json_table_has_texts_lists_and_missing_values(tmp_path):
    rows = [
        {"name": "x", "body": "Zwei\nZeilen", "titles": ["a", "b"], "score": 3},
        {"name": "y", "body": "mehr", "titles": [], "score": 4},
        {"name": "z", "body": "ohne", "titles": None, "score": 5},
    ]
    write(tmp_path, train__jsonl__gz=jsonl(*rows), other__tsv="body\n")
    corpus = Table(tmp_path, fields={"source": "body", "title": "titles"}, id="name")
    examples = corpus.examples("train")
    assert corpus.splits() == ("other", "train")
    assert [example.id for example in examples] == ["x", "y", "z"]
    assert [example.fields["title"] for example in examples] == [("a", "b"), (), None]
    assert examples[0].fields["source"] == "Zwei\nZeilen"


def test_a_tsv_table_has_a_header_and_no_quoting(tmp_path):
    write(tmp_path, train__tsv='id\ten\tde\r\n1\tsay "a"\tsag "a"\r\n2\tb\tc\r\n')
    corpus = Table(tmp_path, fields={"english": "en", "german": "de"})
    examples = corpus.examples("train")
    assert fields_of(examples) == [
        {"english": 'say "a"', "german": 'sag "a"'},
        {"english": "b", "german": "c"},
    ]
    assert [example.id for example in examples] == ["train-2", "train-3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', "JSON object in .*line 2, got: "),
        ('["a"]', r"JSON object in .*line 2, got '\[\"a\"\]'"),
        ("", "a row in .*line 2, got an empty one"),
        ('{"txt": "a"}', "column 'text' in .*line 2, got txt; "),
        ('{"text": ""}', "'text' in .*line 2, got an empty one"),
        ('{"text": 3}', "'text' in .*line 2, got 3; "),
        ('{"text": ["a", null]}', "'text' in .*line 2, got null; "),
        ('{"text": "half \\ud83d"}', r"'text' in .*line 2, got .*ud83d"),
    ],
)
def test_a_bad_row_of_a_table_raises_or_is_skipped_and_reported(tmp_path, line, message):
    write(tmp_path, train__jsonl=f'{{"text": "one"}}\n{line}\n{{"text": "three"}}\n')
    corpus = Table(tmp_path, fields={"text": "text"})
    with pytest.raises(UserError, match=message):
        corpus.examples("train")
    errors: list[str] = []
    assert [row["text"] for row in fields_of(corpus.examples("train", errors.append))] == [
        "one",
        "three",
    ]
    assert len(errors) == 1


def test_a_row_of_a_tsv_table_must_be_complete(tmp_path):
    write(tmp_path, train__tsv="a\tb\n1\t2\n3\n4\t\n5\t6\n")
    corpus = Table(tmp_path, fields={"a": "a", "b": "b"})
    with pytest.raises(UserError, match=r"expected 2 cells in .*train\.tsv, line 3.*got 1"):
        corpus.examples("train")
    errors: list[str] = []
    assert [row["a"] for row in fields_of(corpus.examples("train", errors.append))] == ["1", "5"]
    assert len(errors) == 2


def test_a_duplicate_column_name_is_rejected(tmp_path):
    write(tmp_path, train__tsv="a\ta\n1\t2\n")
    with pytest.raises(UserError, match=r"train\.tsv, line 1, got a, a; "):
        Table(tmp_path, fields={"a": "a"}).examples("train")


def test_an_id_column_may_hold_texts_or_numbers_but_no_gaps(tmp_path):
    write(tmp_path, train__jsonl=jsonl({"n": 7, "t": "a"}, {"n": "x", "t": "a"}, {"n": None}))
    errors: list[str] = []
    corpus = Table(tmp_path, fields={"text": "t"}, id="n")
    assert [example.id for example in corpus.examples("train", errors.append)] == ["7", "x"]
    assert len(errors) == 1


def test_aeslc_has_three_more_subjects_in_evaluation_splits(tmp_path):
    mail = {"id": "m", "source": "Dear all, ...", "subject": "Lunch"}
    write(tmp_path, train__jsonl=jsonl({**mail, "annotations": []}))
    write(tmp_path, dev__jsonl=jsonl({**mail, "annotations": ["lunch", "food", "meet"]}))
    corpus = Aeslc(tmp_path)
    assert corpus.splits() == ("dev", "train")
    (train,), (dev,) = corpus.examples("train"), corpus.examples("dev")
    assert train.id == "m"
    assert train.fields == {"source": "Dear all, ...", "subject": "Lunch", "annotations": ()}
    assert dev.fields["annotations"] == ("lunch", "food", "meet")


def test_real_aeslc_has_its_published_number_of_rows(real_corpus):
    corpus = Aeslc(real_corpus("aeslc"))
    assert len(corpus.examples("train")) == 14_436
    dev = corpus.examples("dev")
    assert len(dev) == 1_960
    assert {len(example.fields["annotations"] or ()) for example in dev} == {3}
    assert len({example.id for example in dev}) == len(dev)


def test_reading_a_corpus_imports_no_torch():
    script = "import sys, multiattn_text.corpora; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
