"""Captions in the result format of COCO's evaluation server. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence


def coco_results(ids: Sequence[str], captions: Sequence[str]) -> str:
    """``[{"image_id": …, "caption": …}, …]``, one entry a line; numeric ids become JSON numbers.

    ``multiattn score --hyp`` can read it back.
    """
    rows = [
        json.dumps({"image_id": _image_id(example_id), "caption": caption}, ensure_ascii=False)
        for example_id, caption in zip(ids, captions, strict=True)
    ]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _image_id(example_id: str) -> int | str:
    """COCO's image ids are numbers. "007" stays a string, because as a number it would be 7."""
    is_number = example_id.isascii() and example_id.isdecimal()
    return int(example_id) if is_number and str(int(example_id)) == example_id else example_id
