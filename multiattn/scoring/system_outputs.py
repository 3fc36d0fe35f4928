"""Read files of outputs and references, strictly.

Formats: one text per line; a run's JSON lines; COCO's JSON of results and of annotations.
"""

from __future__ import annotations

import codecs
import gzip
import shlex
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from multiattn.errors import UserError, shown


@dataclass(frozen=True)
class SystemOutputs:
    """A system's outputs: one text per example.

    A run's outputs come with ids and references; otherwise these are None.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    references: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class ReferenceFile:
    """References, one or several per example. ``whole``: the file may contain other examples too.

    COCO's annotations cover a whole set of images; its splits have no files of their own.
    """

    name: str
    texts: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...] | None
    whole: bool = False


Same = TypeVar("Same", SystemOutputs, ReferenceFile)


def read_outputs(source: str) -> SystemOutputs:
    """Read the outputs in a file, a run's results or ``-`` (stdin).

    A file has one text per line, or is .jsonl, or COCO's results in .json; plain or .gz. Raises
    UserError if it is missing, unreadable, empty, ambiguous or not UTF-8.
    """
    return _outputs(*_content(source))


def read_references(source: str) -> ReferenceFile:
    """As ``read_outputs``; a .json may also be COCO's annotations. Raises UserError."""
    name, content = _content(source)
    if _kind(name) == ".json" and content.lstrip().startswith(b"{"):
        return _from_annotations(name, content)
    outputs = _outputs(name, content)
    return ReferenceFile(name, tuple((text,) for text in outputs.texts), outputs.ids)


def hypotheses_file(path: Path) -> Path:
    """The outputs file of a run folder or of a split's results folder; a file is returned as is.

    Raises UserError if a folder has no outputs, or those of several splits.
    """
    if not path.is_dir():
        return path
    files = sorted([*path.glob("hypotheses.jsonl"), *path.glob("results/*/hypotheses.jsonl")])
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(str(file.parent) for file in files)
        raise UserError(
            f"expected the outputs of one split, got {path} with several; name one: {names}"
        )
    raise UserError(
        f"expected outputs in {path}, got a folder without results; "
        f"`multiattn evaluate {shlex.quote(str(path))}` writes them, or give a file"
    )


def align_by_id(outputs: SystemOutputs, other: Same) -> Same:
    """``other`` in the order of ``outputs``: by id if both have ids, else line by line.

    Raises UserError if the two are not of the same examples; only a whole set of references may
    have more.
    """
    whole = isinstance(other, ReferenceFile) and other.whole
    if whole and outputs.ids is None:
        raise UserError(
            f"expected outputs with ids, because {other.name} lists pictures by id, got plain "
            f'lines in {outputs.name}; give a results.json of [{{"image_id": ..., "caption": ...}}]'
        )
    if not whole and len(outputs.texts) != len(other.texts):
        raise UserError(
            f"expected as many lines in {other.name} as in {outputs.name}, got {len(other.texts)} "
            f"and {len(outputs.texts)}; give files of the same examples in the same order"
        )
    if outputs.ids is None or other.ids is None:
        return other
    positions = {name: position for position, name in enumerate(other.ids)}
    missing = [name for name in outputs.ids if name not in positions]
    if missing:
        raise UserError(
            f"expected the examples of {outputs.name} in {other.name}, got no {shown(missing[0])} "
            f"({len(missing)} are missing); give files of the same split"
        )
    texts = tuple(other.texts[positions[name]] for name in outputs.ids)
    return replace(other, texts=texts, ids=outputs.ids)


def _content(source: str) -> tuple[str, bytes]:
    """The name of a source in errors, and its decompressed bytes."""
    if source == "-":
        return "standard input", sys.stdin.buffer.read()
    path = hypotheses_file(Path(source))
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"expected a readable file of outputs, got {path} ({reason}); check the path"
        ) from error
    return str(path), content.removeprefix(codecs.BOM_UTF8)


def _kind(name: str) -> str:
    return Path(name.removesuffix(".gz")).suffix


def _outputs(name: str, content: bytes) -> SystemOutputs:
    if _kind(name) == ".json":
        return _from_results(name, content)
    lines = _lines(name, content)
    return _from_rows(name, lines) if _kind(name) == ".jsonl" else SystemOutputs(name, lines)


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
    # not splitlines(): it would also split at form feeds and other separators inside a sentence
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


class _Row(BaseModel):
    """The fields of a line of ``hypotheses.jsonl`` that scoring reads."""

    text: str
    id: str | None = None
    references: tuple[str, ...] = ()


def _from_rows(name: str, lines: Sequence[str]) -> SystemOutputs:
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_Row.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UserError(
                f'expected {{"id": ..., "text": ...}} in line {number} of {name}, got '
                f"{shown(line, 60)} ({reason}); correct the line"
            ) from error
    ids = tuple(row.id for row in rows if row.id is not None)
    _require_unique(name, ids)
    references = tuple(row.references for row in rows)
    return SystemOutputs(
        name,
        tuple(row.text for row in rows),
        ids=ids if len(ids) == len(rows) else None,
        references=references if all(references) else None,
    )


class _Caption(BaseModel):
    """One caption in COCO's JSON, an output or a reference; other keys are ignored."""

    image_id: int | str
    caption: str


class _Annotations(BaseModel):
    annotations: list[_Caption]


def _from_results(name: str, content: bytes) -> SystemOutputs:
    try:
        rows = TypeAdapter(list[_Caption]).validate_json(content)
    except ValidationError as error:
        raise _not_coco(name, '[{"image_id": ..., "caption": ...}, ...]', error) from error
    if not rows:
        raise UserError(
            f"expected a caption per picture, got none in {name}; give a file with some"
        )
    ids = tuple(str(row.image_id) for row in rows)
    _require_unique(name, ids)
    return SystemOutputs(name, tuple(row.caption for row in rows), ids)


def _from_annotations(name: str, content: bytes) -> ReferenceFile:
    """Captions by image, both in the order of the file."""
    try:
        rows = _Annotations.model_validate_json(content).annotations
    except ValidationError as error:
        form = '{"annotations": [{"image_id": ..., "caption": ...}, ...]}'
        raise _not_coco(name, form, error) from error
    captions: dict[str, list[str]] = {}
    for row in rows:
        captions.setdefault(str(row.image_id), []).append(row.caption)
    return ReferenceFile(name, tuple(map(tuple, captions.values())), tuple(captions), whole=True)


def _not_coco(name: str, form: str, error: ValidationError) -> UserError:
    mistake = error.errors()[0]
    key = ".".join(map(str, mistake["loc"]))
    return UserError(
        f"expected COCO's {form} in {name}, got {shown(mistake['input'], 60)}"
        f"{f' at {key}' if key else ''} ({mistake['msg']}); correct the file"
    )


def _require_unique(name: str, ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        raise UserError(
            f"expected every id once in {name}, got one twice; remove the repeated lines"
        )
