"""COCO's captions, in its own layout and in Karpathy's. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from multiattn import Example
from multiattn.corpora import OnBadRow, find_splits, first_existing
from multiattn_image.corpora.annotations import coco_examples, karpathy_examples
from multiattn_image.corpora.captioned_images import (
    ImageFolder,
    first_folder,
    has_any_file,
    merge_by_image,
    write_images,
)


class CocoCaptions:
    """COCO captions (Chen et al. 2015): photographs of everyday scenes, five captions each.

    The splits are those of COCO's files, ``annotations/captions_SPLIT.json`` (for test sets
    ``image_info_SPLIT.json``; both may also lie in the corpus folder itself), such as
    ``train2014``, and those of Karpathy's ``dataset_coco.json``: ``train``, ``restval``, ``val``,
    ``test``. Several can be joined by ``+``.

    images: the folder that holds ``train2014`` and so on, relative to the corpus folder; without
        it, ``images`` if that exists, else the corpus folder itself.
    """

    annotation_files = ("captions_{split}.json", "image_info_{split}.json")
    karpathy_files = ("dataset_coco.json", "dataset.json")
    karpathy_splits = ("restval", "test", "train", "val")

    def __init__(self, folder: Path, *, images: str = "") -> None:
        self._folder = folder
        self._annotations = first_folder(folder, ["annotations"])
        self._images = folder / images if images else first_folder(folder, ["images"])

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two images, one of them with two captions."""
        names = write_images(folder / "val2014")
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        captions = ((0, "all red"), (1, "blue"), (1, "all blue"))
        annotations = [{"image_id": number, "caption": caption} for number, caption in captions]
        content = {"images": images, "annotations": annotations}
        (folder / "captions_val2014.json").write_text(json.dumps(content))
        return {}

    def splits(self) -> tuple[str, ...]:
        """The splits of COCO's files, and Karpathy's where his file exists."""
        split_sets = (find_splits(self._annotations, file) for file in self.annotation_files)
        coco_splits = sorted(set[str]().union(*split_sets))
        has_karpathy = has_any_file(self._folder, self.karpathy_files)
        return (*coco_splits, *(self.karpathy_splits if has_karpathy else ()))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a split, or several joined by ``+``.

        A bad entry raises BadRowError naming file, list and index; given ``on_bad_row``, the
        message goes there and the entry is left out.
        """
        return merge_by_image(
            example
            for name in split.split("+")
            for example in self._examples_of_one_split(name, on_bad_row)
        )

    def _examples_of_one_split(self, split: str, on_bad_row: OnBadRow | None) -> Sequence[Example]:
        files = [file.replace("{split}", split) for file in self.annotation_files]
        if not has_any_file(self._annotations, files) and has_any_file(
            self._folder, self.karpathy_files
        ):
            file = first_existing(self._folder, self.karpathy_files)
            return karpathy_examples(file, split, ImageFolder.resolve(self._images), on_bad_row)
        image_folder = ImageFolder.resolve(first_folder(self._images, [split]))
        return coco_examples(first_existing(self._annotations, files), image_folder, on_bad_row)
