"""torchvision's networks as sequences of parts, cut off at their last feature grid.

A part is a child module of the network, or of its ``features``, ``layers`` or ``blocks``, under
torchvision's own name: ``layer4`` of a ResNet, ``features.12`` of a SqueezeNet. The head, which
turns the grid into class scores, is removed.

Letters: B images, D channels of the grid, h × w grid cells, S = h · w.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import isqrt

import torch
from torch import Tensor, nn
from torchvision import models

from multiattn import UserError, suggestion

CONTAINERS = ("features", "layers", "blocks", "encoder", "encoder.layers")  # hold the parts
HEADS = ("avgpool", "flatten", "classifier", "fc", "head", "heads")
NOT_SEQUENTIAL = ("googlenet", "inception_v3")  # transform their input, or have auxiliary outputs


def build_network(name: str, size: int) -> nn.Module:
    """A torchvision network, freshly initialised, without its head.

    size: side of the images in pixels; a vision transformer is built for one size.
    Raises UserError for an unknown name, and for a size that the network cannot take.
    """
    names = [model for model in models.list_models(module=models) if model not in NOT_SEQUENTIAL]
    if name not in names:
        raise UserError(
            f"expected as backbone a torchvision network whose parts form a sequence, got "
            f"{name!r}; {suggestion(name, names)}"
        )
    try:
        settings = {"image_size": size} if name.startswith("vit_") else {}
        with torch.device("cpu"):  # some constructors compute widths with tensors
            network: nn.Module = models.get_model(name, weights=None, **settings)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"expected images of a size that {name} is made for, got {size} ({error}); "
            "change the reader's size"
        ) from error
    for head in HEADS:
        if hasattr(network, head):
            delattr(network, head)
    return network.to(torch.get_default_device())


def part_names(network: nn.Module) -> list[str]:
    """The parts of a network without a head, in the order in which they are computed."""
    return _part_names_below(network, "")


def _part_names_below(module: nn.Module, prefix: str) -> list[str]:
    names: list[str] = []
    for child_name, child in module.named_children():
        name = f"{prefix}{child_name}"
        names += _part_names_below(child, f"{name}.") if name in CONTAINERS else [name]
    return [name for name in names if name != "encoder.dropout"]  # a transformer's, always 0 here


def remove_parts_after(network: nn.Module, names: Sequence[str], cut: str) -> list[str]:
    """Remove the parts after ``cut`` and return the names of the rest; "" removes none."""
    count = names.index(_check_part_name(cut, names, "cut")) + 1 if cut else len(names)
    for name in names[count:]:
        parent, _, child = name.rpartition(".")
        delattr(network.get_submodule(parent), child)
    return list(names[:count])


def split_parts(names: Sequence[str], train_from: str | None) -> tuple[list[str], list[str]]:
    """The frozen parts and the trainable ones; None: all are frozen, "": all are trainable."""
    if train_from is None:
        return list(names), []
    first = names.index(_check_part_name(train_from, names, "train_from")) if train_from else 0
    return list(names[:first]), list(names[first:])


def _check_part_name(name: str, names: Sequence[str], setting: str) -> str:
    if name not in names:
        raise UserError(
            f"expected as {setting} a part of the backbone, got {name!r}; "
            f"{suggestion(name, names)} (in their order: {', '.join(names)})"
        )
    return name


def apply_parts(network: nn.Module, names: Sequence[str], values: Tensor) -> Tensor:
    """Apply these parts one after the other."""
    for name in names:
        values = network.get_submodule(name)(values)
        if name == "conv_proj":
            values = _patches_to_tokens(network, values)
    return values


def _patches_to_tokens(network: nn.Module, patches: Tensor) -> Tensor:
    """Patches (B, D, h, w) as a vision transformer's input tokens (Dosovitskiy 2021, eq. 1)."""
    class_token = network.get_parameter("class_token").expand(len(patches), -1, -1)  # (B, 1, D)
    tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], 1)  # (B, 1 + S, D)
    return tokens + network.get_parameter("encoder.pos_embedding")


def to_grid(network: nn.Module, last_part: str, values: Tensor) -> Tensor:
    """The output of the part ``last_part`` as a grid (B, D, h, w).

    The class token of a vision transformer is dropped. A Swin transformer has its channels last
    until ``permute``, its last part; when it is cut before that, they are moved here.
    """
    if values.dim() == 3:
        side = isqrt(values.size(1) - 1)
        return values[:, 1:].transpose(1, 2).reshape(len(values), -1, side, side)
    if isinstance(network, models.SwinTransformer) and last_part != "permute":
        return values.permute(0, 3, 1, 2)
    return values


def grid_channels(network: nn.Module, names: Sequence[str], channels: int, size: int) -> int:
    """The channels D of the grid for images of this size, computed from shapes alone.

    Raises UserError for images too small for the network.
    """
    meta_network = deepcopy(network).to("meta").eval()
    try:
        images = torch.empty(1, channels, size, size, device="meta")
        values = apply_parts(meta_network, names, images)
    except (AssertionError, RuntimeError) as error:
        raise UserError(
            f"expected images large enough for the encoder's backbone, got {size} pixels a side; "
            "raise the reader's size, or cut the backbone earlier"
        ) from error
    return to_grid(meta_network, names[-1], values).size(1)
