"""Random crops, flips and colour changes of training images, by torchvision's transforms."""

from __future__ import annotations

import PIL.Image
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import Generator
from torchvision.transforms import v2

from multiattn import Strict
from multiattn_image.image_files import Interpolation

Range = tuple[PositiveFloat, PositiveFloat]


class Augmentation(Strict):
    """How much an image may be changed (Szegedy et al. 2015; torchvision's parameter names).

    scale: range of the share of the image that a crop covers; (1, 1): the largest crop possible.
    ratio: range of the crop's width over its height, before it is resized to a square.
    flip: probability of a horizontal flip; set it to 0 where captions tell left from right.
    brightness, contrast, saturation: a factor is drawn from 1 - x to 1 + x; 0: unchanged.
    hue: a shift of up to x around the colour circle.
    """

    scale: Range = (0.6, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    brightness: NonNegativeFloat = 0.0
    contrast: NonNegativeFloat = 0.0
    saturation: NonNegativeFloat = 0.0
    hue: float = Field(default=0.0, ge=0.0, le=0.5)

    @model_validator(mode="after")
    def _check_ranges(self) -> Augmentation:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high or (name == "scale" and high > 1):
                limit = ", at most 1" if name == "scale" else ""
                raise ValueError(f"expected {name} from low to high{limit}, got {low} and {high}")
        return self


def build_transform(
    settings: Augmentation, size: int, interpolation: Interpolation = "bilinear"
) -> v2.Transform:
    """A random transform to size × size pixels; it draws from torch's global generator."""
    colours = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(
            size, settings.scale, settings.ratio, v2.InterpolationMode(interpolation)
        ),
        v2.RandomHorizontalFlip(settings.flip),
    ]
    return v2.Compose([*steps, v2.ColorJitter(*colours)] if any(colours) else steps)


def augment(
    image: PIL.Image.Image, transform: v2.Transform, generator: Generator
) -> PIL.Image.Image:
    """Apply a random transform whose choices depend on ``generator`` alone.

    torchvision's transforms draw from torch's global generator, which is seeded from ``generator``
    for the call and restored afterwards.
    """
    with torch.random.fork_rng(devices=()):
        seed = int(torch.randint(2**62, (), generator=generator))
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach accelerators too
        augmented: PIL.Image.Image = transform(image)
    return augmented
