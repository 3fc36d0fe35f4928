"""A picture -> one square of pixels. It refuses to know what is in it.

Letters: R pictures of a batch, H = W pixels a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Generator, Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from multiattn_image.augmentation import Augmentation, augmented, augmenter
from multiattn_image.image_files import MEGAPIXELS, Picture, centre_square, check, decode


@dataclass(frozen=True)
class ImageSpec:
    """What an encoder must know of a picture: (channels, size, size), uint8."""

    channels: int = 3
    size: int = 224


class Image:
    """Reads a picture: a path, the bytes of a file, a PIL image, or an array of uint8.

    An array is (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGB with opacity.

    size: pixels a side; the shorter side is resized to it, and the middle of the longer one kept.
    augmentation: in training, a crop of its own every time, flipped, other colours; none: the same
        square as in prediction.
    max_megapixels: a larger picture is refused before it is decoded.
    """

    accepts = (bytes, PIL.Image.Image, np.ndarray)  # what else than a path a prediction may give

    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        augmentation: Augmentation | None = None,
        max_megapixels: PositiveFloat = MEGAPIXELS,
    ) -> None:
        self._size = size
        self._augment = None if augmentation is None else augmenter(augmentation, size)
        self._max_megapixels = max_megapixels

    @property
    def spec(self) -> ImageSpec:
        """What the encoder is built from."""
        return ImageSpec(3, self._size)

    @property
    def random(self) -> bool:
        """Whether a picture may be read in another way every time."""
        return self._augment is not None

    def measure(self, value: Picture) -> int:
        """Give 1: pictures are all of one size, and a budget counts them.

        Raises UserError for a picture that is refused, as far as its header and its end tell.
        """
        check(value, self._max_megapixels)
        return 1

    def read(self, value: Picture, generator: Generator | None = None) -> Tensor:
        """Give the pixels (3, H, W), uint8.

        A generator means training; it chooses the augmentation. Raises UserError for a picture
        that is refused.
        """
        image = decode(value, self._max_megapixels)
        if generator is None or self._augment is None:
            image = centre_square(image, self._size)
        else:
            image = augmented(image, self._augment, generator)
        pixels: Tensor = pil_to_tensor(image)  # (3, H, W)
        return pixels

    def collate(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Stack pictures to a batch: (R, 3, H, W), lengths (R,) of 1."""
        return torch.stack(list(items)), torch.ones(len(items), dtype=torch.long)

    def labels(self, value: Picture) -> list[str]:
        """No names: slots are cells of a grid, and their layout says of which."""
        return []
