"""What a corpus lists of a picture: where its file is, what was said of it, once. No torch.

It refuses to know how a corpus is written down, and opens no picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from multiattn.records import Example
from multiattn.textfiles import BadRowError, Place

Captions = str | Sequence[str] | None


@dataclass(frozen=True)
class Pictures:
    """The pictures below a folder; a directory is read once, however many it is asked for."""

    folder: Path
    _names: dict[Path, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def below(cls, folder: Path) -> Pictures:
        """Of a folder as the file system calls it, whatever links lead there."""
        return cls(folder.resolve())

    def path(self, name: str, place: Place) -> str:
        """Spell the path of a picture. Raises BadRowError where there is no such file."""
        path = Path(os.path.normpath(self.folder / name))
        if path.parent not in self._names:
            self._names[path.parent] = _names_in(path.parent)
        if path.name not in self._names[path.parent]:
            raise BadRowError(
                f"expected the picture {path}, which {place} names, got no such file; fetch it, or "
                "leave such rows out with training.bad_rows=skip"
            )
        return str(path)


def example_of(name: str, path: str, captions: Captions, place: Place) -> Example:
    """A picture; each of its captions in one line, as some of COCO's are not."""
    texts = (captions,) if isinstance(captions, str) else captions or ()
    said = tuple(" ".join(text.split()) for text in texts)
    meta = {"file": place.path.name, "line": str(place.line)}
    return Example(name, {"image": path, "captions": said or None}, meta)


def joined(examples: Iterable[Example]) -> list[Example]:
    """One example per picture, called as the first of it, with the captions of all."""
    found: dict[object, Example] = {}
    for example in examples:
        image, more = example.fields["image"], example.fields["captions"] or ()
        first = found.setdefault(image, example)
        if first is not example and more:
            captions = (*(first.fields["captions"] or ()), *more)
            found[image] = replace(first, fields={"image": image, "captions": captions})
    return list(found.values())


def _names_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:  # which says without asking again what is a file
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):
        return frozenset()
