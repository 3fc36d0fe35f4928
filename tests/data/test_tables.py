"""Cells of every kind of table, and every wrong row by file and line."""

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
