"""Writes text files, plain or compressed, with the same bytes every time."""

from __future__ import annotations

import gzip
from pathlib import Path


def write_text(path: Path, text: str, *, compressed: bool) -> None:
    """Write UTF-8 text; if compressed, as ``PATH.gz`` without a time stamp."""
    if compressed:
        data = gzip.compress(text.encode(), compresslevel=9, mtime=0)
        path.with_name(path.name + ".gz").write_bytes(data)
    else:
        path.write_text(text, encoding="utf-8", newline="\n")
