"""Initialise a run with another run's weights, matching vocabulary rows token by token.

Parameters are matched by name. A dimension is indexed by a vocabulary if it grows when the model is
built with a larger vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.model import Model
from multiattn.errors import UserError
from multiattn.runs.processors import TARGET, Processors
from multiattn.runs.system import System, build_model


def transfer_weights(model: Model, processors: Processors, other: System) -> str:
    """Copy every weight that both models have; return a sentence that says how much was copied.

    Tokens that the other run lacks keep their initial rows. Raises UserError if no parameter fits.
    """
    followed = _vocabulary_dimensions(other)
    theirs = other.model.state_dict()
    taken, left = set(), []
    for name, own in model.state_dict().items():
        given: Tensor | None = theirs.get(name)
        for dimension, side in followed.get(name, {}).items():
            if given is not None:
                given = _match_tokens(given, own, dimension, side, processors, other.processors)
        if given is None or given.shape != own.shape:
            left.append(name)
            continue
        own.copy_(given)  # a state dict shares its tensors with the model
        taken.add(name)
    sizes = {name: leaf.numel() for name, leaf in model.named_parameters()}
    share = sum(size for name, size in sizes.items() if name in taken) / sum(sizes.values())
    if not share:
        raise UserError(
            f"expected weights that fit this recipe in {other.run.path}, got none of the same "
            "name and shape; start from a run of a similar recipe"
        )
    others = (
        f"; {len(left)} tensors keep their initial values: {', '.join(left[:5])}" if left else ""
    )
    return f"{share:.0%} of the weights from {other.run.path}{others}"


def _vocabulary_dimensions(system: System) -> dict[str, dict[int, str]]:
    """Per parameter, the dimensions indexed by a vocabulary: a source's name or TARGET for each."""
    size, specs = system.processors.tokenizer.size, system.processors.specs
    plain = _shapes(system, specs, size)
    grown = {TARGET: _shapes(system, specs, size + 1)}
    for source, spec in specs.items():
        if hasattr(spec, "vocabulary_size"):
            larger = replace(spec, vocabulary_size=spec.vocabulary_size + 1)
            grown[source] = _shapes(system, {**specs, source: larger}, size)
    return {
        name: {
            dimension: side
            for side, shapes in grown.items()
            for dimension, (old, new) in enumerate(zip(shape, shapes[name], strict=True))
            if old != new
        }
        for name, shape in plain.items()
    }


def _shapes(system: System, specs: dict[str, Any], size: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model, _ = build_model(system.settings, system.host, specs, size)
    return {name: leaf.shape for name, leaf in model.state_dict().items()}


def _match_tokens(
    given: Tensor,
    own: Tensor,
    dimension: int,
    side: str,
    processors: Processors,
    others: Processors,
) -> Tensor | None:
    """``own`` with the rows of ``given`` for shared tokens; None if the shapes do not fit."""
    if _learned_files(processors, side) == _learned_files(others, side):
        return given
    mine, theirs = processors.tokenizer_of(side), others.tokenizer_of(side)
    if mine is None or theirs is None or own.dim() != given.dim():
        return None
    known = {piece: row for row, piece in enumerate(theirs.vocabulary)}
    pairs = [(row, known[piece]) for row, piece in enumerate(mine.vocabulary) if piece in known]
    to, origin = torch.tensor(pairs).unbind(1)
    rows = given.index_select(dimension, origin)
    if rows.movedim(dimension, 0).shape[1:] != own.movedim(dimension, 0).shape[1:]:
        return None
    return own.clone().index_copy_(dimension, to, rows)


def _learned_files(processors: Processors, side: str) -> dict[str, bytes]:
    """Every file that the source (or TARGET) would write into a run folder, by file name."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        if side in processors.readers:
            processors.readers[side].save(folder)
        if processors.tokenizer_of(side) is processors.tokenizer:
            processors.tokenizer.save(folder / "target")
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}
