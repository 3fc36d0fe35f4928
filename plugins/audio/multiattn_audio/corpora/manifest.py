"""Recordings listed in a table, with their transcripts and, optionally, their durations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    TableRow,
    column_names,
    table_examples,
    table_path,
    table_splits,
)
from multiattn_audio.corpora.recording_examples import (
    missing_recording,
    recording_example,
    write_recordings,
    write_table,
)
from multiattn_audio.recordings.decoding import read_header
from multiattn_audio.recordings.formats import RawFormat

# Manifests round durations, and lossy codecs add a frame at either end.
TOLERATED_SECONDS = 0.1
TOLERATED_SHARE = 0.02
DEFAULT_RAW = RawFormat()


class Manifest:
    """Recordings in a table per split: ``SPLIT.jsonl``, ``SPLIT.csv`` or ``SPLIT.tsv``, or .gz.

    Columns: ``audio`` (a path, absolute or relative to the folder) and ``text``. Optional: ``id``
    (by default the split and the line number), ``speaker``, and ``seconds``, which is compared with
    the recording. Further columns, such as ``accent``, are notes, which results can be grouped by.
    columns: the manifest's own names, such as ``{audio: audio_filepath, seconds: duration}``.
    raw: the format of files ending in ``.raw``, needed for their durations.
    """

    group = "speaker"
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

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two recordings, listed in a table."""
        write_recordings(folder / "a.wav", folder / "b.wav")
        rows = (("a.wav", "one", "0.1", "eve"), ("b.wav", "two", "0.1", "bob"))
        names = ("audio", "text", "seconds", "speaker")
        write_table(folder / "train.tsv", *(dict(zip(names, row, strict=True)) for row in rows))
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the rows of a manifest in order; a recording that does not exist is a bad row."""
        columns = self._columns

        def example(row: TableRow) -> Example:
            path = _existing_recording(self._folder / row.text(columns["audio"]), row.place)
            if row.has(columns["seconds"]):
                self._check_seconds(path, row.cells[columns["seconds"]], row.place)
            speaker = row.name(columns["speaker"]) if row.has(columns["speaker"]) else None
            name = f"{split}-{row.place.line}"
            if row.has(columns["id"]):
                name = row.name(columns["id"])
            text, notes = row.value(columns["text"]), row.notes(columns.values())
            return recording_example(name, path, text, speaker, row.place, notes)

        return table_examples(table_path(self._folder, split), example, on_bad_row)

    def _check_seconds(self, path: Path, cell: object, location: FileLine) -> None:
        """Raise BadRowError unless the recording is as long as the manifest says."""
        try:
            expected = float(cell)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise BadRowError(
                f"expected a number of seconds in {location}, got {cell!r}; correct the row"
            ) from None
        try:
            actual = _recording_seconds(path, path.stat().st_mtime_ns, self._raw)
        except UserError as error:
            raise BadRowError(f"{error} ({location})") from error
        # written so that NaN fails
        if not abs(actual - expected) <= TOLERATED_SECONDS + TOLERATED_SHARE * actual:
            raise BadRowError(
                f"expected {expected:g} seconds in {path}, as {location} says, got {actual:.2f}; "
                "correct the row, or fetch the recording again"
            )


def _existing_recording(path: Path, location: FileLine) -> Path:
    """Return the path. Raises BadRowError unless it is a file, or if it is too long for one."""
    with suppress(OSError):
        if path.is_file():
            return path
    raise missing_recording(path, location)


@cache
def _recording_seconds(path: Path, modified_ns: int, raw: RawFormat) -> float:
    """Cached, because a run lists a split several times; ``modified_ns`` is part of the key."""
    return read_header(path, raw).seconds
