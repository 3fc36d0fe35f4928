"""What the corpora share: finding recordings and making examples of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile

from multiattn import Example
from multiattn.corpora import BadRowError, FileLine
from multiattn_audio.recordings.suffixes import MEDIA_SUFFIXES, SUFFIXES


def recording_example(
    name: str,
    path: Path,
    text: str | tuple[str, ...] | None,
    speaker: str | None,
    location: FileLine,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Example:
    """Make an example called ``name``; ``location`` is the line that lists the recording.

    notes: what else is known of it, which results can be grouped by.
    """
    fields = {"audio": str(path), "text": text, "speaker": speaker}
    meta = {**notes, "file": location.path.name, "line": str(location.line)}
    return Example(name, fields, meta if speaker is None else {**meta, "speaker": speaker})


def missing_recording(path: Path, location: FileLine) -> BadRowError:
    """Make the error for a recording that a row names and that does not exist."""
    return BadRowError(
        f"expected the recording {path}, which {location} names, got no such file; fetch it, or "
        "leave such rows out with training.bad_rows=skip"
    )


def subfolders(folder: Path) -> Iterator[Path]:
    """List the folders directly inside a folder."""
    return (path for path in folder.glob("*") if path.is_dir())


def recording_files(folder: Path) -> Iterable[Path]:
    """List the recordings anywhere below a folder.

    Hidden files are left out: some systems keep metadata in hidden files that are named after the
    recording, suffix included. So are videos whose sound lies beside them in another format.
    """
    return (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not (path.suffix.lower() in MEDIA_SUFFIXES and _has_sound_beside(path))
    )


def _has_sound_beside(path: Path) -> bool:
    others = (suffix for suffix in SUFFIXES if suffix not in MEDIA_SUFFIXES)
    return any(path.with_suffix(suffix).is_file() for suffix in others)


def write_recordings(*paths: Path) -> list[Path]:
    """Write a tenth of a second of silence to each, for the examples of a corpus."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(1_600, np.int16), 16_000)
    return list(paths)


def write_table(path: Path, *rows: Mapping[str, str]) -> None:
    """Write a table with a header row: tabs between the cells."""
    lines = [[*rows[0]], *([*row.values()] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
