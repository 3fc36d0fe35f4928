"""What a command line says: files of a source that no text can be, and lines of texts."""

import io

import pytest

from multiattn.errors import UserError
from multiattn.prediction.inputs import InputParser
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


def test_a_folder_is_its_recordings_by_name_without_hidden_ones(speech, folder):
    found = [one["speech"] for one in speech.parse([str(folder)], [])]
    assert found == [str(folder / name) for name in ("a.FLAC", "b.wav", "my take=2.wav")]


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


@pytest.fixture
def text() -> InputParser:
    reader = records.Reader(
        name="text", target="a:B", summary="s", produces="text", suffixes=(".txt",)
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


def test_lines_that_are_not_utf8_are_named(text, tmp_path):
    (tmp_path / "lines.txt").write_bytes(b"good\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"expected UTF-8 in .*lines\.txt, line 2"):
        list(text.parse([str(tmp_path / "lines.txt")], []))
    with pytest.raises(UserError, match="expected UTF-8 in standard input, line 1"):
        list(text.parse(["-"], [b"\x80\n"]))


@pytest.mark.parametrize("given", ["", " ", "en="])
def test_an_empty_text_is_no_folder(text, tmp_path, monkeypatch, given):
    (tmp_path / "notes.txt").write_text("not asked for\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="expected a text for the source 'en', got an empty one"):
        list(text.parse([given], []))
