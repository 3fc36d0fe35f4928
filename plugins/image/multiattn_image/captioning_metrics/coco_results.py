"""Captions in COCO's result format, which its evaluation server takes. No torch, no file.

``multiattn score --hyp`` reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence


def results(ids: Sequence[str], captions: Sequence[str]) -> str:
    """``[{"image_id": …, "caption": …}, …]``, a line each; an id that is a number is written so."""
    rows = [
        json.dumps({"image_id": _image_id(name), "caption": caption}, ensure_ascii=False)
        for name, caption in zip(ids, captions, strict=True)
    ]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _image_id(name: str) -> int | str:
    """COCO numbers its pictures; "007" is a name, as the number would be another."""
    return int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else name
