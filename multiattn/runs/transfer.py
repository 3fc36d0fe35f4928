"""Initialise a run with another run's weights, matching vocabulary rows token by token.

Parameters are matched by name. A dimension is indexed by a vocabulary if it grows when the model is
built with a larger vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from multiattn.data.collation import FittedReader
from multiattn.engine.model import Model
from multiattn.errors import UserError
from multiattn.runs.processors import TARGET, Processors
from multiattn.runs.system import System, build_model


def transfer_weights(model: Model, processors: Processors, other: System) -> str:
    """Copy every weight that both models have; return a sentence that says how much was copied.

    Tokens that the other run lacks keep their initial rows. Raises UserError if no parameter fits.
    """
    followed = _vocabulary_dimensions(other)
    shared = _shared_pieces(processors, other.processors)
    theirs = other.model.state_dict()
    copied: dict[str, int] = {}  # numbers per tensor
    left = []
    for name, own in model.state_dict().items():
        given = theirs.get(name, own.new_empty(0))
        dimensions = followed.get(name, {})
        fitting = _fit(given, own, dimensions, shared)
        marks = torch.ones_like(given, dtype=torch.bool), torch.zeros_like(own, dtype=torch.bool)
        taken = _fit(*marks, dimensions, shared)
        if fitting is None or taken is None:
            left.append(name)
            continue
        own.copy_(fitting)  # a state dict shares its tensors with the model
        copied[name] = int(taken.sum())
    sizes = {name: leaf.numel() for name, leaf in model.named_parameters()}
    share = sum(copied.get(name, 0) for name in sizes) / sum(sizes.values())
    if not share:
        raise UserError(
            f"expected weights that fit this recipe in {other.run.path}, got none of the same "
            "name and shape; start from a run of a similar recipe"
        )
    name = other.run.path.resolve().name
    facts = [f"{math.floor(100 * share) or '<1'}% of the weights from the run {name}"]
    if known := [pieces.describe() for pieces in shared.values() if pieces is not None]:
        facts.append(f"it knows {' and '.join(known)}")
    if left:
        facts.append(f"{len(left)} tensors keep their initial values: {', '.join(left[:5])}")
    return "; ".join(facts)


@dataclass(frozen=True)
class SharedPieces:
    """The pieces of a vocabulary (of a source, or TARGET) that another run knows too.

    rows: pairs of its row here and there. size: the number of pieces here.
    """

    side: str
    rows: Sequence[tuple[int, int]]
    size: int

    def describe(self) -> str:
        where = f"the source {self.side}" if self.side != TARGET else "the target"
        return f"{len(self.rows):,} of {self.size:,} pieces of {where}"


def _shared_pieces(mine: Processors, theirs: Processors) -> dict[str, SharedPieces | None]:
    """Per vocabulary what two runs share; None if it is the same vocabulary in both."""
    shared: dict[str, SharedPieces | None] = {}
    for side in (*mine.readers, TARGET):
        here, there = mine.tokenizer_of(side), theirs.tokenizer_of(side)
        if _learned_files(mine, side) == _learned_files(theirs, side):
            shared[side] = None
        elif here is not None and there is not None:
            known = {piece: row for row, piece in enumerate(there.vocabulary)}
            own = enumerate(here.vocabulary)
            rows = [(row, known[piece]) for row, piece in own if piece in known]
            shared[side] = SharedPieces(side, rows, len(here.vocabulary))
    return shared


def _fit(
    given: Tensor,
    own: Tensor,
    dimensions: Mapping[int, str],
    shared: Mapping[str, SharedPieces | None],
) -> Tensor | None:
    """``own`` with the rows of ``given`` for shared pieces; None if the shapes do not fit."""
    for dimension, side in dimensions.items():
        if side not in shared or own.dim() != given.dim():
            return None
        if (pieces := shared[side]) is None:
            continue
        to, origin = torch.tensor(pieces.rows).unbind(1)
        rows = given.index_select(dimension, origin)
        if rows.movedim(dimension, 0).shape[1:] != own.movedim(dimension, 0).shape[1:]:
            return None
        given = own.clone().index_copy_(dimension, to, rows)
    return given if given.shape == own.shape else None


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


def _learned_files(processors: Processors, side: str) -> dict[str, bytes]:
    """Every file that the source (or TARGET) would write into a run folder, by file name."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        reader = processors.readers.get(side)
        if isinstance(reader, FittedReader):
            reader.save(folder)
        if processors.tokenizer_of(side) is processors.tokenizer:
            processors.tokenizer.save(folder / "target")
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}
