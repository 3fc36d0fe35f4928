"""COCO's JSON: results of a system and annotations of pictures."""

from __future__ import annotations

from pydantic import BaseModel, TypeAdapter, ValidationError

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import ReferenceFile, SystemOutputs, require_unique


class _Caption(BaseModel):
    """One caption in COCO's JSON, an output or a reference; other keys are ignored."""

    image_id: int | str
    caption: str


class _Annotations(BaseModel):
    annotations: list[_Caption]


def read_coco(name: str, text: str) -> SystemOutputs | ReferenceFile:
    """Annotations if the JSON is an object, else results."""
    is_object = text.lstrip().startswith("{")
    return _read_annotations(name, text) if is_object else read_results(name, text)


def read_results(name: str, text: str) -> SystemOutputs:
    """One caption per picture. Raises UserError for another form or a repeated picture."""
    try:
        rows = TypeAdapter(list[_Caption]).validate_json(text)
    except ValidationError as error:
        raise _not_coco(name, '[{"image_id": ..., "caption": ...}, ...]', error) from error
    if not rows:
        raise UserError(
            f"expected a caption per picture, got none in {name}; give a file with some"
        )
    ids = tuple(str(row.image_id) for row in rows)
    require_unique(name, ids)
    return SystemOutputs(name, tuple(row.caption for row in rows), ids)


def is_coco(text: str) -> bool:
    """Whether it begins as JSON and has the keys of COCO's results or annotations."""
    start = text.lstrip()[:1]
    return start in ("[", "{") and '"image_id"' in text and '"caption"' in text


def _read_annotations(name: str, text: str) -> ReferenceFile:
    """Captions by image, both in the order of the file."""
    try:
        rows = _Annotations.model_validate_json(text).annotations
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
