"""What recordings said of themselves, remembered in a file. It refuses to know how they are read.

A line of JSON per recording that was found good, added as soon as it was: a kill loses at most the
line being written. A recording is the same while path, size and time of change are. No torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from multiattn_audio.recordings.decoding import Header

Identity = tuple[str, int, int]  # path, bytes, nanoseconds


@dataclass
class Durations:
    """Headers by recording; without a file they are remembered until the process ends."""

    file: Path | None = None
    known: dict[Identity, Header] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> Durations:
        """Read what was remembered; a line that is not whole is left out."""
        known: dict[Identity, Header] = {}
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            try:
                entry = json.loads(line)
                known[tuple(entry["recording"])] = Header(**entry["header"])
            except (ValueError, KeyError, TypeError):
                continue
        return cls(file, known)

    def get(self, path: str) -> Header | None:
        """The header of an unchanged recording."""
        identity = _identity(path)
        return None if identity is None else self.known.get(identity)

    def add(self, path: str, header: Header) -> None:
        """Remember a recording. A folder that cannot be written to costs time, nothing else."""
        identity = _identity(path)
        if identity is None:
            return
        self.known[identity] = header
        if self.file is not None:
            try:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(_line(identity, header))
            except OSError:
                self.file = None

    def save(self, file: Path) -> None:
        """Write all of it."""
        text = "".join(_line(identity, header) for identity, header in self.known.items())
        file.write_text(text, encoding="utf-8")


def _identity(path: str) -> Identity | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns


def _line(identity: Identity, header: Header) -> str:
    return json.dumps({"recording": identity, "header": asdict(header)}) + "\n"
