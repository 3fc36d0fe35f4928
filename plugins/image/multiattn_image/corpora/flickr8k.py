"""Flickr8k, in tables, as released, in Karpathy's layout or in Kaggle's. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    TableRow,
    collect_examples,
    decode_line,
    find_splits,
    first_existing,
    read_lines,
    require_text,
    table_examples,
)
from multiattn_image.corpora.annotations import karpathy_examples
from multiattn_image.corpora.caption_tables import CaptionTables
from multiattn_image.corpora.captioned_images import (
    ImageFolder,
    captioned_example,
    first_folder,
    has_any_file,
    merge_by_image,
    write_images,
)


class Flickr8k:
    """Flickr8k (Hodosh et al. 2013): 8,000 photographs, five captions each.

    The first of these layouts that exists is read. All but the last have the splits ``train``,
    ``dev`` and ``test``:

    - a table per split, ``SPLIT.jsonl`` (id, image, captions), see ``CaptionTables``;
    - Karpathy's ``dataset_flickr8k.json``, whose ``val`` is ``dev``;
    - as released, ``Flickr_8k.SPLITImages.txt`` and ``Flickr8k.token.txt``, in the folder or in
      ``Flickr8k_text``;
    - as on Kaggle, one ``captions.txt`` (CSV: image, caption), whose only split is ``train``; the
      recipe can cut others off it, such as ``splits: {validation: 5%, test: 5%}``.

    images: the folder of the image files, relative to the corpus folder; without it, the first
        that exists of ``images``, ``Images``, ``Flicker8k_Dataset`` (the released spelling) and
        ``Flickr8k_Dataset``.
    """

    image_folders = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")
    karpathy_files = ("dataset_flickr8k.json", "dataset.json")
    split_file = "Flickr_8k.{split}Images.txt"
    kaggle_file = "captions.txt"

    def __init__(self, folder: Path, *, images: str = "") -> None:
        self._folder = folder
        self._tables = CaptionTables(folder)
        self._texts = first_folder(folder, ["Flickr8k_text"])
        self._images = folder / images if images else first_folder(folder, self.image_folders)
        if images and self._tables.splits():
            raise UserError(
                f"expected no `images` for tables, whose paths are relative to {folder}, got "
                f"{images!r}; remove the setting"
            )

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two images with two captions each, in the layout as released."""
        names = write_images(folder / "Flicker8k_Dataset")
        lines = [f"{name}#{number}\tone colour" for name in names for number in range(2)]
        (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
        (folder / "Flickr_8k.trainImages.txt").write_text("\n".join(names) + "\n")
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the tables; without any, the splits of the layout."""
        if self._tables.splits():
            return self._tables.splits()
        if has_any_file(self._folder, self.karpathy_files):
            return ("dev", "test", "train")
        released = tuple(sorted(find_splits(self._texts, self.split_file)))
        if not released and has_any_file(self._folder, [self.kaggle_file]):
            return ("train",)
        return released

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the photographs of a split with their captions.

        A bad row raises BadRowError naming file and line; given ``on_bad_row``, the message goes
        there and the row is left out.
        """
        if self._tables.splits():
            return self._tables.examples(split, on_bad_row)
        image_folder = ImageFolder.resolve(self._images)
        if has_any_file(self._folder, self.karpathy_files):
            file = first_existing(self._folder, self.karpathy_files)
            karpathy_split = {"dev": "val"}.get(split, split)
            return karpathy_examples(file, karpathy_split, image_folder, on_bad_row)
        if split == "train" and not find_splits(self._texts, self.split_file):
            return self._kaggle_examples(image_folder, on_bad_row)
        return self._released_examples(split, image_folder, on_bad_row)

    def _kaggle_examples(
        self, image_folder: ImageFolder, on_bad_row: OnBadRow | None
    ) -> Sequence[Example]:
        def make_example(row: TableRow) -> Example:
            name = row.text("image")
            path = image_folder.image_path(name, row.place)
            return captioned_example(Path(name).stem, path, row.text("caption"), row.place)

        table = first_existing(self._folder, [self.kaggle_file])
        return merge_by_image(table_examples(table, make_example, on_bad_row))

    def _released_examples(
        self, split: str, image_folder: ImageFolder, on_bad_row: OnBadRow | None
    ) -> Sequence[Example]:
        image_list = first_existing(self._texts, [self.split_file.replace("{split}", split)])
        token_file = first_existing(self._texts, ["Flickr8k.token.txt"])
        rows = [(n, raw.strip()) for n, raw in enumerate(read_lines(image_list), start=1)]
        captions = _read_token_captions(token_file, {raw for _, raw in rows}, on_bad_row)

        def make_example(line: int, raw: bytes) -> Example:
            location = FileLine(image_list, line)
            name = require_text(decode_line(raw, location), "the name of an image", location)
            if name not in captions:
                raise BadRowError(
                    f"expected captions of {name}, which {location} lists, in {token_file}, got "
                    "none; complete the file, or leave such rows out with training.bad_rows=skip"
                )
            path = image_folder.image_path(name, location)
            return captioned_example(Path(name).stem, path, captions[name], location)

        return merge_by_image(collect_examples(rows, make_example, on_bad_row))


def _read_token_captions(
    token_file: Path, image_names: set[bytes], on_bad_row: OnBadRow | None
) -> dict[str, list[str]]:
    """Captions by image name, from lines ``IMAGE#NUMBER<tab>CAPTION``.

    Lines of images outside ``image_names`` are skipped; lines without a ``#`` are bad rows.
    """

    def make_caption(line: int, raw: bytes) -> Example:
        location = FileLine(token_file, line)
        label, tab, text = decode_line(raw, location).partition("\t")
        image_name, mark, _ = label.rpartition("#")
        if not tab or not mark:
            raise BadRowError(
                f"expected IMAGE#NUMBER, a tab and a caption in {location}, got {label[:40]!r}; "
                "fetch the corpus again"
            )
        return Example(image_name, {"caption": require_text(text, "a caption", location)})

    rows = (
        (line, raw)
        for line, raw in enumerate(read_lines(token_file), start=1)
        if b"#" not in raw or raw.partition(b"#")[0] in image_names
    )
    captions: dict[str, list[str]] = {}
    for example in collect_examples(rows, make_caption, on_bad_row):
        captions.setdefault(example.id, []).append(str(example.fields["caption"]))
    return captions
