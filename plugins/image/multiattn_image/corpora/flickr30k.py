"""Flickr30k, as released, in Karpathy's layout or in Kaggle's. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    first_existing,
    read_lines,
    require_text,
)
from multiattn_image.corpora.annotations import karpathy_examples
from multiattn_image.corpora.captioned_images import (
    ImageFolder,
    captioned_example,
    first_folder,
    has_any_file,
    merge_by_image,
    write_images,
)

IMAGE_FOLDERS = ("flickr30k-images", "flickr30k_images", "images", "Images")
KARPATHY_FILES = ("dataset_flickr30k.json", "dataset.json")
KAGGLE_HEADER = b"image_name"


class Flickr30k:
    """Flickr30k (Young et al. 2014): 31,783 photographs, five captions each.

    The first of these layouts that exists is read:

    - Karpathy's ``dataset_flickr30k.json``, with the splits ``train``, ``dev`` (its ``val``) and
      ``test``;
    - as released, ``results*.token`` (image#number, tab, caption), or as on Kaggle, ``results.csv``
      (image| number| caption). Their only split is ``train``; the recipe can cut others off it,
      such as ``splits: {validation: 1000, test: 1000}``. Kaggle's file has a damaged row, which
      ``training.bad_rows: skip`` leaves out.

    images: the folder of the image files, relative to the corpus folder; without it, the first
        that exists of ``flickr30k-images``, ``flickr30k_images``, ``images`` and ``Images``, or one
        of the same name within it.
    """

    def __init__(self, folder: Path, *, images: str = "") -> None:
        self._folder = folder
        found = first_folder(folder, IMAGE_FOLDERS)
        self._images = folder / images if images else first_folder(found, IMAGE_FOLDERS)

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two images with two captions each, as released."""
        names = write_images(folder / "flickr30k-images")
        lines = [f"{name}#{number}\tone colour" for name in names for number in range(2)]
        (folder / "results_20130124.token").write_text("\n".join(lines) + "\n")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Those of the layout."""
        if has_any_file(self._folder, KARPATHY_FILES):
            return ("dev", "test", "train")
        return ("train",) if self._caption_files() else ()

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the photographs of a split with their captions.

        A bad row raises BadRowError naming file and line; given ``on_bad_row``, the message goes
        there and the row is left out.
        """
        image_folder = ImageFolder.resolve(self._images)
        if has_any_file(self._folder, KARPATHY_FILES):
            file = first_existing(self._folder, KARPATHY_FILES)
            named = {"dev": "val"}.get(split, split)
            return karpathy_examples(file, named, image_folder, on_bad_row)
        if split != "train":
            raise UserError(
                f"expected the split 'train', the only one of {self._folder}, got {split!r}; "
                "cut others off it, with splits: {validation: 1000, test: 1000} in the recipe"
            )
        files = self._caption_files() or [first_existing(self._folder, ["results.csv"])]
        return _captions(files[0], image_folder, on_bad_row)

    def _caption_files(self) -> list[Path]:
        return [*sorted(self._folder.glob("results*.token")), *self._folder.glob("results.csv")]


def _captions(
    file: Path, image_folder: ImageFolder, on_bad_row: OnBadRow | None
) -> Sequence[Example]:
    """One example per image, from a caption per line."""
    is_table = file.suffix == ".csv"

    def make_example(line: int, raw: bytes) -> Example:
        location = FileLine(file, line)
        text = decode_line(raw, location)
        name, caption = _cut_table(text) if is_table else _cut_token(text)
        if not name:
            form = "IMAGE| NUMBER| CAPTION" if is_table else "IMAGE#NUMBER, a tab and a caption"
            raise BadRowError(
                f"expected {form} in {location}, got {text[:60]!r}; correct the line, or leave "
                "such rows out with training.bad_rows=skip"
            )
        path = image_folder.image_path(name, location)
        caption = require_text(caption, "a caption", location)
        return captioned_example(Path(name).stem, path, caption, location)

    rows = [
        (line, raw)
        for line, raw in enumerate(read_lines(file), start=1)
        if not (is_table and line == 1 and raw.startswith(KAGGLE_HEADER))
    ]
    return merge_by_image(collect_examples(rows, make_example, on_bad_row))


def _cut_token(line: str) -> tuple[str, str]:
    """The image and the caption of ``IMAGE#NUMBER<tab>CAPTION``; no image if it is no such line."""
    label, tab, caption = line.partition("\t")
    return (label.rpartition("#")[0], caption) if tab else ("", "")


def _cut_table(line: str) -> tuple[str, str]:
    """The same of ``IMAGE| NUMBER| CAPTION``."""
    name, *rest = line.split("|", 2)
    return (name.strip(), rest[1].strip()) if len(rest) == 2 else ("", "")
