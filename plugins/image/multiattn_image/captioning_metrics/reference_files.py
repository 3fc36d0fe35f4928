"""Files of references from which CIDEr takes its document frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ValidationError

from multiattn import UserError

DIGEST_LETTERS = 8


class _Caption(BaseModel):
    image_id: int | str
    caption: str


class _Annotations(BaseModel):
    annotations: list[_Caption]


class _Row(BaseModel):
    references: tuple[str, ...]


def read_references(file: Path) -> tuple[list[Sequence[str]], str]:
    """The captions of every example, and a digest of the file. Raises UserError."""
    try:
        content = file.read_bytes()
        captions = _annotated(content) if file.suffix == ".json" else _rows(content)
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise UserError(
            "expected COCO's annotations (.json) or JSON lines with references as frequencies, "
            f"got {file} ({reason}); check the path, or convert it"
        ) from error
    if not captions:
        raise UserError(f"expected references in {file}, got none; give a file that has some")
    return captions, sha256(content).hexdigest()[:DIGEST_LETTERS]


def _annotated(content: bytes) -> list[Sequence[str]]:
    captions: dict[str, list[str]] = {}
    for row in _Annotations.model_validate_json(content).annotations:
        captions.setdefault(str(row.image_id), []).append(row.caption)
    return list(captions.values())


def _rows(content: bytes) -> list[Sequence[str]]:
    return [
        _Row.model_validate_json(line).references for line in content.splitlines() if line.strip()
    ]
