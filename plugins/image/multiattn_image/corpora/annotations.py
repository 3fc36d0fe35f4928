"""COCO's and Karpathy's JSON: one file of lists of objects that name each other. No torch.

A wrong object is named by its file, its list and its place there, as ``jq .images[3]`` finds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiattn.errors import UserError
from multiattn.records import Example
from multiattn.tables import TableRow, Value
from multiattn.textfiles import BadRowError, OnBadRow, Place, collect, read_lines
from multiattn_image.corpora.image_listing import Pictures, example_of, joined


@dataclass(frozen=True)
class ListPlace(Place):
    """Where an object stands; ``line`` is its number in the list, from 0."""

    name: str

    def __str__(self) -> str:
        return f"{self.path}, {self.name}[{self.line}]"


def karpathy_examples(
    file: Path, split: str, pictures: Pictures, on_bad_row: OnBadRow | None
) -> list[Example]:
    """The pictures that Karpathy and Li (2015) put into a split, captions as people wrote them.

    Raises UserError for a file of another form, and for a split that it does not have.
    """
    images = list(_objects(file, read_json(file), "images"))
    rows = [(n, row) for n, row in images if row.cells.get("split") == split]
    if not rows:
        found = ", ".join(sorted({str(row.cells.get("split")) for _, row in images}))
        raise UserError(
            f"expected pictures of the split {split!r} in {file}, got none; it has the splits "
            f"{found or '(none)'}"
        )

    def example(_: int, row: TableRow) -> Example:
        name = Path(row.text("filename"))
        folder = row.text("filepath") if row.has("filepath") else ""
        path = pictures.path(str(folder / name), row.place)
        called = row.name("cocoid") if row.has("cocoid") else name.stem
        return example_of(called, path, _sentences(row), row.place)

    return joined(collect(rows, example, on_bad_row))


def coco_examples(file: Path, pictures: Pictures, on_bad_row: OnBadRow | None) -> list[Example]:
    """The pictures of a file in COCO's format, with their captions if it has any.

    Raises UserError for a file of another form.
    """
    content = read_json(file)

    def caption(_: int, row: TableRow) -> Example:
        return Example(row.name("image_id"), {"caption": row.text("caption")})

    said: dict[str, list[Any]] = {}
    if "annotations" in content:
        for each in collect(_objects(file, content, "annotations"), caption, on_bad_row):
            said.setdefault(each.id, []).append(each.fields["caption"])

    def example(_: int, row: TableRow) -> Example:
        name = row.name("id")
        return example_of(
            name, pictures.path(row.text("file_name"), row.place), said.get(name), row.place
        )

    return joined(collect(_objects(file, content, "images"), example, on_bad_row))


def read_json(file: Path) -> Mapping[str, Any]:
    """The object that a file holds, plain or .gz. Raises UserError for another one."""
    try:
        content = json.loads(b"\n".join(read_lines(file)))
    except (ValueError, RecursionError) as error:
        raise UserError(f"expected JSON in {file}, got: {error}; fetch it again") from error
    if not isinstance(content, dict):
        raise UserError(
            f'expected a JSON object with a list "images" in {file}, got a '
            f"{type(content).__name__}; give a file in the format of COCO's annotations"
        )
    return content


def _objects(file: Path, content: Mapping[str, Any], name: str) -> Iterator[tuple[int, TableRow]]:
    objects = content.get(name)
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        raise UserError(
            f'expected a list "{name}" of objects in {file}, got {list(content)}; '
            "give a file in the format of COCO's annotations"
        )
    return ((n, TableRow(cells, ListPlace(file, n, name))) for n, cells in enumerate(objects))


def _sentences(row: TableRow) -> Value:
    sentences = row.cells.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(each, dict) for each in sentences):
        raise BadRowError(
            f"expected a list of sentences in {row.place}, got {json.dumps(sentences)[:40]}; "
            "fetch the file again"
        )
    raw = {"raw": [sentence.get("raw") for sentence in sentences]}
    return TableRow(raw, row.place).value("raw")
