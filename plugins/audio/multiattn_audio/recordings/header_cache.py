"""A cache of the headers of recordings that passed their checks.

The file has one line of JSON per recording, appended as soon as the recording has passed, so that a
killed process loses at most the line that it was writing. A file counts as unchanged while its
path, size and modification time stay the same; a recording in a dataset is known by its content.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from multiattn import StoredMedia
from multiattn_audio.recordings.decoding import Header

Identity = tuple[str, int, int]  # path, bytes, modification time in nanoseconds; or digest, 0, 0


@dataclass
class HeaderCache:
    """Headers by recording. Without a file they are kept in memory only."""

    file: Path | None = None
    headers: dict[Identity, Header] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> HeaderCache:
        """Read a cache file, skipping incomplete lines; a missing file is an empty cache."""
        headers: dict[Identity, Header] = {}
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            try:
                entry = json.loads(line)
                headers[tuple(entry["recording"])] = Header(**entry["header"])
            except (ValueError, KeyError, TypeError):
                continue
        return cls(file, headers)

    def get(self, recording: str | StoredMedia) -> Header | None:
        """Return the header of a recording; None if it is not cached or has changed."""
        identity = _identity(recording)
        return None if identity is None else self.headers.get(identity)

    def add(self, recording: str | StoredMedia, header: Header) -> None:
        """Add a recording. If the file cannot be written, the cache stays in memory only."""
        identity = _identity(recording)
        if identity is None:
            return
        self.headers[identity] = header
        if self.file is not None:
            try:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(_line(identity, header))
            except OSError:
                self.file = None

    def save(self, file: Path) -> None:
        """Write the whole cache."""
        text = "".join(_line(identity, header) for identity, header in self.headers.items())
        file.write_text(text, encoding="utf-8")


def _identity(recording: str | StoredMedia) -> Identity | None:
    if isinstance(recording, StoredMedia):
        return recording.digest.hex(), 0, 0
    try:
        status = Path(recording).stat()
    except OSError:
        return None
    return recording, status.st_size, status.st_mtime_ns


def _line(identity: Identity, header: Header) -> str:
    return json.dumps({"recording": identity, "header": asdict(header)}) + "\n"
