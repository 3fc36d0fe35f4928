"""Annotation files of COCO and Karpathy: JSON objects with lists of objects. Imports no torch.

An error names a bad object by file, list and index, such as ``images[3]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiattn import Example, UserError
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    TableRow,
    Value,
    collect_examples,
    read_lines,
)
from multiattn_image.corpora.captioned_images import (
    ImageFolder,
    captioned_example,
    merge_by_image,
)


@dataclass(frozen=True)
class ListItem(FileLine):
    """The position of an object in a JSON list; ``line`` is its index, from 0."""

    list_name: str

    def __str__(self) -> str:
        return f"{self.path}, {self.list_name}[{self.line}]"


def karpathy_examples(
    file: Path, split: str, image_folder: ImageFolder, on_bad_row: OnBadRow | None
) -> list[Example]:
    """The images of one of Karpathy and Li's (2015) splits, with the raw, untokenised captions.

    Raises UserError for a file in another format, and for a split that it does not have.
    """
    rows = list(_object_rows(file, read_json_object(file), "images"))
    split_rows = [(index, row) for index, row in rows if row.cells.get("split") == split]
    if not split_rows:
        splits = ", ".join(sorted({str(row.cells.get("split")) for _, row in rows}))
        raise UserError(
            f"expected images of the split {split!r} in {file}, got none; it has the splits "
            f"{splits or '(none)'}"
        )

    def make_example(_: int, row: TableRow) -> Example:
        name = Path(row.text("filename"))
        subfolder = row.text("filepath") if row.has("filepath") else ""
        path = image_folder.image_path(str(subfolder / name), row.place)
        example_id = row.name("cocoid") if row.has("cocoid") else name.stem
        return captioned_example(example_id, path, _raw_sentences(row), row.place)

    return merge_by_image(collect_examples(split_rows, make_example, on_bad_row))


def coco_examples(
    file: Path, image_folder: ImageFolder, on_bad_row: OnBadRow | None
) -> list[Example]:
    """The images of a file in COCO's format, with their captions if it has any.

    Raises UserError for a file in another format.
    """
    content = read_json_object(file)

    def make_caption(_: int, row: TableRow) -> Example:
        return Example(row.name("image_id"), {"caption": row.text("caption")})

    captions: dict[str, list[Any]] = {}
    if "annotations" in content:
        rows = _object_rows(file, content, "annotations")
        for caption in collect_examples(rows, make_caption, on_bad_row):
            captions.setdefault(caption.id, []).append(caption.fields["caption"])

    def make_example(_: int, row: TableRow) -> Example:
        image_id = row.name("id")
        path = image_folder.image_path(row.text("file_name"), row.place)
        return captioned_example(image_id, path, captions.get(image_id), row.place)

    return merge_by_image(
        collect_examples(_object_rows(file, content, "images"), make_example, on_bad_row)
    )


def read_json_object(file: Path) -> Mapping[str, Any]:
    """The JSON object in a file, plain or .gz. Raises UserError for any other content."""
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


def _object_rows(
    file: Path, content: Mapping[str, Any], list_name: str
) -> Iterator[tuple[int, TableRow]]:
    objects = content.get(list_name)
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise UserError(
            f'expected a list "{list_name}" of objects in {file}, got {list(content)}; '
            "give a file in the format of COCO's annotations"
        )
    return (
        (index, TableRow(cells, ListItem(file, index, list_name)))
        for index, cells in enumerate(objects)
    )


def _raw_sentences(row: TableRow) -> Value:
    sentences = row.cells.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(item, dict) for item in sentences):
        raise BadRowError(
            f"expected a list of sentences in {row.place}, got {json.dumps(sentences)[:40]}; "
            "fetch the file again"
        )
    raw = {"raw": [sentence.get("raw") for sentence in sentences]}
    return TableRow(raw, row.place).value("raw")
