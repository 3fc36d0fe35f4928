"""Corpora of speech and what was said. They refuse to know how a recording is heard.

A corpus lists the examples of a split: ``audio`` (the path of a recording), ``text``, ``speaker``,
each None where it is not known. ``examples`` takes what to do with a bad row: without, it raises a
UserError naming file and line; with, the sentence is passed on and the row left out. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from multiattn.errors import UserError
from multiattn.records import Example
from multiattn.tables import TableRow, column_names, table_examples, table_path, table_splits
from multiattn.textfiles import (
    BadRowError,
    OnBadRow,
    Place,
    collect,
    decoded,
    existing,
    filled,
    read_lines,
    splits_named,
)
from multiattn_audio.recordings.decoding import read_header
from multiattn_audio.recordings.formats import SUFFIXES, RawFormat

# Manifests round, and lossy codecs add a frame at either end.
TOLERATED_SECONDS = 0.1
TOLERATED_SHARE = 0.02
DEFAULT_RAW = RawFormat()


class Manifest:
    """Recordings in a table per split: ``SPLIT.jsonl``, ``SPLIT.csv`` or ``SPLIT.tsv``, or .gz.

    Columns: ``audio`` (a path from the folder, or absolute) and ``text``; a row may have ``id``
    (else it is called by split and line), ``speaker`` and ``seconds``, which must be true.
    columns: what the manifest calls them, such as ``{audio: audio_filepath, seconds: duration}``.
    raw: what files ending in ``.raw`` hold, for their durations.
    """

    names = ("audio", "text", "id", "seconds", "speaker")

    def __init__(
        self,
        folder: Path,
        *,
        columns: Mapping[str, str] | None = None,
        raw: RawFormat = DEFAULT_RAW,
    ) -> None:
        self._folder = folder
        self._raw = raw
        self._columns = column_names(self.names, columns)

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the rows of a manifest in their order; recordings must be there."""
        columns = self._columns

        def example(row: TableRow) -> Example:
            path = _recording(self._folder / row.text(columns["audio"]), row.place)
            if row.has(columns["seconds"]):
                self._check_seconds(path, row.cells[columns["seconds"]], row.place)
            speaker = row.name(columns["speaker"]) if row.has(columns["speaker"]) else None
            name = f"{split}-{row.place.line}"
            if row.has(columns["id"]):
                name = row.name(columns["id"])
            return _example(name, path, row.value(columns["text"]), speaker, row.place)

        return table_examples(table_path(self._folder, split), example, on_bad_row)

    def _check_seconds(self, path: Path, cell: object, place: Place) -> None:
        """A recording as long as the manifest says is likely to be the one that it means."""
        try:
            said = float(cell)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise BadRowError(
                f"expected a number of seconds in {place}, got {cell!r}; correct the row"
            ) from None
        try:
            found = _seconds(path, path.stat().st_mtime_ns, self._raw)
        except UserError as error:
            raise BadRowError(f"{error} ({place})") from error
        if not abs(found - said) <= TOLERATED_SECONDS + TOLERATED_SHARE * found:
            raise BadRowError(
                f"expected {said:g} seconds in {path}, as {place} says, got {found:.2f}; "
                "correct the row, or fetch the recording again"
            )


class An4:
    """CMU AN4 (Acero and Stern 1990): people spelling names, addresses and numbers, 16 kHz.

    A folder of ``train.jsonl``, ``dev.jsonl``, ``test.jsonl`` (id, audio, seconds, speaker, text)
    and the recordings they name; or one as CMU released it: ``etc/an4_SPLIT.transcription`` and
    ``wav/an4_clstk``, ``wav/an4test_clstk``, whose splits are ``train`` and ``test``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = Manifest(folder)
        self._released = (folder / "etc").is_dir()

    def splits(self) -> tuple[str, ...]:
        """Names of the manifests, or of the released splits."""
        if not self._released:
            return self._manifest.splits()
        return tuple(sorted(splits_named(self._folder / "etc", "an4_{split}.transcription")))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the utterances of a split."""
        if not self._released:
            return self._manifest.examples(split, on_bad_row)
        transcripts = existing(self._folder / "etc", [f"an4_{split}.transcription"])
        folder = self._folder / "wav" / ("an4test_clstk" if split == "test" else "an4_clstk")
        there = {path.stem: path for path in _recordings(folder)}

        def example(line: int, raw: bytes) -> Example:
            place = Place(transcripts, line)
            said = re.fullmatch(r"(?:<s> )?(.+?)(?: </s>)? \((\S+)\)\s*", decoded(raw, place))
            if said is None:
                raise BadRowError(
                    f"expected WORDS (NAME) in {place}, got {decoded(raw, place)!r}; "
                    "fetch the corpus again"
                )
            text, name = said.groups()
            if name not in there:
                raise _missing(folder / f"*/{name}.*", place)
            return _example(name, there[name], text, there[name].parent.name, place)

        return collect(enumerate(read_lines(transcripts), start=1), example, on_bad_row)


class Librispeech:
    """LibriSpeech (Panayotov et al. 2015) as released: ``SPLIT/SPEAKER/CHAPTER``, 16 kHz FLAC.

    A split is a folder's name, such as ``train-clean-100``, or several joined by ``+``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def splits(self) -> tuple[str, ...]:
        """Folders that hold transcripts."""
        folders = (path for path in _folders(self._folder) if any(path.glob("*/*/*.trans.txt")))
        return tuple(sorted(path.name for path in folders))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read every chapter's transcripts. Raises UserError for a split that is not there."""
        return [
            example
            for name in split.split("+")
            for transcripts in self._transcripts(name)
            for example in self._chapter(transcripts, on_bad_row)
        ]

    def _transcripts(self, split: str) -> list[Path]:
        found = sorted((self._folder / split).glob("*/*/*.trans.txt"))
        if not found:
            raise UserError(
                f"expected SPEAKER/CHAPTER/*.trans.txt in {self._folder / split}, got none; the "
                f"folder has the splits {', '.join(self.splits()) or '(none)'}"
            )
        return found

    def _chapter(self, transcripts: Path, on_bad_row: OnBadRow | None) -> list[Example]:
        there = {path.name for path in transcripts.parent.iterdir()}

        def example(line: int, raw: bytes) -> Example:
            place = Place(transcripts, line)
            name, _, text = decoded(raw, place).partition(" ")
            path = transcripts.parent / f"{filled(name, 'an id', place)}.flac"
            if path.name not in there:
                raise _missing(path, place)
            speaker = transcripts.parent.parent.name
            return _example(name, path, filled(text, "a transcript", place), speaker, place)

        return collect(enumerate(read_lines(transcripts), start=1), example, on_bad_row)


class CommonVoice:
    """Common Voice (Ardila et al. 2020), one language as released: ``SPLIT.tsv`` and ``clips``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def splits(self) -> tuple[str, ...]:
        """Names of the tables of clips; a release has other tables too."""
        paths = sorted(self._folder.glob("*.tsv"))
        return tuple(path.stem for path in paths if {b"path", b"sentence"} <= _columns(path))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the clips of a split; a speaker is the ``client_id``."""
        clips = self._folder / "clips"
        there = {path.name for path in clips.iterdir()} if clips.is_dir() else set()

        def example(row: TableRow) -> Example:
            path = clips / row.text("path")
            if path.name not in there:
                raise _missing(path, row.place)
            speaker = row.name("client_id") if row.has("client_id") else None
            return _example(path.stem, path, row.text("sentence"), speaker, row.place)

        return table_examples(table_path(self._folder, split, ["tsv"]), example, on_bad_row)


class Folder:
    """Recordings with what was said beside them: ``SPLIT/…/NAME.wav`` and ``SPLIT/…/NAME.txt``.

    Any suffix that the audio reader knows will do. Of whom the voices are is not known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def splits(self) -> tuple[str, ...]:
        """Folders that hold recordings."""
        folders = (path for path in _folders(self._folder) if any(_recordings(path)))
        return tuple(sorted(path.name for path in folders))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a folder in the order of its names. Raises UserError where no recording is."""
        folder = self._folder / split
        paths = sorted(_recordings(folder))
        if not paths:
            raise UserError(
                f"expected recordings ({', '.join(SUFFIXES)}) in {folder}, got none; the corpus "
                f"has the splits {', '.join(self.splits()) or '(none)'}"
            )

        def example(number: int, path: Path) -> Example:
            name = path.relative_to(folder).with_suffix("").as_posix()
            place = Place(path.with_suffix(".txt"), 1)
            return _example(name, path, _beside(place), None, place)

        return collect(enumerate(paths, start=1), example, on_bad_row)


def _example(
    name: str, path: Path, text: str | tuple[str, ...] | None, speaker: str | None, place: Place
) -> Example:
    fields = {"audio": str(path), "text": text, "speaker": speaker}
    meta = {"file": place.path.name, "line": str(place.line)}
    return Example(name, fields, meta if speaker is None else {**meta, "speaker": speaker})


def _recording(path: Path, place: Place) -> Path:
    """Pass on a file that is there; what is too long for a name is not."""
    with suppress(OSError):
        if path.is_file():
            return path
    raise _missing(path, place)


def _missing(path: Path, place: Place) -> BadRowError:
    return BadRowError(
        f"expected the recording {path}, which {place} names, got no such file; fetch it, or "
        "leave such rows out with training.bad_rows=skip"
    )


@cache
def _seconds(path: Path, changed: int, raw: RawFormat) -> float:
    """A split is listed several times in a run; a recording is opened once unless it changes."""
    return read_header(path, raw).seconds


def _columns(path: Path) -> set[bytes]:
    """The names in a table's first line; some tables have a million others."""
    with path.open("rb") as file:
        return set(file.readline().rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").split(b"\t"))


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.is_dir())


def _recordings(folder: Path) -> Iterable[Path]:
    """Hidden files are left out: some systems keep notes in them, called as the recording."""
    return (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _beside(place: Place) -> str:
    """The text of a file, its lines joined. Raises BadRowError where it says nothing."""
    if not place.path.is_file():
        raise BadRowError(
            f"expected what was said in {place.path}, beside the recording, got no such file; "
            "write it, or leave such recordings out with training.bad_rows=skip"
        )
    try:
        lines = read_lines(place.path)
    except UserError as error:
        raise BadRowError(str(error)) from error
    texts = [decoded(raw, Place(place.path, line)) for line, raw in enumerate(lines, start=1)]
    return " ".join(filled(" ".join(texts), "a transcript", place).split())
