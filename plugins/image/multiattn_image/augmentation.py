"""A training picture is never seen twice alike: crop, flip, colours, by torchvision's transforms.

It refuses to know what is learnt: a flip makes left of right, which captions may name.
"""

from __future__ import annotations

import PIL.Image
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import Generator
from torchvision.transforms import v2

from multiattn.registry.schema import Strict

Range = tuple[PositiveFloat, PositiveFloat]


class Augmentation(Strict):
    """How far a picture may be changed (Szegedy et al. 2015; torchvision's names).

    scale: the share of the picture that a crop covers, from and to; (1, 1) for as much as fits.
    ratio: its width over its height, from and to, before it is made square.
    flip: how often left and right are exchanged; 0 where captions tell them apart.
    brightness, contrast, saturation: a factor drawn from 1 - x to 1 + x; 0 leaves it.
    hue: a shift by up to x of the colour circle.
    """

    scale: Range = (0.6, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    brightness: NonNegativeFloat = 0.0
    contrast: NonNegativeFloat = 0.0
    saturation: NonNegativeFloat = 0.0
    hue: float = Field(default=0.0, ge=0.0, le=0.5)

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high or (name == "scale" and high > 1):
                most = ", at most 1" if name == "scale" else ""
                raise ValueError(f"expected {name} from low to high{most}, got {low} and {high}")
        return self


def augmenter(settings: Augmentation, size: int) -> v2.Transform:
    """What makes another size × size picture of one, by torch's global generator."""
    colours = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(size, settings.scale, settings.ratio),
        v2.RandomHorizontalFlip(settings.flip),
    ]
    return v2.Compose([*steps, v2.ColorJitter(*colours)] if any(colours) else steps)


def augmented(
    image: PIL.Image.Image, transform: v2.Transform, generator: Generator
) -> PIL.Image.Image:
    """Transform as the generator chooses.

    torchvision's transforms draw from the global generator: it is lent, and given back as it was.
    """
    with torch.random.fork_rng(devices=()):
        seed = int(torch.randint(2**62, (), generator=generator))
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach accelerators too
        changed: PIL.Image.Image = transform(image)
    return changed
