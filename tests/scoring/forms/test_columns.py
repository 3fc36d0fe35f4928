"""Tables with named columns."""

from __future__ import annotations

import csv
import io

import pytest

from multiattn.errors import UserError
from multiattn.scoring.forms import columns

TABLE = 'utt_id,Hypothesis,reference,speaker\n7,"a, b",a b,ann\n8,"c ""d""\ne",c d,bea\n'


def test_columns_are_known_by_their_names():
    read = columns.csv_outputs("f", TABLE, columns={})
    assert read.ids == ("7", "8")
    assert read.texts == ("a, b", 'c "d"\ne')
    assert read.references == (("a b",), ("c d",))
    assert read.meta == ({"speaker": "ann"}, {"speaker": "bea"})


def test_quotes_in_a_table_of_tabs_are_letters_if_every_line_is_a_row():
    text = 'id\ttext\nu1\t"I am here.\nu2\tand left."\nu3\tok\n'
    assert columns.tsv_outputs("f", text, columns={}).texts == ('"I am here.', 'and left."', "ok")
    quoted = 'id\ttext\nu1\t"two\nlines"\nu2\t"a ""b"""\n'
    assert columns.tsv_outputs("f", quoted, columns={}).texts == ("two\nlines", 'a "b"')


def test_references_are_their_own_column_or_the_texts():
    assert columns.csv_references("f", TABLE, columns={}).texts == (("a b",), ("c d",))
    only = columns.tsv_references("f", "id\tsentence\n1\tx\n", columns={})
    assert (only.texts, only.ids, only.meta) == ((("x",),), ("1",), None)


def test_columns_may_be_named():
    table = "name,gold,system\na,1,2\n"
    named = {"id": "name", "text": "system", "reference": "gold"}
    read = columns.csv_outputs("f", table, columns=named)
    assert (read.ids, read.texts, read.references) == (("a",), ("2",), (("1",),))


def test_a_table_of_the_csv_module_is_read_back():
    rows = [
        [f"i{n}", text] for n, text in enumerate(['"', ",", "\n", "\r\n", "ü\t", "x" * 200_000])
    ]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["id", "text"], *rows])
    read = columns.csv_outputs("f", file.getvalue(), columns={})
    assert [list(row) for row in zip(read.ids, read.texts, strict=True)] == rows


@pytest.mark.parametrize(
    ("text", "named", "parts"),
    [
        ("a,b\n1,2\n", {}, ["a column text, hypothesis", "got a, b", "--column text=NAME"]),
        ("id,text\n1,2,3\n", {}, ["2 columns in line 2 of f, got 3"]),
        ("id,text\n1,2\n1,3\n", {}, ["every id once in f"]),
        ("text,text\na,b\n", {}, ["every column once in f", "'text' again"]),
        ("id,text\n", {}, ["a row below the header of f"]),
        ('id,text\n1,"a\n', {}, ["quoted cells in f"]),
        ("id,text\n1,2\n", {"text": "gold"}, ["the column 'gold' in f, got id, text"]),
    ],
)
def test_what_is_wrong_is_one_sentence(text, named, parts):
    with pytest.raises(UserError) as caught:
        columns.csv_outputs("f", text, columns=named)
    assert all(part in str(caught.value) for part in parts), caught.value
