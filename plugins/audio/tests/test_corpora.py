"""Corpora in their released layouts; errors name file and line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multiattn import UserError
from multiattn.protocols import GroupedCorpus
from multiattn_audio.corpora.an4 import An4
from multiattn_audio.corpora.common_voice import CommonVoice
from multiattn_audio.corpora.folder import Folder
from multiattn_audio.corpora.librispeech import Librispeech
from multiattn_audio.corpora.manifest import Manifest


def write_recording(path: Path, seconds: float = 0.5, container: str | None = None) -> Path:
    """Write half a second of silence by default: these tests decode nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(16_000 * seconds), np.int16), 16_000, format=container)
    return path


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def json_lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def fields_of(examples) -> list[tuple[str, ...]]:
    """Id and fields, with file names instead of paths in the temporary folder."""
    return [
        (example.id, Path(example.fields["audio"]).name, *list(example.fields.values())[1:])
        for example in examples
    ]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.flac", "b.wav", "deep/c.flac"):
        write_recording(tmp_path / name)
    return tmp_path


def test_a_json_manifest_may_have_relative_and_absolute_paths(folder):
    rows = [
        {"id": "x", "audio": "a.flac", "text": "one", "speaker": "eve", "seconds": 0.5},
        {"audio": str(folder / "deep/c.flac"), "text": "zwei", "speaker": 7},
        {"audio": "b.wav", "text": None, "seconds": None, "extra": [1]},
    ]
    write_text(folder / "train.jsonl", json_lines(*rows))
    corpus = Manifest(folder)
    assert corpus.splits() == ("train",)
    examples = corpus.examples("train")
    assert fields_of(examples) == [
        ("x", "a.flac", "one", "eve"),
        ("train-2", "c.flac", "zwei", "7"),
        ("train-3", "b.wav", None, None),
    ]
    assert all(Path(example.fields["audio"]).is_file() for example in examples)
    assert examples[0].meta == {"file": "train.jsonl", "line": "1", "speaker": "eve"}
    assert "speaker" not in examples[2].meta


def test_a_manifest_may_be_csv_or_tsv(folder):
    write_text(folder / "train.csv", 'audio,text\na.flac,"well, ""yes"""\nb.wav,no\n')
    write_text(folder / "dev.tsv", 'audio\ttext\tspeaker\tseconds\na.flac\ta "b"\t\t\n')
    assert Manifest(folder).splits() == ("dev", "train")
    (dev,) = fields_of(Manifest(folder).examples("dev"))
    assert dev == ("dev-2", "a.flac", 'a "b"', None)
    texts = [fields[2] for fields in fields_of(Manifest(folder).examples("train"))]
    assert texts == ['well, "yes"', "no"]


def test_a_manifest_may_have_other_column_names(folder):
    row = {"audio_filepath": "a.flac", "text": "one", "duration": 0.5}
    write_text(folder / "train.jsonl", json_lines(row))
    names = {"audio": "audio_filepath", "seconds": "duration"}
    assert len(Manifest(folder, columns=names).examples("train")) == 1
    with pytest.raises(UserError, match=r"got 'audio_filepath'; write \{audio: "):
        Manifest(folder, columns={"audio_filepath": "audio"})


GOOD_ROW = {"audio": "a.flac", "text": "one"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"audio": "none.flac", "text": "one"}, r"recording .*none\.flac, which .*line 2 names"),
        ({"text": "one"}, r"column 'audio' in .*train\.jsonl, line 2, got text"),
        ({"audio": "a.flac"}, "column 'text' in .*line 2"),
        ({"audio": "a.flac", "text": " "}, "text in the column 'text' in .*line 2, got an empty"),
        ({"audio": None, "text": "one"}, "'audio' in .*line 2, got null; write a string"),
        ({**GOOD_ROW, "seconds": 0.9}, r"0\.9 seconds in .*a\.flac, as .*line 2 says, got 0\.50; "),
        ({**GOOD_ROW, "seconds": "long"}, "number of seconds in .*line 2, got 'long'"),
        ({**GOOD_ROW, "seconds": float("nan")}, "nan seconds in .*a.flac"),
        ({"audio": "bad.wav", "text": "a", "seconds": 1}, r"recording .*bad\.wav.*line 2\)"),
        ({**GOOD_ROW, "speaker": ["eve"]}, "name in the column 'speaker' in .*line 2"),
    ],
)
def test_a_bad_row_of_a_manifest_raises_or_is_skipped_and_reported(folder, row, sentence):
    write_text(folder / "bad.wav", "no recording")
    write_text(folder / "train.jsonl", json_lines(GOOD_ROW, row, {**GOOD_ROW, "text": "three"}))
    with pytest.raises(UserError, match=sentence) as caught:
        Manifest(folder).examples("train")
    messages: list[str] = []
    examples = Manifest(folder).examples("train", messages.append)
    assert [example.fields["text"] for example in examples] == ["one", "three"]
    assert messages == [str(caught.value)]


def test_a_row_that_is_not_utf_8_is_reported_with_its_line(folder):
    (folder / "train.csv").write_bytes(b"audio,text\na.flac,caf\xe9\n")
    with pytest.raises(UserError, match=r"UTF-8 in .*train\.csv, line 2, got the byte 0xe9"):
        Manifest(folder).examples("train")


def test_an4_as_manifests_has_disjoint_speakers(real_corpus):
    corpus = An4(real_corpus("an4"))
    assert {"train", "dev"} <= set(corpus.splits())
    train, dev = corpus.examples("train"), corpus.examples("dev")
    assert (len(train), len(dev)) == (848, 100)
    assert fields_of(dev)[:1] == [("ffmm-an291-ffmm-b", "an291-ffmm-b.flac", "ENTER FIVE", "ffmm")]
    speakers = [{example.meta["speaker"] for example in split} for split in (train, dev)]
    assert [len(names) for names in speakers] == [66, 8]
    assert not speakers[0] & speakers[1]


def test_an4_as_released(tmp_path):
    for split, folder, speakers in (
        ("train", "an4_clstk", "fash mjgm"),
        ("test", "an4test_clstk", "fcaw"),
    ):
        names = [f"an1-{speaker}-b" for speaker in speakers.split()]
        for name, speaker in zip(names, speakers.split(), strict=True):
            write_recording(tmp_path / "wav" / folder / speaker / f"{name}.sph", container="NIST")
        lines = [f"GO ({name})" if split == "test" else f"<s> GO </s> ({name})" for name in names]
        write_text(tmp_path / f"etc/an4_{split}.transcription", "\n".join([*lines, ""]))
    corpus = An4(tmp_path)
    assert corpus.splits() == ("test", "train")
    assert fields_of(corpus.examples("test")) == [("an1-fcaw-b", "an1-fcaw-b.sph", "GO", "fcaw")]
    assert [fields[2:] for fields in fields_of(corpus.examples("train"))] == [
        ("GO", "fash"),
        ("GO", "mjgm"),
    ]
    write_text(tmp_path / "etc/an4_test.transcription", "GO (an1-fcaw-b)\nGO\nGO (an2-fcaw-b)\n")
    with pytest.raises(UserError, match=r"WORDS \(NAME\) in .*transcription, line 2, got 'GO'"):
        corpus.examples("test")
    messages: list[str] = []
    assert len(corpus.examples("test", messages.append)) == 1
    assert "an2-fcaw-b" in messages[1]
    with pytest.raises(UserError, match=r"an4_dev\.transcription"):
        corpus.examples("dev")


@pytest.fixture
def librispeech(tmp_path) -> Path:
    for split, speaker, count in (("train-clean-100", 19, 3), ("dev-clean", 84, 1)):
        chapter = tmp_path / split / str(speaker) / "198"
        names = [f"{speaker}-198-{number:04}" for number in range(count)]
        for name in names:
            write_recording(chapter / f"{name}.flac")
        write_text(
            chapter / f"{speaker}-198.trans.txt",
            "".join(f"{name} IT'S NUMBER {name[-1]}\n" for name in names),
        )
    write_text(tmp_path / "SPEAKERS.TXT", "19 | F | train-clean-100")
    return tmp_path


def test_librispeech_as_released(librispeech):
    corpus = Librispeech(librispeech)
    assert corpus.splits() == ("dev-clean", "train-clean-100")
    assert fields_of(corpus.examples("train-clean-100")) == [
        (f"19-198-000{n}", f"19-198-000{n}.flac", f"IT'S NUMBER {n}", "19") for n in range(3)
    ]
    both = corpus.examples("dev-clean+train-clean-100")
    assert [example.meta["speaker"] for example in both] == ["84", "19", "19", "19"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("19-198-0009 NOBODY", r"recording .*19-198-0009\.flac, which .*trans\.txt, line 2 names"),
        ("19-198-0001", r"a transcript in .*trans\.txt, line 2, got an empty one"),
        ("", r"an id in .*trans\.txt, line 2"),
    ],
)
def test_a_bad_line_of_librispeech_is_reported(librispeech, line, sentence):
    path = librispeech / "train-clean-100/19/198/19-198.trans.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[2]]))
    with pytest.raises(UserError, match=sentence):
        Librispeech(librispeech).examples("train-clean-100")
    messages: list[str] = []
    examples = Librispeech(librispeech).examples("train-clean-100", messages.append)
    assert [example.id for example in examples] == ["19-198-0000", "19-198-0002"]
    assert len(messages) == 1


def test_an_unknown_split_is_reported_with_the_known_ones(librispeech):
    with pytest.raises(UserError, match=r"test-clean, got none; .* dev-clean, train-clean-100"):
        Librispeech(librispeech).examples("test-clean")
    with pytest.raises(UserError, match=r"recordings .* in .*x, got none; .* \(none\)"):
        Folder(librispeech / "nowhere").examples("x")


def test_common_voice_as_released(tmp_path):
    header = "client_id\tpath\tsentence\tup_votes\n"
    write_text(tmp_path / "train.tsv", f'{header}e1\tcv_1.mp3\tShe said "no".\t2\n')
    write_text(tmp_path / "dev.tsv", f"{header}e2\tcv_2.mp3\tYes.\t2\ne2\tcv_3.mp3\tGone.\t2\n")
    write_text(tmp_path / "clip_durations.tsv", "clip\tduration[ms]\ncv_1.mp3\t500\n")
    for number in (1, 2):
        write_recording(tmp_path / f"clips/cv_{number}.mp3", container="MP3")
    corpus = CommonVoice(tmp_path)
    assert corpus.splits() == ("dev", "train")
    assert fields_of(corpus.examples("train")) == [("cv_1", "cv_1.mp3", 'She said "no".', "e1")]
    with pytest.raises(UserError, match=r"cv_3\.mp3, which .*dev\.tsv, line 3 names"):
        corpus.examples("dev")
    messages: list[str] = []
    assert fields_of(corpus.examples("dev", messages.append)) == [
        ("cv_2", "cv_2.mp3", "Yes.", "e2")
    ]


def test_the_columns_of_newer_releases_of_common_voice_are_notes(tmp_path):
    columns = "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender"
    header = "\t".join([*columns.split(), "accents", "variant", "locale", "segment"])
    row = "e1|c.mp3|9f3a|Go home.|news_current_affairs|2|0|twenties|female_feminine|||en|"
    write_text(tmp_path / "test.tsv", f"{header}\n{row}\n".replace("|", "\t"))
    write_recording(tmp_path / "clips/c.mp3", container="MP3")
    (example,) = CommonVoice(tmp_path).examples("test")
    assert example.fields["text"] == "Go home."
    assert example.meta == {
        "age": "twenties",
        "gender": "female_feminine",
        "sentence_domain": "news_current_affairs",
        "locale": "en",
        "speaker": "e1",
        "file": "test.tsv",
        "line": "2",
    }


def test_a_folder_of_recordings_with_text_files(tmp_path):
    for name in ("train/b.wav", "train/sub/a.FLAC", "test/c.ogg"):
        path = write_recording(tmp_path / name)
        write_text(path.with_suffix(".txt"), f"said in {path.stem}\n")
    write_text(tmp_path / "train/sub/a.txt", "two\n  lines\n")
    write_text(tmp_path / "train/README.txt", "no recording")
    write_text(tmp_path / "notes/a.txt", "no recording")
    corpus = Folder(tmp_path)
    assert corpus.splits() == ("test", "train")
    assert fields_of(corpus.examples("train")) == [
        ("b", "b.wav", "said in b", None),
        ("sub/a", "a.FLAC", "two lines", None),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"a transcript in .*a\.txt, beside the recording, got no such file"),
        (b"", r"text in .*a\.txt, got an empty file"),
        (b" \n", r"a transcript in .*a\.txt, line 1, got an empty one"),
        (b"ja\nn\xf6\n", r"UTF-8 in .*a\.txt, line 2, got the byte 0xf6"),
    ],
)
def test_a_recording_without_a_transcript_is_reported(tmp_path, content, sentence):
    for name in ("a", "b"):
        write_text(write_recording(tmp_path / f"train/{name}.wav").with_suffix(".txt"), "yes")
    text = tmp_path / "train/a.txt"
    text.unlink()
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        Folder(tmp_path).examples("train")
    messages: list[str] = []
    assert [example.id for example in Folder(tmp_path).examples("train", messages.append)] == ["b"]
    assert len(messages) == 1


def test_a_folder_without_splits_is_one_split_of_its_own(tmp_path):
    for name in ("a.wav", "sub/b.wav"):
        write_text(write_recording(tmp_path / name).with_suffix(".txt"), "yes")
    assert Folder(tmp_path).splits() == (".", "sub")
    assert [names[0] for names in fields_of(Folder(tmp_path).examples("."))] == ["a", "sub/b"]


@pytest.mark.parametrize("corpus", [An4, CommonVoice, Librispeech, Manifest])
def test_a_cut_goes_by_speaker_where_a_corpus_knows_them(corpus, tmp_path):
    assert isinstance(corpus(tmp_path), GroupedCorpus)
    assert corpus.group == "speaker"


def test_hidden_files_are_not_recordings(folder):
    split = folder / "hidden"
    split.mkdir()
    for name in ("a.flac", "._a.flac"):
        (split / name).write_bytes((folder / "a.flac").read_bytes())
    write_text(split / "a.txt", "yes")
    assert [example.fields["text"] for example in Folder(folder).examples("hidden")] == ["yes"]


def test_a_video_counts_as_a_recording_unless_its_sound_lies_beside_it(folder):
    split = folder / "videos"
    split.mkdir()
    for name in ("a.mp4", "a.flac", "b.m4a"):
        (split / name).write_bytes((folder / "a.flac").read_bytes())
    for name in ("a", "b"):
        write_text(split / f"{name}.txt", "yes")
    found = fields_of(Folder(folder).examples("videos"))
    assert [names[1] for names in found] == ["a.flac", "b.m4a"]


def test_a_path_too_long_for_any_file_is_a_bad_row(folder):
    write_text(folder / "train.jsonl", json_lines({"audio": "a" * 5000 + ".wav", "text": "yes"}))
    with pytest.raises(UserError, match="got no such file"):
        Manifest(folder).examples("train")
