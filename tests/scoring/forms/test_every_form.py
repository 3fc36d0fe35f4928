"""Every form, cut off anywhere, mistaken for another, or with a very long line."""

from __future__ import annotations

import pytest

from multiattn.errors import UserError
from multiattn.scoring.forms.table import FORMS
from multiattn.scoring.system_outputs import read_files

EXAMPLES = {
    "jsonl": '{"id": 1, "text": "a b"}\n{"id": 2, "text": "c"}\n',
    "coco": '[{"image_id": 1, "caption": "a b"}, {"image_id": 2, "caption": "c"}]',
    "csv": 'id,text\n1,"a ""b"""\n2,c\n',
    "tsv": "id\ttext\n1\ta b\n2\tc\n",
    "vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\n<i>a</i> b\n\n00:03.000 --> 00:04.000\nc\n",
    "srt": "1\n00:00:01,000 --> 00:00:02,000\na b\n\n2\n00:00:03,000 --> 00:00:04,000\nc\n",
    "stm": "rec 1 ann 0.0 1.5 <o,f0> a b\nrec 1 bea 2.0 3.0 c\n",
    "ctm": "rec 1 0.0 0.5 a 0.9\nrec 1 0.5 0.5 b 0.9\n",
    "trn": "a b (u-1)\nc (u-2)\n",
    "kaldi": "u-1 a b\nu-2 c\n",
    "plain": "a b\nc\n",
}
NAMES = [form.name for form in FORMS]


def read(tmp_path, text, form):
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    return read_files([str(file)], [str(file)] if form != "ctm" else [], form)


def complaint(tmp_path, text, form):
    """Why a file is refused; empty if it is read."""
    try:
        read(tmp_path, text, form)
    except UserError as error:
        return str(error)
    return ""


def test_every_form_has_an_example():
    assert set(EXAMPLES) == set(NAMES)


@pytest.mark.parametrize("form", NAMES)
def test_an_example_is_read_as_outputs_and_as_references(tmp_path, form):
    files = read(tmp_path, EXAMPLES[form], form)
    assert len(files.systems) == 1
    assert all(reference.texts for reference in files.references)


@pytest.mark.parametrize("form", NAMES)
def test_a_file_that_is_cut_off_anywhere_is_read_or_refused(tmp_path, form):
    text = EXAMPLES[form]
    for length in range(len(text)):
        assert "\n" not in complaint(tmp_path, text[:length], form)


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_a_file_in_another_form_is_read_or_refused(tmp_path, form, other):
    assert "\n" not in complaint(tmp_path, EXAMPLES[other], form)


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize("unit", ["a", "a ", "{/", "<", "(", '"', "-->", "1 ", "[{"])
def test_a_line_of_a_million_characters_is_read_or_refused(tmp_path, form, unit):
    assert len(complaint(tmp_path, unit * (1_000_000 // len(unit)), form)) < 1000


@pytest.mark.parametrize("form", ["vtt", "srt", "stm", "ctm", "coco", "jsonl"])
def test_a_form_is_recognised_without_its_suffix(tmp_path, form):
    file = tmp_path / "file"
    file.write_text(EXAMPLES[form], encoding="utf-8")
    (note,) = read_files([str(file)]).notes
    assert {each.name: each.title for each in FORMS}[form] in note


def test_bytes_in_another_encoding_are_named_with_their_line(tmp_path):
    for form, text in EXAMPLES.items():
        file = tmp_path / f"file.{form}"
        file.write_bytes(text.encode() + "\nü".encode("latin-1"))
        with pytest.raises(UserError, match=r"expected UTF-8 text, got byte 0xfc in line \d+ of"):
            read_files([str(file)])
