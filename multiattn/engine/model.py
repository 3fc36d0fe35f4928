"""The model: encoders, decoder and heads as one module. It is built from names, never import paths.

Letters: B batch, S slots, D memory width, M real target tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from multiattn.engine.decoder import Feeding, Output
from multiattn.engine.memory import Memory, scatter_rows
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.engine.batch import Batch, Inputs


@dataclass(frozen=True)
class Absent:
    """The layout of a source that no input of a batch has."""

    kind: str = "absent"


class Model(nn.Module):
    """Encoders by source name, one decoder, and the heads that objectives asked for."""

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoder: nn.Module,
        heads: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(dict(encoders))
        self.decoder: Any = decoder
        self.heads = nn.ModuleDict(dict(heads))

    def encode(self, sources: Mapping[str, Inputs], batch_size: int) -> dict[str, Memory]:
        """One memory of B rows per source; inputs that lack a source are masked in it."""
        return {
            name: self._encode(encoder, sources.get(name), batch_size)
            for name, encoder in self.encoders.items()
        }

    def _encode(self, encoder: Any, inputs: Inputs | None, batch_size: int) -> Memory:
        if inputs is None or not len(inputs.rows):
            return absent_memory(encoder, batch_size, next(self.decoder.parameters()))
        memory: Memory = (
            encoder.forward_features(inputs.values)
            if inputs.features
            else encoder(inputs.values, inputs.lengths)
        )
        if len(inputs.rows) == batch_size:
            return memory
        return scatter_rows(memory, inputs.rows, batch_size)

    def forward(
        self, batch: Batch, keep: tuple[str, ...] = (), feeding: Feeding | None = None
    ) -> tuple[dict[str, Memory], Output]:
        """Memories, and scores of every real target token under teacher forcing or ``feeding``."""
        memories = self.encode(batch.sources, len(batch.ids))
        return memories, self.decoder(batch.targets, memories, feeding, keep)


def absent_memory(encoder: Any, batch_size: int, like: Tensor) -> Memory:
    """A memory of one masked slot, for a batch in which nobody has the source."""
    summary_dim = getattr(encoder, "summary_dim", 0)
    return Memory(
        like.new_zeros(batch_size, 1, encoder.out_dim),
        torch.zeros(batch_size, 1, dtype=torch.bool, device=like.device),
        Absent(),
        like.new_zeros(batch_size, summary_dim) if summary_dim else None,
    )


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors; of tied ones the first."""
    state = model.state_dict()
    shared = _shared_names(state)
    leaves = {name: leaf.contiguous() for name, leaf in state.items() if name not in shared}
    path.write_bytes(save(leaves))


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights that ``save_weights`` wrote into ``model``.

    Raises UserError for a file that is missing, damaged or of another model.
    """
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise UserError(f"expected weights at {path}, found no file; train the run first") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"expected safetensors weights, {path} cannot be read ({error}); it may be truncated: "
            "restore it or train again"
        ) from error
    own = model.state_dict()
    shared = _shared_names(own)
    expected = {name: leaf.shape for name, leaf in own.items() if name not in shared}
    found = {name: leaf.shape for name, leaf in state.items()}
    wrong = sorted({name for name, _ in expected.items() ^ found.items()})
    if wrong:
        raise UserError(
            f"expected the weights of this recipe's model, {path} differs in {', '.join(wrong[:5])}"
            f"{' …' if len(wrong) > 5 else ''}; use the recipe that wrote it"
        )
    model.load_state_dict(state, strict=False)  # a tied tensor has its first name only


def _shared_names(state: Mapping[str, Tensor]) -> set[str]:
    """Names after the first of tensors that lie in the same place (tied weights)."""
    seen: dict[int, str] = {}
    return {
        name
        for name, leaf in state.items()
        if leaf.numel() and seen.setdefault(leaf.data_ptr(), name) != name
    }
