"""Forms with an example on each line: plain text, Kaldi ``text``, NIST ``trn``, JSON lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, StrictInt, ValidationError

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import Meta, SystemOutputs, require_unique

Cut = Callable[[str], tuple[str, str] | None]  # a line to its id and its text

_TRN = re.compile(r"(?:(.*\S)?\s*)\(([^\s()]+)\)\s*")
_TRN_COMMENT = ";;"
_BRACES = re.compile(r"\{[^{}]*\}")


def split_lines(text: str) -> tuple[str, ...]:
    """The lines of a file, without their ends."""
    # not splitlines(): it would also split at form feeds and other separators inside a sentence
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


def read_plain(name: str, text: str) -> SystemOutputs:
    """One output per line."""
    return SystemOutputs(name, split_lines(text))


def cut_kaldi(line: str) -> tuple[str, str] | None:
    """``id word word``, as in the file ``text`` of Kaldi's data folders."""
    first, *rest = line.split(None, 1) or [""]
    return (first, "".join(rest).strip()) if first else None


def cut_trn(line: str) -> tuple[str, str] | None:
    """``word word (id)``, as sclite reads it."""
    match = _TRN.fullmatch(line.strip())
    return (match[2], match[1] or "") if match else None


def lines_with_ids(text: str) -> list[tuple[int, str]]:
    """Lines, numbered from 1, of which Kaldi and sclite ask for an id."""
    return [
        (number, line)
        for number, line in enumerate(split_lines(text), start=1)
        if line.strip() and not line.startswith(_TRN_COMMENT)
    ]


def read_kaldi(name: str, text: str) -> SystemOutputs:
    """Raises UserError for a repeated id."""
    return _read_with_ids(name, text, cut_kaldi, "an id and words")


def read_trn(name: str, text: str) -> SystemOutputs:
    """Raises UserError for a line without ``(id)``, for alternatives and for a repeated id."""
    for number, line in lines_with_ids(text):
        if any("/" in braces for braces in _BRACES.findall(line)):
            raise UserError(
                f"expected one transcript in line {number} of {name}, got sclite's alternatives "
                f"in {shown(line, 60)}; keep one of each {{a / b}}"
            )
    return _read_with_ids(name, text, cut_trn, "words and (id)")


def _read_with_ids(name: str, text: str, cut: Cut, expected: str) -> SystemOutputs:
    rows = []
    for number, line in lines_with_ids(text):
        row = cut(line)
        if row is None:
            raise UserError(
                f"expected {expected} in line {number} of {name}, got {shown(line, 60)}; "
                "correct the line, or name the form of the file with --format"
            )
        rows.append(row)
    if not rows:
        raise UserError(
            f"expected {expected} in {name}, got no such line; give a file that has some"
        )
    ids = tuple(row[0] for row in rows)
    require_unique(name, ids)
    return SystemOutputs(name, tuple(row[1] for row in rows), ids)


class _Row(BaseModel):
    """The fields of a line of ``hypotheses.jsonl`` that scoring reads."""

    text: str
    id: StrictInt | str | None = None
    references: tuple[str, ...] = ()
    meta: dict[str, Any] = {}


def read_jsonl(name: str, text: str) -> SystemOutputs:
    """``{"id": …, "text": …, "references": […]}`` per line, of which only the text is required."""
    rows = []
    for number, line in enumerate(split_lines(text), start=1):
        try:
            rows.append(_Row.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UserError(
                f'expected {{"id": ..., "text": ...}} in line {number} of {name}, got '
                f"{shown(line, 60)} ({reason}); correct the line"
            ) from error
    ids = tuple(str(row.id) for row in rows if row.id is not None)
    if ids and len(ids) < len(rows):
        raise UserError(
            f"expected an id in every line of {name}, or in none, got {len(ids)} ids in "
            f"{len(rows)} lines; add the others"
        )
    require_unique(name, ids)
    references = tuple(row.references for row in rows)
    if any(references) and not all(references):
        raise UserError(
            f"expected references in every line of {name}, or in none, got none in line "
            f"{references.index(()) + 1}; add them"
        )
    return SystemOutputs(
        name,
        tuple(row.text for row in rows),
        ids=ids or None,
        references=references if all(references) else None,
        meta=_meta(rows),
    )


def _meta(rows: Sequence[_Row]) -> tuple[Meta, ...] | None:
    """What rows say of their examples besides text and references, as texts."""
    if not any(row.meta for row in rows):
        return None
    return tuple(
        {name: str(value) for name, value in row.meta.items() if value is not None} for row in rows
    )


def is_jsonl(text: str) -> bool:
    """Whether every line is in braces and the first is a JSON object with a text."""
    lines = split_lines(text)
    if not all(line.startswith("{") and line.rstrip().endswith("}") for line in lines):
        return False
    try:
        _Row.model_validate_json(lines[0])
    except ValidationError:
        return False
    return True
