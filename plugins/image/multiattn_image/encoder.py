"""Pictures -> a memory of grid cells: a network of torchvision's, frozen, in part or not at all.

It refuses to know files and words. Letters: B pictures, D width of a slot, h × w cells of the grid,
S = h · w slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from multiattn.engine.layouts import Grid
from multiattn.engine.memory import Memory
from multiattn.registry.schema import Probability
from multiattn_image.backbone import (
    apply,
    as_grid,
    build_network,
    cut_after,
    grid_width,
    part_names,
    split_at,
)
from multiattn_image.reader import ImageSpec
from multiattn_image.weights import load_weights

# Of ImageNet's pictures, in [0, 1]: every network of torchvision's was trained with these.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Pictures that go through frozen parts at once: always as many, because kernels are chosen by the
# shape of a batch, and round differently. On a CPU one at a time is as fast as many.
AT_ONCE, AT_ONCE_ON_A_CPU = 32, 1


class CNNGrid(nn.Module):
    """The last grid of a convolutional network or a vision transformer, a slot for each cell.

    backbone: a classification network of torchvision, by its name there.
    weights: where it starts from: ``imagenet`` or another name of torchvision's weights, the path
        of a file below the data root, or ``none``. A finished run has them in its own weights.
    cut: the part that gives the grid, under torchvision's name (``features.28``); "": the last.
    grid: cells a side, to which the grid is pooled (averages); None: as it comes.
    train_from: the part from which on the backbone learns; None: it is frozen; "": all of it
        learns. Frozen parts stay as in evaluation, and what they give is rounded to float16.
    normalisation: of each slot (Ba et al. 2016, Layer normalization), because the values of one
        network are a thousand times those of another; or none.
    projection_dim: slots go through a linear layer of this width and a ReLU; 0: they do not.
    dropout: on the slots; not on the summary, which is their mean.
    Raises UserError for a part or a backbone that is not there, and for pictures of a wrong size.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        input_spec: ImageSpec,
        *,
        backbone: str = "squeezenet1_0",
        weights: str = "imagenet",
        cut: str = "",
        grid: Annotated[int, Field(ge=1)] | None = None,
        train_from: str | None = None,
        normalisation: Literal["slots", "none"] = "slots",
        projection_dim: NonNegativeInt = 0,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.spec = input_spec
        self.weights = weights
        self.feature_settings: Mapping[str, object] = {
            "backbone": backbone,
            "cut": cut,
            "grid": grid,
            "train_from": train_from,
        }
        self.grid = grid
        self.backbone = build_network(backbone, input_spec.size)
        names = cut_after(self.backbone, part_names(self.backbone), cut)
        width = grid_width(self.backbone, names, input_spec.channels, input_spec.size)
        self.frozen_parts, self.learning_parts = split_at(names, train_from)
        self.last = names[-1]
        # Pixel by pixel, not plane by plane: twice as fast on a CPU, and as fast elsewhere.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.backbone.requires_grad_(not self.frozen_parts)
        for name in self.learning_parts:
            self.backbone.get_submodule(name).requires_grad_(True)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1))
        self.normalisation = nn.LayerNorm(width) if normalisation == "slots" else nn.Identity()
        self.projection = nn.Linear(width, projection_dim) if projection_dim else None
        self.dropout = nn.Dropout(dropout)
        self.out_dim = self.summary_dim = projection_dim or width

    @property
    def frozen(self) -> bool:
        """Whether nothing in ``features`` learns, so that they may be kept."""
        return bool(self.frozen_parts)

    def start_from(self, data_root: Path) -> str:
        """Load the weights of the backbone; says which. Raises UserError, see ``weights.py``."""
        name = str(self.feature_settings["backbone"])
        return load_weights(self.backbone, self.weights, name, data_root)

    def train(self, mode: bool = True) -> CNNGrid:
        """Frozen parts keep their batch statistics and drop nothing."""
        super().train(mode)
        for name in self.frozen_parts:
            self.backbone.get_submodule(name).eval()
        return self

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode pictures (B, 3, H, W), uint8, all of one size; lengths (B,) say nothing."""
        return self.forward_features(self.features(inputs, lengths))

    @torch.no_grad()
    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """What the frozen parts give, (B, h, w, D) in float16, with the channels last.

        A picture's features do not depend on what else is in the batch, to the bit. Where nothing
        is frozen they are the pictures themselves, normalised, in the encoder's precision.
        """
        with torch.autocast(inputs.device.type, enabled=False):
            pictures = (inputs.to(self.mean.dtype) / 255 - self.mean) / self.deviation
            if not self.frozen_parts:
                return _channels_last(pictures)
            return _channels_last(_in_equal_batches(self._frozen, pictures)).half()

    def forward_features(self, features: Tensor) -> Memory:
        """The memory of features as ``features`` gives them.

        values: (B, S, D), row by row. summary: (B, D), the mean of the slots.
        """
        values = _channels_first(features.to(self.mean.dtype))
        if self.learning_parts:
            values = self._pooled(apply(self.backbone, self.learning_parts, values))
        height, width = values.shape[2:]
        slots = self.normalisation(values.flatten(2).transpose(1, 2))  # (B, S, D)
        if self.projection is not None:
            slots = F.relu(self.projection(slots))
        mask = torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device)
        return Memory(self.dropout(slots), mask, Grid(height, width), slots.mean(1))

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two pictures of noise, small ones where the backbone takes any size."""
        fixed = "vit" in str(self.feature_settings["backbone"])
        size = self.spec.size if fixed else min(self.spec.size, 64)
        return torch.randint(256, (2, 3, size, size), dtype=torch.uint8), torch.ones(2).long()

    def _frozen(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (B, 3, H, W) through the frozen parts."""
        values = pictures.contiguous(memory_format=torch.channels_last)
        values = apply(self.backbone, self.frozen_parts, values)
        return values if self.learning_parts else self._pooled(values)

    def _pooled(self, values: Tensor) -> Tensor:
        """What the last part gives as the grid (B, D, h, w) that was asked for."""
        values = as_grid(self.backbone, self.last, values)
        return values if self.grid is None else F.adaptive_avg_pool2d(values, self.grid)


def _in_equal_batches(function: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Apply ``function`` to so many pictures at a time; zeros fill the last ones up."""
    at_once = AT_ONCE_ON_A_CPU if pictures.device.type == "cpu" else AT_ONCE
    filled = F.pad(pictures, (0,) * 7 + (-len(pictures) % at_once,))
    return torch.cat([function(part) for part in torch.split(filled, at_once)])[: len(pictures)]


def _channels_last(values: Tensor) -> Tensor:
    """(B, D, h, w) -> (B, h, w, D), in one order in memory; tokens (B, S, D) as they are."""
    return (values.permute(0, 2, 3, 1) if values.dim() == 4 else values).contiguous()


def _channels_first(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2) if values.dim() == 4 else values
