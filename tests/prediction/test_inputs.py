"""What a command line says: files of a source that no text can be, and lines of texts."""

import csv
import gzip
import io
import json
import re
from dataclasses import replace

import pytest

from multiattn.errors import UserError
from multiattn.prediction.inputs import InputParser, is_blank
from multiattn.registry import records


@pytest.fixture
def speech() -> InputParser:
    reader = records.Reader(
        name="audio", target="a:B", summary="s", produces="audio", suffixes=(".wav", ".flac")
    )
    return InputParser({"speech": reader})


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "my take=2.wav", "notes.txt", ".b.wav"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_recording_may_be_called_anything(speech, folder):
    for name in ("b.wav", "my take=2.wav", "notes.txt"):
        path = str(folder / name)
        assert list(speech.parse([path, f"speech={path}"], [])) == [{"speech": path}] * 2


def test_a_table_s_suffix_is_the_reader_s_own_where_the_reader_declares_it(speech, tmp_path):
    record = replace(speech.readers["speech"], suffixes=(".csv", ".npy"))
    series, table = tmp_path / "one.CSV", tmp_path / "many.tsv"
    series.write_text("speech\n1.5\n")
    table.write_text(f"speech\n{series}\n")
    alone = InputParser({"speech": record})
    for given in (str(series), f"speech={series}", str(table)):
        assert list(alone.parse([given], [])) == [{"speech": str(series)}]
    beside = InputParser({"speech": record, "text": replace(record, produces="text")})
    series.write_text(f"speech,text\n{table},a\n")
    assert list(beside.parse([str(series)], [])) == [{"speech": str(table), "text": "a"}]


def test_a_folder_is_its_recordings_by_name_without_hidden_ones(speech, folder):
    found = [one["speech"] for one in speech.parse([str(folder)], [])]
    assert found == [str(folder / name) for name in ("a.FLAC", "b.wav", "my take=2.wav")]


def test_what_is_passed_over_in_a_folder_is_said(speech, folder):
    for name in ("c.TXT", "d.ico", "e", "ring.tar.gz"):
        (folder / name).touch()
    (folder / "sub").mkdir()
    said: list[str] = []
    found = list(replace(speech, notify=said.append).parse([str(folder)], []))
    assert len(found) == 3
    assert said == [
        f"passed over 6 files in {folder}: 1 .gz, 1 .ico, 2 .txt, 1 folder, 1 without suffix"
    ]


def test_where_nothing_is_passed_over_nothing_is_said(speech, tmp_path):
    (tmp_path / "a.wav").touch()
    said: list[str] = []
    list(replace(speech, notify=said.append).parse([str(tmp_path)], []))
    assert said == []


def test_paths_may_come_from_standard_input(speech, folder):
    paths = [str(folder / "b.wav"), str(folder / "a.FLAC")]
    lines = [f"{path}\n".encode() for path in paths]
    assert list(speech.parse(["-"], lines)) == [{"speech": path} for path in paths]


@pytest.mark.parametrize("given", ["nowhere.wav", "hello", "take=2.wav"])
def test_what_is_no_file_is_no_recording(speech, given):
    with pytest.raises(UserError, match="speech"):
        list(speech.parse([given], []))


def test_a_folder_without_recordings_is_a_mistake(speech, tmp_path):
    with pytest.raises(UserError, match=r"files ending in \.wav, \.flac in .*, got none"):
        list(speech.parse([str(tmp_path)], []))


@pytest.fixture(params=["text", "hf-text"])
def text(request) -> InputParser:
    reader = records.Reader(
        name="text", target="a:B", summary="s", produces=request.param, suffixes=(".txt",)
    )
    return InputParser({"en": reader})


SENTENCES = ["A girl\u2028opens.", "A boy\x0bruns.\x85 Yes", "Fin\x1c."]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_only_a_line_feed_ends_a_line(text, tmp_path, mark):
    content = (mark + "\n".join(SENTENCES) + "\n").encode()
    (tmp_path / "lines.txt").write_bytes(content)
    of_file = text.parse([str(tmp_path / "lines.txt")], [])
    of_input = text.parse(["-"], io.BytesIO(content))
    assert [one["en"] for one in of_file] == SENTENCES
    assert [one["en"] for one in of_input] == SENTENCES


def test_lines_that_are_not_utf8_are_named_in_their_place(text, tmp_path):
    (tmp_path / "lines.txt").write_bytes(b"good\n\xff\xfe\nbetter\n")
    first, bad, last = text.parse([str(tmp_path / "lines.txt")], [])
    assert (first, last) == ({"en": "good"}, {"en": "better"})
    assert re.match(r"expected UTF-8 in .*lines\.txt, line 2", str(bad))
    (bad,) = text.parse(["-"], [b"\x80\n"])
    assert "expected UTF-8 in standard input, line 1" in str(bad)


@pytest.mark.parametrize("given", ["", " ", "en="])
def test_an_empty_text_is_a_blank_input_and_no_folder(text, tmp_path, monkeypatch, given):
    (tmp_path / "notes.txt").write_text("not asked for\n")
    monkeypatch.chdir(tmp_path)
    (found,) = text.parse([given], [])
    assert is_blank(found)


def test_blank_lines_are_inputs_so_that_numbers_stay(text, tmp_path):
    (tmp_path / "lines.txt").write_text("first\n\n  \nlast\n")
    found = list(text.parse([str(tmp_path / "lines.txt"), "-"], [b"\n", b"more\n"]))
    assert [is_blank(one) for one in found] == [False, True, True, False, True, False]


ROWS = ["A dog .", "", "Zwei, drei"]


@pytest.fixture
def forms(tmp_path):
    """One content in every form of file, in a folder with a space in its name."""
    folder = tmp_path / "my docs"
    folder.mkdir()
    plain = "".join(f"{row}\n" for row in ROWS)
    (folder / "small.en").write_text(plain)
    (folder / "no suffix").write_text(plain)
    (folder / "in.txt.gz").write_bytes(gzip.compress(plain.encode()))
    (folder / "in.jsonl").write_text(
        "".join(json.dumps({"id": 1, "en": row}) + "\n" for row in ROWS)
    )
    (folder / "only.jsonl").write_text("".join(json.dumps({"words": row}) + "\n" for row in ROWS))
    table = "".join(f"1\t{row}\n" for row in ROWS)
    (folder / "in.tsv").write_text(f"id\ten\n{table}")
    (folder / "field.TSV.gz").write_bytes(gzip.compress(f"id\tenglish\n{table}".encode()))
    with (folder / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "en"], *([1, row] for row in ROWS)])
    return sorted(folder.iterdir())


def test_a_file_is_read_by_what_it_is(text, forms):
    text = replace(text, fields={"en": "english"})
    assert len(forms) == 8
    for path in forms:
        for argument in (str(path), f"en={path}"):
            assert [one["en"] for one in text.parse([argument], [])] == ROWS, path
        as_text = replace(text, as_text=True)
        assert list(as_text.parse([str(path)], [])) == [{"en": str(path)}]


def test_the_only_column_is_named_unless_it_has_the_name_of_the_source(text, tmp_path):
    told: list[str] = []
    for name in ("de", "en"):
        (tmp_path / "x.tsv").write_text(f"{name}\nA dog .\n")
        parser = replace(text, notify=told.append)
        assert list(parser.parse([str(tmp_path / "x.tsv")], [])) == [{"en": "A dog ."}]
    assert told == [f"read the column de of {tmp_path / 'x.tsv'}, its only one, as en"]


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\x00\x00", b"%PDF-1.7\n", "A dog".encode("utf-16")]
)
def test_a_file_that_is_no_text_is_refused(text, tmp_path, content):
    (tmp_path / "in.en").write_bytes(content)
    with pytest.raises(UserError, match=r"in\.en, which is not text in UTF-8; .* --text"):
        list(text.parse([str(tmp_path / "in.en")], []))


def test_markup_is_no_line_of_text(text, tmp_path):
    (tmp_path / "in.json").write_text('["A dog"]')
    with pytest.raises(UserError, match="with one input per line"):
        list(text.parse([str(tmp_path / "in.json")], []))


def test_a_table_without_the_column_is_refused_with_those_it_has(text, tmp_path):
    (tmp_path / "in.tsv").write_text("id\ttext\n1\tA dog\n")
    with pytest.raises(UserError, match=r"a column en in .*in\.tsv, got id, text"):
        list(text.parse([str(tmp_path / "in.tsv")], []))
    (tmp_path / "in.tsv").write_text("A first dog .\nA cat .\n")  # no header: no row may be lost
    with pytest.raises(UserError, match="a column en"):
        list(text.parse([str(tmp_path / "in.tsv")], []))


def test_a_row_that_cannot_be_used_is_an_error_in_its_place(text, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        '{"en": "one"}\n{"en"\n{"id": 3, "de": "zwei"}\n{"en": "four"}\n'
    )
    first, damaged, other, last = text.parse([str(tmp_path / "in.jsonl")], [])
    assert (first, last) == ({"en": "one"}, {"en": "four"})
    assert "line 2" in str(damaged)
    assert "a column en" in str(other)
    assert "line 3" in str(other)


@pytest.mark.parametrize(
    "given",
    [
        "in.txt",
        "small.en",
        "docs/small",
        "/no/where",
        "my docs/in.tsv.gz",
        "./my docs/notes",
        "in.jsonl",
    ],
)
def test_a_missing_path_is_no_text(text, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="which is not a file; check the path, or use --text"):
        list(text.parse([given], []))
    assert list(replace(text, as_text=True).parse([given], [])) == [{"en": given}]


@pytest.mark.parametrize(
    "given",
    [
        "A man and/or a dog .",
        "On 1/2 he left .",
        "Fin.",
        "3.14",
        "U.S",
        "a//b  c",
        "He left... now",
    ],
)
def test_a_text_with_dots_and_slashes_is_a_text(text, given):
    assert list(text.parse([given], [])) == [{"en": given}]


def test_a_missing_file_in_a_folder_that_exists_is_no_text(text, tmp_path):
    (tmp_path / "my docs").mkdir()
    with pytest.raises(UserError, match="which is not a file"):
        list(text.parse([str(tmp_path / "my docs" / "notes")], []))


@pytest.fixture
def both(text, speech) -> InputParser:
    return InputParser({**speech.readers, **text.readers})


def test_a_table_has_a_column_per_source_and_paths_beside_it(both, folder):
    rows = [{"speech": "b.wav", "en": "A dog"}, {"en": "A cat"}, {"speech": "no.wav", "en": "x"}]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = both.parse([str(folder / "in.jsonl")], [])
    assert first == {"speech": str(folder / "b.wav"), "en": "A dog"}
    assert second == {"en": "A cat"}
    assert "'no.wav', which is not a file" in str(third)


def test_a_file_is_no_text_of_one_of_several_sources(both, folder):
    given = [f"speech={folder / 'b.wav'}", f"en={folder / 'notes.txt'}"]
    with pytest.raises(UserError, match=r"a table .* with the columns speech, en, or use --text"):
        list(both.parse(given, []))
    literal = replace(both, as_text=True).parse(given, [])
    assert [one["en"] for one in literal] == [str(folder / "notes.txt")]


def test_a_missing_recording_among_lines_costs_no_other(speech, folder):
    lines = [f"{folder / 'b.wav'}\n".encode(), b"\n", b"nowhere.wav\n"]
    first, second, third = speech.parse(["-"], lines)
    assert first == {"speech": str(folder / "b.wav")}
    assert is_blank(second)
    assert "which is not a file" in str(third)
