"""Folders of recordings, each with a text file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    read_lines,
    require_text,
)
from multiattn_audio.corpora.recording_examples import (
    recording_example,
    recording_files,
    subfolders,
    write_recordings,
)
from multiattn_audio.recordings.suffixes import SUFFIXES


class Folder:
    """Recordings with their transcripts beside them: ``SPLIT/…/NAME.wav`` and ``SPLIT/…/NAME.txt``.

    Recordings may have any suffix that the audio reader accepts. Speakers are unknown. The split
    ``.`` is the whole folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two recordings, each with its transcript beside it."""
        for path in write_recordings(folder / "train/a.wav", folder / "train/deep/b.wav"):
            path.with_suffix(".txt").write_text("go on\n")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the folders that hold recordings; ``.`` if some lie outside of these."""
        folders = (path for path in subfolders(self._folder) if any(recording_files(path)))
        here = any(path.suffix.lower() in SUFFIXES for path in self._folder.glob("[!.]*.*"))
        return (*(["."] if here else []), *sorted(path.name for path in folders))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a folder, sorted by path. Raises UserError if it holds no recording."""
        folder = self._folder / split
        paths = sorted(recording_files(folder))
        if not paths:
            raise UserError(
                f"expected recordings ({', '.join(SUFFIXES)}) in {folder}, got none; the corpus "
                f"has the splits {', '.join(self.splits()) or '(none)'}"
            )

        def example(number: int, path: Path) -> Example:
            name = path.relative_to(folder).with_suffix("").as_posix()
            location = FileLine(path.with_suffix(".txt"), 1)
            return recording_example(name, path, _read_transcript(location), None, location)

        return collect_examples(enumerate(paths, start=1), example, on_bad_row)


def _read_transcript(location: FileLine) -> str:
    """Read a text file and join its lines. Raises BadRowError if it is missing or empty."""
    if not location.path.is_file():
        raise BadRowError(
            f"expected a transcript in {location.path}, beside the recording, got no such file; "
            "write it, or leave such recordings out with training.bad_rows=skip"
        )
    try:
        lines = read_lines(location.path)
    except UserError as error:
        raise BadRowError(str(error)) from error
    texts = [
        decode_line(raw, FileLine(location.path, line)) for line, raw in enumerate(lines, start=1)
    ]
    return " ".join(require_text(" ".join(texts), "a transcript", location).split())
