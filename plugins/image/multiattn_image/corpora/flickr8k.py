"""Corpora of pictures and what people said of them. They refuse to know how a picture is read.

A corpus lists the examples of a split: ``image`` (the path of a picture) and ``captions`` (all of
it, or None). A picture is one example however often it is listed, and its path is spelled in one
way, so that a picture that two splits share is found. ``examples`` takes what to do with a bad row:
without, it raises a UserError naming file and line; with, the sentence is passed on and the row
left out. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from multiattn.errors import UserError
from multiattn.records import Example
from multiattn.tables import TableRow, column_names, table_examples, table_path, table_splits
from multiattn.textfiles import (
    BadRowError,
    OnBadRow,
    Place,
    collect,
    decoded,
    existing,
    filled,
    read_lines,
    splits_named,
)
from multiattn_image.corpora.annotations import coco_examples, karpathy_examples
from multiattn_image.corpora.image_listing import Pictures, example_of, joined


class Captions:
    """Pictures in a table per split: ``SPLIT.jsonl``, ``SPLIT.csv`` or ``SPLIT.tsv``, or .gz.

    Columns: ``image`` (a path from the folder, or absolute) and ``captions`` or ``caption`` (a
    text; in JSON also a list of them, or null). Rows of one picture are joined. A row may have an
    ``id``, else it is called as its picture.
    columns: what the table calls them, such as ``{image: file_name, captions: comment}``.
    """

    names = ("image", "captions", "id")

    def __init__(self, folder: Path, *, columns: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._columns = column_names(self.names, columns)

    def splits(self) -> tuple[str, ...]:
        """Names of the tables in the folder."""
        return table_splits(self._folder)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the rows of a table in their order; pictures must be there."""
        columns, pictures = self._columns, Pictures.below(self._folder)

        def example(row: TableRow) -> Example:
            image = row.text(columns["image"])
            path = pictures.path(image, row.place)
            said = columns["captions"]
            if said == "captions" and said not in row.cells and "caption" in row.cells:
                said = "caption"
            name = row.name(columns["id"]) if row.has(columns["id"]) else image
            return example_of(name, path, row.value(said), row.place)

        return joined(table_examples(table_path(self._folder, split), example, on_bad_row))


class Flickr8k:
    """Flickr8k (Hodosh et al. 2013): 8,000 photographs, five captions each.

    Its splits are ``train``, ``dev`` and ``test``, whichever of these layouts it is in; the first
    that is there is read:

    - a table per split, ``SPLIT.jsonl`` (id, image, captions), see ``Captions``;
    - Karpathy's ``dataset_flickr8k.json``, whose ``val`` is ``dev``;
    - as released, ``Flickr_8k.SPLITImages.txt`` and ``Flickr8k.token.txt``, in the folder or in
      ``Flickr8k_text``.

    images: the folder of the pictures, from the corpus folder; without it, the first there is of
        ``images``, ``Images``, ``Flicker8k_Dataset`` (so released) and ``Flickr8k_Dataset``.
    """

    pictures = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")
    karpathy = ("dataset_flickr8k.json", "dataset.json")
    released = "Flickr_8k.{split}Images.txt"

    def __init__(self, folder: Path, *, images: str = "") -> None:
        self._folder = folder
        self._tables = Captions(folder)
        self._texts = _first_folder(folder, ["Flickr8k_text"])
        self._images = folder / images if images else _first_folder(folder, self.pictures)
        if images and self._tables.splits():
            raise UserError(
                f"expected no `images` for tables, whose paths start at {folder}, got {images!r}; "
                "remove the setting"
            )

    def splits(self) -> tuple[str, ...]:
        """Names of the tables; without any, Karpathy's or the released splits."""
        if self._tables.splits():
            return self._tables.splits()
        if _there(self._folder, self.karpathy):
            return ("dev", "test", "train")
        return tuple(sorted(splits_named(self._texts, self.released)))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the photographs of a split with their captions."""
        if self._tables.splits():
            return self._tables.examples(split, on_bad_row)
        pictures = Pictures.below(self._images)
        if _there(self._folder, self.karpathy):
            file = existing(self._folder, self.karpathy)
            return karpathy_examples(file, {"dev": "val"}.get(split, split), pictures, on_bad_row)
        return self._released(split, pictures, on_bad_row)

    def _released(
        self, split: str, pictures: Pictures, on_bad_row: OnBadRow | None
    ) -> Sequence[Example]:
        listed = existing(self._texts, [self.released.replace("{split}", split)])
        tokens = existing(self._texts, ["Flickr8k.token.txt"])
        names = [(n, raw.strip()) for n, raw in enumerate(read_lines(listed), start=1)]
        said = _token_captions(tokens, {name for _, name in names}, on_bad_row)

        def example(line: int, raw: bytes) -> Example:
            place = Place(listed, line)
            name = filled(decoded(raw, place), "the name of a picture", place)
            if name not in said:
                raise BadRowError(
                    f"expected captions of {name}, which {place} lists, in {tokens}, got none; "
                    "complete the file, or leave such rows out with training.bad_rows=skip"
                )
            return example_of(Path(name).stem, pictures.path(name, place), said[name], place)

        return joined(collect(names, example, on_bad_row))


class CocoCaptions:
    """COCO captions (Chen et al. 2015): photographs of everyday scenes, five captions each.

    Splits are those of COCO's files, ``annotations/captions_SPLIT.json`` (for tests
    ``image_info_SPLIT.json``; or in the folder itself), such as ``train2014``, and of Karpathy's
    ``dataset_coco.json``: ``train``, ``restval``, ``val``, ``test``. Several are joined by ``+``.

    images: the folder that holds ``train2014`` and the like, from the corpus folder; without it,
        ``images`` if there is one, else the corpus folder itself.
    """

    files = ("captions_{split}.json", "image_info_{split}.json")
    karpathy = ("dataset_coco.json", "dataset.json")

    def __init__(self, folder: Path, *, images: str = "") -> None:
        self._folder = folder
        self._annotations = _first_folder(folder, ["annotations"])
        self._images = folder / images if images else _first_folder(folder, ["images"])

    def splits(self) -> tuple[str, ...]:
        """Of COCO's files, and Karpathy's where that file is there."""
        named = set[str]().union(*(splits_named(self._annotations, file) for file in self.files))
        karpathy = ("restval", "test", "train", "val")
        return (*sorted(named), *(karpathy if _there(self._folder, self.karpathy) else ()))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the photographs of a split, or of several joined by ``+``, with their captions."""
        return joined(
            example for name in split.split("+") for example in self._examples(name, on_bad_row)
        )

    def _examples(self, split: str, on_bad_row: OnBadRow | None) -> Sequence[Example]:
        files = [file.replace("{split}", split) for file in self.files]
        if not _there(self._annotations, files) and _there(self._folder, self.karpathy):
            file = existing(self._folder, self.karpathy)
            return karpathy_examples(file, split, Pictures.below(self._images), on_bad_row)
        folder = _first_folder(self._images, [split])
        return coco_examples(existing(self._annotations, files), Pictures.below(folder), on_bad_row)


def _token_captions(
    tokens: Path, wanted: set[bytes], on_bad_row: OnBadRow | None
) -> dict[str, list[str]]:
    """Captions by picture, from lines ``PICTURE#NUMBER<tab>CAPTION``.

    Lines of pictures that are not wanted are passed over, unless they name none.
    """

    def caption(line: int, raw: bytes) -> Example:
        place = Place(tokens, line)
        label, tab, text = decoded(raw, place).partition("\t")
        picture, mark, _ = label.rpartition("#")
        if not tab or not mark:
            raise BadRowError(
                f"expected PICTURE#NUMBER, a tab and a caption in {place}, got {label[:40]!r}; "
                "fetch the corpus again"
            )
        return Example(picture, {"caption": filled(text, "a caption", place)})

    lines = enumerate(read_lines(tokens), start=1)
    rows = ((n, raw) for n, raw in lines if b"#" not in raw or raw.partition(b"#")[0] in wanted)
    said: dict[str, list[str]] = {}
    for example in collect(rows, caption, on_bad_row):
        said.setdefault(example.id, []).append(str(example.fields["caption"]))
    return said


def _first_folder(folder: Path, names: Sequence[str]) -> Path:
    """The first of these folders that is there, else the folder that they would be in."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def _there(folder: Path, files: Sequence[str]) -> bool:
    return any((folder / f"{file}{end}").is_file() for file in files for end in ("", ".gz"))
