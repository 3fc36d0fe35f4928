"""Multi30k with nouns and colours masked in the English, so that only the photograph shows them.

The corpus ``multi30k-masked``; ``masked_words.py`` lists the words. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multiattn import Example, UserError
from multiattn.corpora import OnBadRow
from multiattn_text.corpora import Multi30k
from multiattn_text.example_files import write_multi30k
from multiattn_text.masked_words import MASKED_WORDS


class MaskedMulti30k:
    """Multi30k, tokenised, with a field ``masked``: the English with nouns and colours masked.

    The other fields are those of Multi30k: ``en``, ``de``, ``image``. Besides the splits of
    Multi30k there are three to compare with each other. All three hold the lines of val and
    test_2016_flickr that have a photograph, under the same ids:

    - ``pictured``: each line with its photograph;
    - ``pictured-blind``: without photographs;
    - ``pictured-shuffled``: each line with the photograph of another line.

    And ``train-pictured``, ``val-pictured``, ``test_2016_flickr-pictured``: the lines of one split
    that have a photograph.

    photographs: the folder of the images, relative to the corpus folder.
    """

    comparison_splits = ("pictured", "pictured-blind", "pictured-shuffled")
    comparison_sources = ("val", "test_2016_flickr")
    pictured_suffix = "-pictured"

    def __init__(self, folder: Path, *, photographs: str = "../flickr8k") -> None:
        self._multi30k = Multi30k(folder, variant="tok", photographs=photographs)

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two splits of three lines; the last has no photograph."""
        return write_multi30k(folder, folder / "tok")

    def splits(self) -> tuple[str, ...]:
        """List the splits of Multi30k, those of its pictured lines, and those to compare."""
        splits = self._multi30k.splits()
        can_compare = set(self.comparison_sources) <= set(splits)
        return (
            *splits,
            *(f"{split}{self.pictured_suffix}" for split in splits),
            *(self.comparison_splits if can_compare else ()),
        )

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a split.

        Raises UserError as Multi30k does, and where the photographs cannot be shuffled.
        """
        if split not in self.comparison_splits:
            source = split.removesuffix(self.pictured_suffix)
            examples = self._masked_examples(source, on_bad_row)
            return examples if source == split else _with_photograph(examples)
        pictured = _with_photograph(
            [
                example
                for source in self.comparison_sources
                for example in self._masked_examples(source, on_bad_row)
            ]
        )
        if split == "pictured-blind":
            return [_replace_image(example, None) for example in pictured]
        if split == "pictured-shuffled":
            return shuffle_images(pictured)
        return pictured

    def _masked_examples(self, split: str, on_bad_row: OnBadRow | None) -> list[Example]:
        return [
            replace(
                example,
                fields={**example.fields, "masked": MASKED_WORDS.mask(str(example.fields["en"]))},
            )
            for example in self._multi30k.examples(split, on_bad_row)
        ]


def _with_photograph(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.fields["image"]]


def _replace_image(example: Example, image: str | tuple[str, ...] | None) -> Example:
    return replace(example, fields={**example.fields, "image": image})


def shuffle_images(examples: Sequence[Example]) -> list[Example]:
    """Give each example the image of another one.

    The images are rotated by half the length of the list, or by the next larger shift at which
    no example keeps its own file. Raises UserError if there is no such shift.
    """
    images = [example.fields["image"] for example in examples]
    half = len(images) // 2
    for shift in range(half, half + len(images)):
        rotated = [images[(index + shift) % len(images)] for index in range(len(images))]
        if all(own != new for own, new in zip(images, rotated, strict=True)):
            pairs = zip(examples, rotated, strict=True)
            return [_replace_image(example, image) for example, image in pairs]
    raise UserError(
        "expected enough different photographs to give each line that of another, "
        f"got {len(set(images))} for {len(images)} lines; complete the corpus's SPLIT.image files"
    )
