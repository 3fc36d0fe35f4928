"""timm's networks up to one or several of their feature grids; timm is imported when one is built.

Letters: B images, D channels of the grid, h × w grid cells, N prefix tokens, S = h · w.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import isqrt
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn import UserError, suggestion
from multiattn_image.reader import ImageSpec

PREFIX = "timm/"
BUILD_ERRORS = (AssertionError, RuntimeError, TypeError, ValueError)
Level = int | str


def timm_version() -> str:
    """The version of timm, on which its networks' features depend."""
    return importlib.metadata.version("timm")


class TimmGrid(nn.Module):
    """A timm network whose output is the grid (B, D, h, w) of its last or of chosen levels.

    Parameters keep timm's names, below ``network``; what the grid does not need is removed.

    name: ``timm/NAME`` or ``timm/NAME.TAG``, as in ``timm.list_models(pretrained=True)``.
    levels: indices into the network's ``feature_info``, or the names of its modules; several grids
        are resampled to the first one and put side by side. None: the output of
        ``forward_features``, without class and register tokens.
    widths: D of each level. mean, deviation: of the pixels for which timm's weights are made.
    names_in_timm: of all tensors of the whole network.
    Raises UserError for unknown names, and for images of an unsuitable size.
    """

    parts = ("",)  # by the names of ``backbone``: the whole of it

    def __init__(self, name: str, levels: Sequence[Level] | None, spec: ImageSpec) -> None:
        super().__init__()
        self.name, self.spec = name, spec
        self.network: nn.Module
        self.config, self.network = _build(name, spec)
        self.mean: tuple[float, ...] = self.config.mean
        self.deviation: tuple[float, ...] = self.config.std
        self.names_in_timm = frozenset(self.network.state_dict())
        self._frozen_names: list[str] = []
        self.levels = None if levels is None else _level_indices(self.network, levels, name)
        self.widths = self._remove_what_the_grid_does_not_need()

    def forward(self, images: Tensor) -> Tensor:
        """The grid (B, D, h, w) of normalised images (B, 3, H, W)."""
        grids = self._grids(images)
        size = grids[0].shape[2:]
        return torch.cat([_resample(grid, size) for grid in grids], 1)

    def train(self, mode: bool = True) -> TimmGrid:
        """Keep the parts before the first trained one in evaluation mode."""
        super().train(mode)
        for name in self._frozen_names:
            self.network.get_submodule(name).eval()
        return self

    def freeze_before(self, first: str) -> None:
        """Freeze all parameters before the part ``first``; raises UserError if it is none."""
        names = _part_names(self.network)
        within = [name for name in names if f"{name}.".startswith(f"{first}.")]
        if not within:
            known = {*names, *(name.partition(".")[0] for name in names)}
            raise UserError(
                f"expected as train_from a part of {self.name}, got {first!r}; "
                f"{suggestion(first, known)}"
            )
        self._frozen_names = names[: names.index(within[0])]
        self.network.requires_grad_(False)
        for name in names[len(self._frozen_names) :]:
            self.network.get_submodule(name).requires_grad_(True)

    def _grids(self, images: Tensor) -> list[Tensor]:
        """The grid (B, D, h, w) of each level."""
        network: Any = self.network
        if self.levels is None:
            return [_to_grid(network, network.forward_features(images), self.name)]
        ordered = sorted(self.levels)
        grids: list[Tensor] = network.forward_intermediates(
            images, indices=ordered, intermediates_only=True, stop_early=True, output_fmt="NCHW"
        )
        return [grids[ordered.index(level)] for level in self.levels]

    def _remove_what_the_grid_does_not_need(self) -> list[int]:
        """Replace modules whose parameters get no gradient from the grid; return the widths."""
        trial = deepcopy(self).to("meta").eval()
        size = self.spec.size
        try:
            grids = trial._grids(torch.empty(1, self.spec.channels, size, size, device="meta"))
            torch.autograd.backward([grid.sum() for grid in grids])
        except BUILD_ERRORS as error:
            raise UserError(
                f"expected images of a size that {self.name} is made for, got {size} ({error}); "
                f"set the reader's size to {self.config.input_size[-1]}"
            ) from error
        widths = [grid.size(1) for grid in grids]
        expected = [_width(self.network, level) for level in self.levels or (None,)]
        if widths != expected:
            raise UserError(
                f"expected grids with {expected} channels from {self.name}, got {widths}; "
                "cut it elsewhere, or choose another backbone"
            )
        used = {name for name, leaf in trial.network.named_parameters() if leaf.grad is not None}
        _remove_unused(self.network, used, "")
        return widths


def import_timm(name: str) -> ModuleType:
    """The library. Raises UserError if it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"expected timm for the backbone {name}, got {error}; "
            "pip install 'multiattn-image[timm]'"
        ) from error
    return timm


def _build(name: str, spec: ImageSpec) -> tuple[Any, nn.Module]:
    """The configuration of timm's weights, and the network, freshly initialised."""
    timm = import_timm(name)
    own_name = name.removeprefix(PREFIX)
    architecture = own_name.partition(".")[0]
    try:
        config = timm.get_pretrained_cfg(own_name) if timm.is_model(architecture) else None
    except RuntimeError:  # an unknown tag
        config = None
    if config is None:
        known = timm.list_models(f"{architecture}.*", pretrained=True) or timm.list_models()
        close = difflib.get_close_matches(own_name, known)
        hint = f"did you mean {' or '.join(PREFIX + each for each in close)}?" if close else ""
        raise UserError(
            f"expected as backbone {PREFIX} and a network of timm {timm_version()}, got {name!r}; "
            f"{hint or 'timm.list_models() lists them'}"
        )
    try:
        with torch.device("cpu"):  # some constructors compute widths with tensors
            network: nn.Module = timm.create_model(
                own_name, in_chans=spec.channels, **size_settings(config, spec)
            )
    except BUILD_ERRORS as error:
        raise UserError(
            f"expected images of a size that {name} is made for, got {spec.size} ({error}); "
            f"set the reader's size to {config.input_size[-1]}"
        ) from error
    return config, network.to(torch.get_default_device())


def size_settings(config: Any, spec: ImageSpec) -> dict[str, int]:
    """What a network that takes one size of images is built with."""
    return {"img_size": spec.size} if config.fixed_input_size else {}


def _level_indices(network: nn.Module, levels: Sequence[Level], name: str) -> list[int]:
    """Indices into ``feature_info``. Raises UserError for unknown or equal levels, or none."""
    modules = [str(info["module"]) for info in _feature_info(network)]
    found = [
        modules.index(level) if level in modules else level for level in levels
    ]  # a level is a name or already an index
    indices = [level for level in found if isinstance(level, int) and level < len(modules)]
    if len(indices) < len(levels) or len(set(indices)) < len(levels) or not levels:
        listed = ", ".join(f"{index} ({module})" for index, module in enumerate(modules))
        raise UserError(
            f"expected as cut different levels of {name}, got {list(levels)}; "
            f"choose from {listed or 'none: leave cut out'}"
        )
    return indices


def _feature_info(network: nn.Module) -> list[Mapping[str, Any]]:
    infos: Any = getattr(network, "feature_info", ())
    return list(infos)


def _width(network: nn.Module, level: int | None) -> int:
    """The channels that timm states for a level, None: for the output of ``forward_features``."""
    if level is None:
        return int(getattr(network, "num_features", 0))
    return int(_feature_info(network)[level]["num_chs"])


def _to_grid(network: nn.Module, values: Any, name: str) -> Tensor:
    """The output of ``forward_features`` as (B, D, h, w): from tokens (B, N + S, D) or a grid."""
    shape = tuple(values.shape) if isinstance(values, Tensor) else (type(values).__name__,)
    grid: Tensor
    if len(shape) == 4:
        grid = values.permute(0, 3, 1, 2) if _has_channels_last(network) else values
        return grid
    if len(shape) == 3:
        tokens = values[:, int(getattr(network, "num_prefix_tokens", 0)) :]
        side = isqrt(tokens.size(1))
        if side**2 == tokens.size(1):
            grid = tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
            return grid
    raise UserError(
        f"expected a grid of features from {name}, got {shape}; choose another backbone"
    )


def _has_channels_last(network: nn.Module) -> bool:
    return str(getattr(network, "output_fmt", "NCHW")) == "NHWC"


def _resample(grid: Tensor, size: Sequence[int]) -> Tensor:
    """A grid (B, D, h, w) averaged to fewer cells, or interpolated linearly to more."""
    if grid.shape[2:] == tuple(size):
        return grid
    if grid.size(2) > size[0]:
        return F.adaptive_avg_pool2d(grid, (size[0], size[1]))
    return F.interpolate(grid, (size[0], size[1]), mode="bilinear", align_corners=False)


def _remove_unused(module: nn.Module, used: set[str], prefix: str) -> None:
    """Replace every module whose parameters are all unused by the identity."""
    for name, child in module.named_children():
        own = [f"{prefix}{name}.{leaf}" for leaf, _ in child.named_parameters()]
        if own and not used.intersection(own):
            setattr(module, name, nn.Identity())
        elif not used.issuperset(own):
            _remove_unused(child, used, f"{prefix}{name}.")


def _part_names(network: nn.Module) -> list[str]:
    """The modules with parameters in the order in which they are computed, sequences opened."""
    names: list[str] = []
    for name, child in network.named_children():
        opened = isinstance(child, nn.Sequential | nn.ModuleList)
        children = dict(child.named_children()) if opened else {"": child}
        names += [
            f"{name}.{key}".rstrip(".")
            for key, part in children.items()
            if next(part.parameters(), None) is not None
        ]
    return names
