"""The optimiser: parameter groups, the learning rate schedule, the scheduled sampling rate."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import nn

from multiattn.errors import UserError, shown
from multiattn.recipe.settings import ParameterGroup, ScheduledSamplingSettings, TrainingSettings


def learning_rate_factor(settings: TrainingSettings, step: int) -> float:
    """The factor on the peak learning rate at ``step`` (the first is 1).

    Linear warm-up to 1 at ``warmup_steps``; then constant, a straight line or half a cosine that
    would reach 0 one step after the last, or Vaswani's 1 / √step (2017, eq. 3).
    """
    if step <= settings.warmup_steps:
        return step / settings.warmup_steps
    after = (step - 1 - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    match settings.schedule:
        case "constant":
            return 1.0
        case "linear":
            return max(0.0, 1.0 - after)
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, after)))
        case "inverse-sqrt":
            return math.sqrt(max(1, settings.warmup_steps) / step)


def sampling_rate(settings: ScheduledSamplingSettings | None, step: int) -> float:
    """The share of input tokens that are the model's own at ``step`` (Bengio et al. 2015)."""
    if settings is None:
        return 0.0
    share = min(1.0, (step - 1) / settings.over_steps)
    return settings.start + (settings.end - settings.start) * share


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, each group with its ``peak`` learning rate.

    A parameter belongs to the first group whose pattern is found in its name. Parameters of
    ``frozen`` groups no longer require gradients. Raises UserError for a pattern that no parameter
    matches, and if every parameter is frozen.
    """
    members = _members(model, settings.groups)
    groups: list[dict[str, Any]] = []
    for group, parameters in members:
        if group.frozen:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        if learning:
            decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
            peak = settings.learning_rate * group.learning_rate_factor
            rates = {"lr": peak, "peak": peak, "weight_decay": decay}
            groups.append({"params": learning, "pattern": group.pattern, **rates})
    if not groups:
        raise UserError("every parameter is frozen; leave some out of training.groups")
    return torch.optim.AdamW(groups, betas=settings.adam_betas, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def learning_rates(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, step: int
) -> dict[str, float]:
    """The recipe's learning rate at a step, and that of each group under its pattern, for a log.

    An optimiser restored from a checkpoint of an older version knows no patterns.
    """
    own = {
        f"learning_rate/{group['pattern']}": float(group["lr"])
        for group in optimizer.param_groups
        if group.get("pattern")
    }
    return {"learning_rate": settings.learning_rate * learning_rate_factor(settings, step), **own}


def _members(
    model: nn.Module, groups: tuple[ParameterGroup, ...]
) -> list[tuple[ParameterGroup, list[nn.Parameter]]]:
    """Every parameter once, under the first group that matches it; the last group is the rest."""
    everything = ParameterGroup(pattern="")
    patterns = [*map(_compiled, groups), re.compile("")]
    parameters: list[list[nn.Parameter]] = [[] for _ in patterns]
    names = [name for name, _ in model.named_parameters()]
    for name, parameter in model.named_parameters():
        first = next(index for index, pattern in enumerate(patterns) if pattern.search(name))
        parameters[first].append(parameter)
    for group, pattern in zip(groups, patterns, strict=False):
        if not any(pattern.search(name) for name in names):
            raise UserError(
                f"training.groups: expected a pattern that some parameter matches, got "
                f"{shown(group.pattern)}; the parameters are {', '.join(names)}"
            )
    return list(zip([*groups, everything], parameters, strict=True))


def _compiled(group: ParameterGroup) -> re.Pattern[str]:
    try:
        return re.compile(group.pattern)
    except re.error as error:
        raise UserError(
            f"training.groups: expected a regular expression, got {shown(group.pattern)} ({error})"
        ) from error
