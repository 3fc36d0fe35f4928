"""torchvision's networks as parts in a row, cut to their last grid. It refuses to know of weights.

A part is a child of the network, or of its ``features``, ``layers`` or ``blocks``, under the name
that torchvision gives it: ``layer4`` of a ResNet, ``features.12`` of a SqueezeNet. What turns the
grid into classes is taken off.

Letters: B pictures, D channels of the grid, h × w its cells, S = h · w.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import isqrt

import torch
from torch import Tensor, nn
from torchvision import models

from multiattn.errors import UserError
from multiattn.registry.schema import suggestion

GROUPS = ("features", "layers", "blocks", "encoder", "encoder.layers")  # taken apart, in order
HEADS = ("avgpool", "flatten", "classifier", "fc", "head", "heads")
BRANCHED = ("googlenet", "inception_v3")  # these change what they read, or have more than one end


def build_network(name: str, size: int) -> nn.Module:
    """A network of torchvision's, freshly initialised, without its head.

    size: pixels a side, which a vision transformer is built for.
    Raises UserError for a name that is not there, and for a size that the network cannot take.
    """
    known = [known for known in models.list_models(module=models) if known not in BRANCHED]
    if name not in known:
        raise UserError(
            f"expected as backbone a network of torchvision whose parts follow one another, got "
            f"{name!r}; {suggestion(name, known)}"
        )
    try:
        settings = {"image_size": size} if name.startswith("vit_") else {}
        with torch.device("cpu"):  # some compute their widths with tensors
            network: nn.Module = models.get_model(name, weights=None, **settings)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"expected pictures of a size that {name} is made for, got {size} ({error}); "
            "change the reader's size"
        ) from error
    for head in HEADS:
        if hasattr(network, head):
            delattr(network, head)
    return network.to(torch.get_default_device())


def part_names(network: nn.Module) -> list[str]:
    """The parts of a network without a head, in the order in which they are computed."""
    return list(_parts(network, ""))


def _parts(module: nn.Module, above: str) -> list[str]:
    names: list[str] = []
    for name, child in module.named_children():
        full = f"{above}{name}"
        names += _parts(child, f"{full}.") if full in GROUPS else [full]
    return [name for name in names if name != "encoder.dropout"]  # a transformer's, always 0 here


def cut_after(network: nn.Module, names: Sequence[str], cut: str) -> list[str]:
    """Take the parts after ``cut`` off the network; the names that stay. No cut: all."""
    last = names.index(_known(cut, names, "cut")) + 1 if cut else len(names)
    for name in names[last:]:
        parent, _, own = name.rpartition(".")
        delattr(network.get_submodule(parent), own)
    return list(names[:last])


def split_at(names: Sequence[str], train_from: str | None) -> tuple[list[str], list[str]]:
    """The parts that are frozen and those that learn: none for None, all for ""."""
    if train_from is None:
        return list(names), []
    first = names.index(_known(train_from, names, "train_from")) if train_from else 0
    return list(names[:first]), list(names[first:])


def _known(name: str, names: Sequence[str], setting: str) -> str:
    if name not in names:
        raise UserError(
            f"expected as {setting} a part of the backbone, got {name!r}; "
            f"{suggestion(name, names)} (in their order: {', '.join(names)})"
        )
    return name


def apply(network: nn.Module, names: Sequence[str], values: Tensor) -> Tensor:
    """Put values through these parts, the one after the other."""
    for name in names:
        values = network.get_submodule(name)(values)
        if name == "conv_proj":
            values = _as_tokens(network, values)
    return values


def _as_tokens(network: nn.Module, patches: Tensor) -> Tensor:
    """Patches (B, D, h, w) as a vision transformer reads them (Dosovitskiy 2021, eq. 1)."""
    first = network.get_parameter("class_token").expand(len(patches), -1, -1)  # (B, 1, D)
    tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], 1)  # (B, 1 + S, D)
    return tokens + network.get_parameter("encoder.pos_embedding")


def as_grid(network: nn.Module, last: str, values: Tensor) -> Tensor:
    """What the part ``last`` gives as a grid (B, D, h, w).

    A vision transformer's slots without the class token; a Swin transformer's channels go to the
    front, where ``permute``, its last part, has not brought them.
    """
    if values.dim() == 3:
        side = isqrt(values.size(1) - 1)
        return values[:, 1:].transpose(1, 2).reshape(len(values), -1, side, side)
    if isinstance(network, models.SwinTransformer) and last != "permute":
        return values.permute(0, 3, 1, 2)
    return values


def grid_width(network: nn.Module, names: Sequence[str], channels: int, size: int) -> int:
    """The channels D of the grid of pictures of this size; nothing is computed.

    Raises UserError for pictures too small for the network.
    """
    shapes = deepcopy(network).to("meta").eval()
    try:
        values = apply(shapes, names, torch.empty(1, channels, size, size, device="meta"))
    except (AssertionError, RuntimeError) as error:
        raise UserError(
            f"expected pictures large enough for the encoder's backbone, got {size} pixels a side; "
            "raise the reader's size, or cut the backbone earlier"
        ) from error
    return as_grid(shapes, names[-1], values).size(1)
