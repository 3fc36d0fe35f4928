"""LibriSpeech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import (
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    read_lines,
    require_text,
)
from multiattn_audio.corpora.recording_examples import (
    missing_recording,
    recording_example,
    subfolders,
    write_recordings,
)


class Librispeech:
    """LibriSpeech (Panayotov et al. 2015) as released: ``SPLIT/SPEAKER/CHAPTER``, 16 kHz FLAC.

    A split is the name of a folder, such as ``train-clean-100``, or several joined by ``+``.
    """

    group = "speaker"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two recordings of one chapter."""
        chapter = folder / "dev-clean/84/1"
        write_recordings(chapter / "84-1-0.flac", chapter / "84-1-1.flac")
        (chapter / "84-1.trans.txt").write_text("84-1-0 GO ON\n84-1-1 STOP\n")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the folders that hold transcripts."""
        folders = (path for path in subfolders(self._folder) if any(path.glob("*/*/*.trans.txt")))
        return tuple(sorted(path.name for path in folders))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the transcripts of every chapter. Raises UserError for an unknown split."""
        return [
            example
            for name in split.split("+")
            for transcripts in self._transcripts(name)
            for example in self._chapter(transcripts, on_bad_row)
        ]

    def _transcripts(self, split: str) -> list[Path]:
        paths = sorted((self._folder / split).glob("*/*/*.trans.txt"))
        if not paths:
            raise UserError(
                f"expected SPEAKER/CHAPTER/*.trans.txt in {self._folder / split}, got none; the "
                f"folder has the splits {', '.join(self.splits()) or '(none)'}"
            )
        return paths

    def _chapter(self, transcripts: Path, on_bad_row: OnBadRow | None) -> list[Example]:
        chapter = transcripts.parent
        file_names = {path.name for path in chapter.iterdir()}
        speaker = chapter.parent.name

        def example(line: int, raw: bytes) -> Example:
            location = FileLine(transcripts, line)
            name, _, text = decode_line(raw, location).partition(" ")
            path = chapter / f"{require_text(name, 'an id', location)}.flac"
            if path.name not in file_names:
                raise missing_recording(path, location)
            text = require_text(text, "a transcript", location)
            return recording_example(name, path, text, speaker, location)

        return collect_examples(enumerate(read_lines(transcripts), start=1), example, on_bad_row)
