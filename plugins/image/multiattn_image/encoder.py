"""The image encoder: a network of torchvision or timm, frozen or trained, whose grid is the memory.

Letters: B images, D width of a slot, h × w grid cells, S = h · w slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from multiattn import Grid, Memory, Probability, UserError
from multiattn_image.backbone import (
    apply_parts,
    build_network,
    grid_channels,
    part_names,
    remove_parts_after,
    split_parts,
    to_grid,
)
from multiattn_image.reader import ImageSpec
from multiattn_image.timm_backbone import PREFIX, TimmGrid, timm_version
from multiattn_image.timm_weights import load_timm_weights
from multiattn_image.weights import load_weights

# Mean and standard deviation of ImageNet's pixels in [0, 1]; all torchvision weights expect them.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Level = Annotated[int, Field(strict=True, ge=0)] | str
# How many images pass through the frozen parts together. The number is constant because kernels
# are chosen by batch size and round differently. On a CPU one at a time is as fast as many.
FROZEN_BATCH_SIZE, FROZEN_BATCH_SIZE_ON_CPU = 32, 1


class CNNGrid(nn.Module):
    """The last feature grid of a convolutional network or vision transformer, one slot per cell.

    backbone: a classification network of torchvision, by its name there, or ``timm/NAME``.
    weights: the initial weights: ``imagenet`` or another name of torchvision's weights, ``timm``
        for those of a timm backbone, the path of a file below the data root, or ``none``. A
        finished run saves its own weights.
    cut: the part whose output is the grid, by torchvision's name (``features.28``); "": the last.
        For timm: a level of its ``feature_info``, by index or module; of several levels, the grids
        are resampled to the first one's cells and put side by side.
    grid: cells per side to which the grid is average-pooled; None: the backbone's own grid.
    train_from: the first part of the backbone that is trained; None: all parts are frozen; "": all
        are trained. Frozen parts stay in evaluation mode, and their output is rounded to float16
        (for timm, only if all are frozen: the frozen part alone has no output to be cached).
    normalisation: ``slots`` applies layer normalisation (Ba et al. 2016) to each slot, because the
        values of one network can be a thousand times those of another; or ``none``. Levels side
        by side are normalised one by one.
    projection_dim: width of a linear layer with ReLU applied to each slot; 0: no such layer.
    dropout: on the slots; not on the summary, which is their mean.
    Raises UserError for an unknown part or backbone, and for images of an unsuitable size.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        input_spec: ImageSpec,
        *,
        backbone: str = "squeezenet1_0",
        weights: str = "imagenet",
        cut: Level | tuple[Level, ...] = "",
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
        self.backbone: nn.Module
        if backbone.startswith(PREFIX):
            self._use_timm(backbone, cut, train_from)
        else:
            self._use_torchvision(backbone, cut, train_from)
        width = sum(self.widths)
        self.normalisation = _layer_norm(self.widths) if normalisation == "slots" else nn.Identity()
        self.projection = nn.Linear(width, projection_dim) if projection_dim else None
        self.dropout = nn.Dropout(dropout)
        self.out_dim = self.summary_dim = projection_dim or width

    def _use_torchvision(self, name: str, cut: object, train_from: str | None) -> None:
        if not isinstance(cut, str):
            raise UserError(
                f"expected as cut the name of one part of torchvision's {name}, got {cut!r}; "
                f"levels by number, or several, need a backbone of timm: {PREFIX}NAME"
            )
        self.backbone = build_network(name, self.spec.size)
        names = remove_parts_after(self.backbone, part_names(self.backbone), cut)
        self.widths = [grid_channels(self.backbone, names, self.spec.channels, self.spec.size)]
        self._freeze(*split_parts(names, train_from))
        self._set_normalisation(IMAGENET_MEAN, IMAGENET_DEVIATION)

    def _use_timm(self, name: str, cut: Level | tuple[Level, ...], train_from: str | None) -> None:
        levels = None if cut == "" else (cut,) if isinstance(cut, int | str) else cut
        self.backbone = network = TimmGrid(name, levels, self.spec)
        self.feature_settings = {**self.feature_settings, "timm": timm_version()}
        self.widths = network.widths
        self._freeze(*split_parts(network.parts, None if train_from is None else ""))
        if train_from:
            network.freeze_before(train_from)
        self._set_normalisation(network.mean, network.deviation)

    def _freeze(self, frozen_parts: list[str], trainable_parts: list[str]) -> None:
        self.frozen_parts, self.trainable_parts = frozen_parts, trainable_parts
        self.last_part = [*frozen_parts, *trainable_parts][-1]
        # Channels last: twice as fast on a CPU, and no slower elsewhere.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.backbone.requires_grad_(not frozen_parts)
        for name in trainable_parts:
            self.backbone.get_submodule(name).requires_grad_(True)

    def _set_normalisation(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))

    @property
    def frozen(self) -> bool:
        """Whether there are frozen parts, whose output ``features`` may be cached."""
        return bool(self.frozen_parts)

    def start_from(self, data_root: Path) -> str:
        """Load the backbone's initial weights; result and errors as for ``load_weights``."""
        if isinstance(self.backbone, TimmGrid):
            return load_timm_weights(self.backbone, self.weights, data_root)
        name = str(self.feature_settings["backbone"])
        return load_weights(self.backbone, self.weights, name, data_root)

    def train(self, mode: bool = True) -> CNNGrid:
        """Keep frozen parts in evaluation mode: no batch statistics, no dropout."""
        super().train(mode)
        for name in self.frozen_parts:
            self.backbone.get_submodule(name).eval()
        return self

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode images (B, 3, H, W), uint8, all of one size; lengths (B,) are ignored."""
        return self.forward_features(self.features(inputs, lengths))

    @torch.no_grad()
    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The output of the frozen parts, (B, h, w, D) in float16, channels last.

        An image's features are the same, to the bit, whatever else is in the batch. Without frozen
        parts they are the normalised images themselves, in the encoder's precision.
        """
        with torch.autocast(inputs.device.type, enabled=False):
            images = (inputs.to(self.mean.dtype) / 255 - self.mean) / self.deviation
            if not self.frozen_parts:
                return _to_channels_last(images)
            return _to_channels_last(_apply_in_fixed_batches(self._apply_frozen, images)).half()

    def forward_features(self, features: Tensor) -> Memory:
        """The memory from the output of ``features``.

        values: (B, S, D), row by row. summary: (B, D), the mean of the slots.
        """
        values = _to_channels_first(features.to(self.mean.dtype))
        if self.trainable_parts:
            values = self._pool(apply_parts(self.backbone, self.trainable_parts, values))
        height, width = values.shape[2:]
        slots = self.normalisation(values.flatten(2).transpose(1, 2))  # (B, S, D)
        if self.projection is not None:
            slots = F.relu(self.projection(slots))
        mask = torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device)
        return Memory(self.dropout(slots), mask, Grid(height, width), slots.mean(1))

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """A batch of two random images, small ones unless the backbone has a fixed input size."""
        name = str(self.feature_settings["backbone"])
        has_fixed_size = name.startswith(PREFIX) or "vit" in name
        size = self.spec.size if has_fixed_size else min(self.spec.size, 64)
        return torch.randint(256, (2, 3, size, size), dtype=torch.uint8), torch.ones(2).long()

    def _apply_frozen(self, images: Tensor) -> Tensor:
        """Apply the frozen parts to normalised images (B, 3, H, W)."""
        values = images.contiguous(memory_format=torch.channels_last)
        values = apply_parts(self.backbone, self.frozen_parts, values)
        return values if self.trainable_parts else self._pool(values)

    def _pool(self, values: Tensor) -> Tensor:
        """The last part's output as a grid (B, D, h, w), pooled where ``grid`` is set."""
        values = to_grid(self.backbone, self.last_part, values)
        return values if self.grid is None else F.adaptive_avg_pool2d(values, self.grid)


class LevelNorm(nn.Module):
    """Layer normalisation of each level of a slot by itself."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    def forward(self, slots: Tensor) -> Tensor:
        """Normalise slots (B, S, D), D being the sum of the widths."""
        levels = torch.split(slots, self.widths, -1)
        return torch.cat([norm(level) for norm, level in zip(self.norms, levels, strict=True)], -1)


def _layer_norm(widths: Sequence[int]) -> nn.Module:
    return nn.LayerNorm(widths[0]) if len(widths) == 1 else LevelNorm(widths)


def _apply_in_fixed_batches(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply ``function`` to batches of a fixed size, the last one padded with zeros."""
    size = FROZEN_BATCH_SIZE_ON_CPU if images.device.type == "cpu" else FROZEN_BATCH_SIZE
    padded = F.pad(images, (0,) * 7 + (-len(images) % size,))
    return torch.cat([function(batch) for batch in torch.split(padded, size)])[: len(images)]


def _to_channels_last(values: Tensor) -> Tensor:
    """(B, D, h, w) -> (B, h, w, D), contiguous in memory; tokens (B, S, D) keep their shape."""
    return (values.permute(0, 2, 3, 1) if values.dim() == 4 else values).contiguous()


def _to_channels_first(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2) if values.dim() == 4 else values
