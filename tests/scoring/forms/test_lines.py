"""Files with an example on each line are read strictly."""

import pytest

from multiattn import UserError
from multiattn.scoring.forms.lines import read_jsonl, read_kaldi, read_trn


def test_kaldi_text_is_an_id_and_words():
    read = read_kaldi("text", "u1  hello world \nu2\n\nu3\ta\n")
    assert read.ids == ("u1", "u2", "u3")
    assert read.texts == ("hello world", "", "a")


def test_trn_is_words_and_an_id_in_parentheses():
    read = read_trn("h.trn", ";; of sclite\nhello (uh) world (s-1)\r\n(s-2)\n")
    assert read.ids == ("s-1", "s-2")
    assert read.texts == ("hello (uh) world", "")


def test_ids_in_json_lines_are_strings_or_numbers():
    read = read_jsonl("a.jsonl", '{"id": 7, "text": "a"}\n{"id": "x", "text": "b"}\n')
    assert read.ids == ("7", "x")


@pytest.mark.parametrize(
    ("read", "text", "parts"),
    [
        (read_trn, "a (u1)\nb\n", ["words and (id)", "line 2 of f", "'b'", "--format"]),
        (read_trn, "a (u1)\n{ b / c } d (u2)\n", ["line 2 of f", "alternatives"]),
        (read_trn, "a (u)\nb (u)\n", ["every id once in f", "1 ('u')"]),
        (read_kaldi, "u a\nu b\nv a\nv\n", ["every id once in f", "2 ('u', 'v')"]),
        (read_kaldi, "\n\n", ["an id and words in f"]),
    ],
)
def test_a_line_in_another_form_is_one_sentence(read, text, parts):
    with pytest.raises(UserError) as caught:
        read("f", text)
    assert all(part in str(caught.value) for part in parts), caught.value
