"""Checkpoints: weights as safetensors, the rest loaded with ``weights_only=True``.

A checkpoint is committed once its ``step-N.pt`` exists; that file is renamed into place last.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.data.batch_plan import Position
from multiattn.errors import UserError
from multiattn.files import DAMAGE_ERRORS, atomic_replace, write_bytes
from multiattn.run_folder import RunFolder
from multiattn.training.weights import (
    load_weights,
    read_weights,
    save_weights,
    weights_to_bytes,
)


@dataclass(frozen=True)
class Progress:
    """The progress of a run. All randomness of a step is a function of the seed and these counts.

    position: of the next step in the batch plan.
    best: (step, score) of the checkpoints to average, best first.
    waited: validations since the best score.
    log_bytes: the length of the log, which is truncated to it on resume.
    seconds: time spent training, validation not counted.
    reported: whether the validation that is due after the step, and the end of an epoch, are done.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    best: tuple[tuple[int, float], ...] = ()
    waited: int = 0
    log_bytes: int = 0
    seconds: float = 0.0
    reported: bool = True


def rank_checkpoints(
    best: Sequence[tuple[int, float]], step: int, score: float, keep: int, higher_is_better: bool
) -> tuple[tuple[int, float], ...]:
    """Add a score and keep the ``keep`` best, best first; ties go to the later step."""
    sign = -1.0 if higher_is_better else 1.0
    ordered = sorted([*best, (step, score)], key=lambda entry: (sign * entry[1], -entry[0]))
    return tuple(ordered[:keep])


def save(run: RunFolder, progress: Progress, model: nn.Module, rest: Mapping[str, Any]) -> None:
    """Commit a checkpoint; ``model.safetensors`` becomes the mean of the best (or the newest).

    The weights are written before the commit, so that they are never older than it; only in a new
    run after it, because a run with weights must be able to continue. A kill between the two is
    repaired by ``discard_unfinished``.
    rest: a tree of dicts, lists, numbers and tensors. Raises UserError if writing fails.
    """
    newest = _weights_file(run, progress.step)
    with atomic_replace(newest) as beside:
        save_weights(model, beside)
    best = _best_files(run, progress)
    if newest in best and run.has_checkpoint:
        write_bytes(run.weights, weights_to_bytes(average_weights(best)))
    content = io.BytesIO()
    torch.save({"progress": asdict(progress), **rest}, content)
    write_bytes(newest.with_suffix(".pt"), content.getvalue())
    discard_unfinished(run, progress)
    _prune(run, keep={newest, newest.with_suffix(".pt"), *best})


def discard_unfinished(run: RunFolder, progress: Progress) -> None:
    """Write ``model.safetensors`` if a run with this checkpoint lacks it."""
    if not run.weights.exists():
        write_bytes(run.weights, weights_to_bytes(average_weights(_best_files(run, progress))))


def load(run: RunFolder, model: nn.Module) -> tuple[Progress, dict[str, Any]] | None:
    """Load the newest checkpoint's weights into ``model``; return its progress and the rest.

    Returns None if there is no checkpoint. Raises UserError for a damaged file.
    """
    committed = sorted(run.checkpoints.glob("step-*.pt"))
    if not committed:
        return None
    progress, rest = _load_rest(committed[-1])
    load_weights(model, committed[-1].with_suffix(".safetensors"))
    return progress, rest


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Average the weights of checkpoints in float64; integer tensors are those of the first."""
    first, *others = map(read_weights, files)
    if not others:
        return first
    return {
        name: _mean([leaf, *(other[name] for other in others)])
        if leaf.is_floating_point()
        else leaf
        for name, leaf in first.items()
    }


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(tensors[0].dtype)


def _best_files(run: RunFolder, progress: Progress) -> list[Path]:
    """The checkpoints to average; before the first validation, the newest."""
    steps = [step for step, _ in progress.best] or [progress.step]
    return [_weights_file(run, step) for step in steps]


def _weights_file(run: RunFolder, step: int) -> Path:
    return run.checkpoints / f"step-{step:08d}.safetensors"


def _load_rest(path: Path) -> tuple[Progress, dict[str, Any]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        rest = {name: content[name] for name in ("optimizer", "scaler", "window")}
        fields = dict(content["progress"])
        position, best = Position(**fields.pop("position")), fields.pop("best")
        return Progress(position=position, best=tuple(map(tuple, best)), **fields), rest
    except (*DAMAGE_ERRORS, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise UserError(
            f"expected a complete checkpoint, got {path}, which is truncated or damaged; "
            "restore it from a copy, or start a new run with another --out"
        ) from error


def _prune(run: RunFolder, keep: set[Path]) -> None:
    for file in run.checkpoints.iterdir():
        if file not in keep and re.fullmatch(
            r"\.?step-\d+\.(pt|safetensors)(\.partial)?", file.name
        ):
            file.unlink()
