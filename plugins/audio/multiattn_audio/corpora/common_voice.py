"""Common Voice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example
from multiattn.corpora import OnBadRow, TableRow, table_examples, table_path
from multiattn_audio.corpora.recording_examples import (
    missing_recording,
    recording_example,
    write_recordings,
    write_table,
)

NOTES = {"age", "gender", "accent", "accents", "variant", "locale", "sentence_domain"}


class CommonVoice:
    """Common Voice (Ardila et al. 2020), one language as released: ``SPLIT.tsv`` and ``clips``.

    Of the columns, which differ between releases, those in ``NOTES`` become notes of the examples.
    """

    group = "speaker"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two clips, listed in a table."""
        clips = write_recordings(folder / "clips/a.wav", folder / "clips/b.wav")
        rows = [{"client_id": "eve", "path": clip.name, "sentence": "Go!"} for clip in clips]
        write_table(folder / "dev.tsv", *rows)
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the tables that list clips; a release has other tables too."""
        paths = sorted(self._folder.glob("*.tsv"))
        return tuple(path.stem for path in paths if {b"path", b"sentence"} <= _header_cells(path))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the clips of a split; a speaker is the ``client_id``."""
        clips = self._folder / "clips"
        file_names = {path.name for path in clips.iterdir()} if clips.is_dir() else set()

        def example(row: TableRow) -> Example:
            path = clips / row.text("path")
            if path.name not in file_names:
                raise missing_recording(path, row.place)
            speaker = row.name("client_id") if row.has("client_id") else None
            notes = row.notes(row.cells.keys() - NOTES)
            text = row.text("sentence")
            return recording_example(path.stem, path, text, speaker, row.place, notes)

        return table_examples(table_path(self._folder, split, ["tsv"]), example, on_bad_row)


def _header_cells(path: Path) -> set[bytes]:
    """Read the column names in the first line only: some tables have a million rows."""
    with path.open("rb") as file:
        return set(file.readline().rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").split(b"\t"))
