"""Files as inputs of a source that no text can be."""

import pytest

from multiattn import records
from multiattn.errors import UserError
from multiattn.inputs import InputParser


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
    lines = [f"{folder / 'b.wav'}\n", f"{folder / 'a.FLAC'}\n"]
    assert list(speech.parse(["-"], lines)) == [{"speech": line.strip()} for line in lines]


@pytest.mark.parametrize("given", ["nowhere.wav", "hello", "take=2.wav"])
def test_what_is_no_file_is_no_recording(speech, given):
    with pytest.raises(UserError, match="speech"):
        list(speech.parse([given], []))


def test_a_folder_without_recordings_is_a_mistake(speech, tmp_path):
    with pytest.raises(UserError, match=r"files ending in \.wav, \.flac in .*, got none"):
        list(speech.parse([str(tmp_path)], []))
