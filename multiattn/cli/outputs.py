"""The files that outputs and references lie in, read strictly; nothing is scored here."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from multiattn.errors import UserError


@dataclass(frozen=True)
class Outputs:
    """A system's outputs, or one set of references: a text per example.

    A run's outputs bring ids and references with them; elsewhere these are None.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    references: tuple[tuple[str, ...], ...] | None = None


def read_outputs(source: str) -> Outputs:
    """Texts of a file (one per line, or .jsonl; plain or .gz), a run's results, or ``-`` (stdin).

    Raises UserError when that is missing, unreadable, empty, ambiguous or not UTF-8.
    """
    if source == "-":
        return Outputs("standard input", _lines("standard input", sys.stdin.buffer.read()))
    path = hypotheses_file(Path(source))
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"expected a file of outputs that can be read, got {path} ({reason}); check the path"
        ) from error
    lines = _lines(str(path), content)
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        return _from_rows(str(path), lines)
    return Outputs(str(path), lines)


def hypotheses_file(path: Path) -> Path:
    """The outputs that a run folder, or a folder of one split's results, holds; a file is itself.

    Raises UserError when a folder holds none, or those of several splits.
    """
    if not path.is_dir():
        return path
    found = sorted([*path.glob("hypotheses.jsonl"), *path.glob("results/*/hypotheses.jsonl")])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(file.parent) for file in found)
        raise UserError(
            f"expected the outputs of one split, got {path} with several; name one: {names}"
        )
    raise UserError(
        f"expected outputs in {path}, got a folder without results; "
        f"`multiattn evaluate {path}` writes them, or give a file"
    )


def aligned(outputs: Outputs, other: Outputs) -> Outputs:
    """``other`` in the order of ``outputs``: by id if both have ids, else line by line.

    Raises UserError when the two are not of the same examples.
    """
    if len(outputs.texts) != len(other.texts):
        raise UserError(
            f"expected as many lines in {other.name} as in {outputs.name}, got {len(other.texts)} "
            f"and {len(outputs.texts)}; give files of the same examples in the same order"
        )
    if outputs.ids is None or other.ids is None:
        return other
    by_id = dict(zip(other.ids, other.texts, strict=True))
    missing = [name for name in outputs.ids if name not in by_id]
    if missing:
        raise UserError(
            f"expected the examples of {outputs.name} in {other.name}, got no {missing[0]!r} "
            f"({len(missing)} are missing); give files of the same split"
        )
    return Outputs(other.name, tuple(by_id[name] for name in outputs.ids), outputs.ids)


def _lines(name: str, content: bytes) -> tuple[str, ...]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x} in line {line} "
            f"of {name}; convert the file to UTF-8"
        ) from error
    if not text:
        raise UserError(
            f"expected one output per line, got nothing in {name}; give a file with some"
        )
    # not splitlines(): that would also cut at form feeds and other separators inside a sentence
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


class _Row(BaseModel):
    """One line of ``hypotheses.jsonl``, as far as scoring reads it."""

    text: str
    id: str | None = None
    references: tuple[str, ...] = ()


def _from_rows(name: str, lines: Sequence[str]) -> Outputs:
    rows = []
    for place, line in enumerate(lines, start=1):
        try:
            rows.append(_Row.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UserError(
                f'expected {{"id": ..., "text": ...}} in line {place} of {name}, got {line[:60]!r} '
                f"({reason}); correct the line"
            ) from error
    ids = tuple(row.id for row in rows if row.id is not None)
    if len(set(ids)) < len(ids):
        raise UserError(
            f"expected every id once in {name}, got one twice; remove the repeated lines"
        )
    references = tuple(row.references for row in rows)
    return Outputs(
        name,
        tuple(row.text for row in rows),
        ids=ids if len(ids) == len(rows) else None,
        references=references if all(references) else None,
    )
