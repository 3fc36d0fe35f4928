"""Cells of every kind of table, and every wrong row by file and line."""

import csv
import gzip
import json
import subprocess
import sys

import pytest

from multiattn.data.corpus import Example
from multiattn.data.tables import TableRow, table_examples, table_path, table_splits
from multiattn.errors import UserError

ROWS = [
    {"name": "1", "text": 'say "yes, please"'},
    {"name": "2", "text": "öl, '#'"},
    {"name": "3", "text": "x\u2028y"},
    {"name": "4", "text": "long " * 30_000 + "cell"},
]


def contents():
    yield "jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)
    yield "tsv", "name\ttext\n" + "".join(f"{row['name']}\t{row['text']}\n" for row in ROWS)
    quoted = (row["text"].replace('"', '""') for row in ROWS)
    yield "csv", "name,text\r\n" + "".join(f'{n},"{text}"\r\n' for n, text in enumerate(quoted, 1))


def example(row: TableRow) -> Example:
    return Example(row.name("name"), {"text": row.text("text")})


@pytest.mark.parametrize(("kind", "content"), [*contents()])
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_table_says_the_same(tmp_path, kind, content, packed):
    data = b"\xef\xbb\xbf" + content.encode()
    name = f"train.v2.{kind}" + (".gz" if packed else "")
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    assert table_splits(tmp_path) == ("train.v2",)
    path = table_path(tmp_path, "train.v2")
    examples = table_examples(path, example)
    assert [(each.id, each.fields["text"]) for each in examples] == [
        (row["name"], row["text"]) for row in ROWS
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('2,"half', r"between commas in .*a\.csv, line 3, got '2,\"half'"),
        ('2,"a" b', r"between commas in .*a\.csv, line 3"),
        ("2", r"2 cells in .*a\.csv, line 3.*got 1"),
        ("", r"2 cells in .*a\.csv, line 3.*got 1"),
        ("2,a,b", r"2 cells in .*a\.csv, line 3.*got 3"),
        (" ,a", r"a name in the column 'name' in .*a\.csv, line 3"),
        ("2,", r"text in the column 'text' in .*a\.csv, line 3, got an empty one"),
    ],
)
def test_a_bad_row_stops_or_is_left_out_and_told(tmp_path, line, sentence):
    path = tmp_path / "a.csv"
    path.write_text(f"name,text\n1,one\n{line}\n3,three\n")
    with pytest.raises(UserError, match=sentence):
        table_examples(path, example)
    told: list[str] = []
    assert [each.id for each in table_examples(path, example, told.append)] == ["1", "3"]
    assert len(told) == 1


@pytest.mark.parametrize("cell", ["null", '["a", "b"]'])
def test_where_one_text_is_asked_for_nothing_and_several_are_refused(tmp_path, cell):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"name": "1", "text": {cell}}}\n')
    with pytest.raises(UserError, match=r"text in the column 'text' in .*line 1, got .*a string"):
        table_examples(path, example)


MAILS = [
    {"name": "1", "text": 'Dear "all",\n\nsee you, at 5" past.\n'},
    {"name": "2", "text": "one line"},
    {"name": "3", "text": "\nbegins and ends with a break\n"},
]


def test_line_breaks_in_quoted_cells_of_csv_are_read_as_python_writes_them(tmp_path):
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["name", "text"])
        writer.writeheader()
        writer.writerows(MAILS)
    lines_of: dict[str, int] = {}

    def made(row: TableRow) -> Example:
        lines_of[row.name("name")] = row.place.line
        return example(row)

    read = table_examples(tmp_path / "a.csv", made)
    assert [(each.id, each.fields["text"]) for each in read] == [
        (mail["name"], mail["text"]) for mail in MAILS
    ]
    assert lines_of == {"1": 2, "2": 6, "3": 7}  # where each mail begins in the file


def test_rows_after_a_line_break_and_bytes_within_one_are_named_by_their_own_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'name,text\n1,"a\nb"\n2\n3,"c\n\xff"\n4,"d\ne"\n')
    told: list[str] = []
    assert [each.id for each in table_examples(path, example, told.append)] == ["1", "4"]
    assert "2 cells" in told[0]
    assert "line 4," in told[0]
    assert "the byte 0xff" in told[1]
    assert "line 6," in told[1]


def test_a_quote_that_is_never_closed_costs_one_row_and_no_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,text\n" + '1,"half\n' * 2 + 'a","\n' * 30_000 + "3,three\n")
    told: list[str] = []
    assert [each.id for each in table_examples(path, example, told.append)] == ["3"]
    assert len(told) == 30_002


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_csv_with_another_separator_is_refused_with_a_hint_at_it(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(f"name{separator}text\n1{separator}one, two\n")
    with pytest.raises(UserError, match=r"separated by commas in .*, line 1, got .*tsv") as told:
        table_examples(path, example)
    assert repr(f"name{separator}text") in str(told.value)


def test_quotes_in_tsv_are_part_of_the_text(tmp_path):
    (tmp_path / "a.tsv").write_text('name\ttext\n1\t"a\n2\tb"\n')
    read = table_examples(tmp_path / "a.tsv", example)
    assert [each.fields["text"] for each in read] == ['"a', 'b"']


def test_a_column_that_a_row_may_lack_is_null_empty_or_absent():
    row = TableRow({"null": None, "empty": "", "zero": 0, "text": "a"}, None)
    assert [row.has(name) for name in ("null", "empty", "absent", "zero", "text")] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_reading_tables_imports_no_torch():
    script = "import sys, multiattn.data.tables; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
