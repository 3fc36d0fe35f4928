"""Examples of images with captions: finding files, one example per image. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from multiattn import Example
from multiattn.corpora import BadRowError, FileLine


@dataclass(frozen=True)
class ImageFolder:
    """The image files below a folder. A directory is listed once, not once per image."""

    folder: Path
    _file_names: dict[Path, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def resolve(cls, folder: Path) -> ImageFolder:
        """Follow symbolic links first, so that an image has one path however it is reached."""
        return cls(folder.resolve())

    def image_path(self, name: str, location: FileLine) -> str:
        """The normalised path of an image. Raises BadRowError where there is no such file."""
        path = Path(os.path.normpath(self.folder / name))
        if path.parent not in self._file_names:
            self._file_names[path.parent] = _list_file_names(path.parent)
        if path.name not in self._file_names[path.parent]:
            raise BadRowError(
                f"expected the image {path}, which {location} names, got no such file; fetch it, "
                "or leave such rows out with training.bad_rows=skip"
            )
        return str(path)


def captioned_example(
    example_id: str,
    image_path: str,
    captions: str | Sequence[str] | None,
    location: FileLine,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Example:
    """An image with its captions, each on one line: some of COCO's contain line breaks.

    notes: what else is known of it, which results can be grouped by.
    """
    texts = (captions,) if isinstance(captions, str) else captions or ()
    one_line_texts = tuple(" ".join(text.split()) for text in texts)
    meta = {**notes, "file": location.path.name, "line": str(location.line)}
    return Example(example_id, {"image": image_path, "captions": one_line_texts or None}, meta)


def merge_by_image(examples: Iterable[Example]) -> list[Example]:
    """One example per image: id and metadata of its first example, the captions of all of them."""
    by_image: dict[object, Example] = {}
    for example in examples:
        image, captions = example.fields["image"], example.fields["captions"] or ()
        first = by_image.setdefault(image, example)
        if first is not example and captions:
            merged = (*(first.fields["captions"] or ()), *captions)
            by_image[image] = replace(first, fields={"image": image, "captions": merged})
    return list(by_image.values())


def first_folder(parent: Path, names: Sequence[str]) -> Path:
    """The first of these subfolders that exists, else ``parent`` itself."""
    return next((parent / name for name in names if (parent / name).is_dir()), parent)


def has_any_file(folder: Path, names: Sequence[str]) -> bool:
    """Whether the folder holds one of these files, plain or gzipped."""
    return any((folder / f"{name}{suffix}").is_file() for name in names for suffix in ("", ".gz"))


def write_images(folder: Path) -> tuple[str, str]:
    """Write two small images, for the examples of a corpus; return their names."""
    import PIL.Image  # listing a corpus does not need it

    folder.mkdir(parents=True, exist_ok=True)
    for colour in ("red", "blue"):
        PIL.Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
    return "red.png", "blue.png"


def _list_file_names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:  # knows which entries are files without a stat of each
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):
        return frozenset()
