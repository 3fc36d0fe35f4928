"""Reads images, from a file, bytes, an array or a dataset, as squares of pixels.

Letters: R images in a batch, H = W pixels per side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt
from torch import Generator, Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from multiattn import StoredMedia
from multiattn_image.augmentation import Augmentation, augment, build_transform
from multiattn_image.image_files import (
    MAX_MEGAPIXELS,
    ImageInput,
    Interpolation,
    centre_square,
    check_image,
    decode_image,
)


@dataclass(frozen=True)
class ImageSpec:
    """The images that an encoder receives: (channels, size, size), uint8, and how resized."""

    channels: int = 3
    size: int = 224
    interpolation: str = "bilinear"


class ImageReader:
    """Reads an image from a path, bytes, a dataset, a PIL image or an array of uint8.

    An array is (H, W) for grey, (H, W, 3) for RGB or (H, W, 4) for RGB with opacity.

    size: pixels per side; the shorter side is resized to it, the longer one cropped at both ends.
    interpolation: how pixels are resampled, with antialiasing in either case.
    augmentation: random crops, flips and colours, in training only; without it, training reads the
        same square as prediction.
    max_megapixels: a larger image is refused before it is decoded.
    """

    accepts = (bytes, PIL.Image.Image, np.ndarray, StoredMedia)  # besides paths

    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        interpolation: Interpolation = "bilinear",
        augmentation: Augmentation | None = None,
        max_megapixels: PositiveFloat = MAX_MEGAPIXELS,
    ) -> None:
        self._size = size
        self._interpolation: Interpolation = interpolation
        self._transform = (
            None if augmentation is None else build_transform(augmentation, size, interpolation)
        )
        self._max_megapixels = max_megapixels

    @property
    def spec(self) -> ImageSpec:
        """What the encoder is built from."""
        return ImageSpec(3, self._size, self._interpolation)

    @property
    def random(self) -> bool:
        """Whether the same image may be read differently each time."""
        return self._transform is not None

    def measure(self, value: ImageInput) -> int:
        """Always 1: all images have the same size, so a batch's budget counts images.

        Raises UserError for an image that its header or its end shows to be unusable.
        """
        check_image(value, self._max_megapixels)
        return 1

    def read(self, value: ImageInput, generator: Generator | None = None) -> NDArray[np.uint8]:
        """The pixels (3, H, W), uint8.

        A generator is given in training only; it determines the augmentation. Raises UserError for
        an image that is refused.
        """
        image = decode_image(value, self._max_megapixels)
        if generator is None or self._transform is None:
            image = centre_square(image, self._size, self._interpolation)
        else:
            image = augment(image, self._transform, generator)
        pixels: NDArray[np.uint8] = pil_to_tensor(image).numpy()  # (3, H, W)
        return pixels

    def collate(self, items: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        """Stack images to a batch: (R, 3, H, W), with lengths (R,) of 1."""
        return torch.from_numpy(np.stack(items)), torch.ones(len(items), dtype=torch.long)

    def example_values(self, folder: Path) -> list[str]:
        """Write three images of one colour each, of different sizes."""
        paths = [str(folder / f"{colour}.png") for colour in ("red", "green", "blue")]
        for index, path in enumerate(paths):
            size = (self._size + 40 * index, self._size // 2)
            PIL.Image.new("RGB", size, Path(path).stem).save(path)
        return paths

    def labels(self, value: ImageInput) -> list[str]:
        """Slots have no labels: the memory's layout says which grid cells they are."""
        return []
