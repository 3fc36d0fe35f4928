"""The model: encoders, decoder and heads as one module.

Letters: B batch, S slots, D memory width, M real target tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from multiattn.engine import fast
from multiattn.engine.decoder import DecoderOutput, Feeding
from multiattn.engine.memory import Memory, MemorySpec, scatter_rows

if TYPE_CHECKING:
    from multiattn.engine.batch import Batch, Inputs


@runtime_checkable
class Encoder(Protocol):
    """The target of an ``Encoder`` record: an ``nn.Module`` built with its ``input_spec``.

    out_dim: the width D of its memory.
    """

    out_dim: int

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """The output of a reader's ``collate`` -> a memory, zero in padded slots."""

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """A small batch of inputs and their lengths, for checks."""


@runtime_checkable
class SummarisingEncoder(Protocol):
    """An encoder whose memory has a summary (B, D')."""

    summary_dim: int


@runtime_checkable
class FeatureEncoder(Protocol):
    """An encoder whose first part may be frozen, with its output cached on disk.

    frozen: whether ``features`` has nothing to train.
    """

    frozen: bool

    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(B, …) float16, of the same shape for all inputs, and deterministic."""

    def forward_features(self, features: Tensor) -> Memory:
        """The rest of the encoder: ``forward`` is ``features``, then this."""


@runtime_checkable
class SequenceFeatureEncoder(Protocol):
    """As ``FeatureEncoder``, for inputs whose features differ in length, such as texts.

    frozen: whether ``sequence_features`` has nothing to train.
    """

    frozen: bool

    def sequence_features(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, …) float16 and lengths (B,), deterministic; what is past a length is ignored."""

    def forward_sequence(self, features: Tensor, lengths: Tensor) -> Memory:
        """The rest of the encoder: ``forward`` is ``sequence_features``, then this.

        features: (B, S, …), zero past each length.
        """


@runtime_checkable
class AnyLengthEncoder(Protocol):
    """An encoder with ``any_length = True``: more padding only adds masked slots to its memory.

    Its inputs (B, L, …), or what its ``frontend`` makes of them, may be longer than the longest of
    a batch. On a GPU they are, so that few shapes serve a whole training. An encoder with learned
    positions has a limit and cannot say so.
    """

    any_length: bool


@runtime_checkable
class FrontendEncoder(Protocol):
    """An encoder that computes features of its inputs first, such as filterbanks of waveforms.

    ``forward`` is ``frontend``, then ``encode``. On a GPU ``encode`` alone runs as a CUDA graph, so
    the frontend may read values back from the device.
    """

    def frontend(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, F, …) and their lengths (B,)."""

    def encode(self, features: Tensor, lengths: Tensor) -> Memory:
        """The rest of the encoder."""


@runtime_checkable
class SelectsFeatureSettings(Protocol):
    """An encoder whose features depend on only some of its settings."""

    feature_settings: Mapping[str, object]


@runtime_checkable
class SlotCountingEncoder(Protocol):
    """An encoder that can compute the length of its memory from the size of an input."""

    def slots(self, size: int) -> int:
        """Number of memory slots of an input whose size, as the reader measures it, is ``size``."""


@runtime_checkable
class PretrainedEncoder(Protocol):
    """An encoder that starts from pretrained weights in a file."""

    def start_from(self, data_root: Path) -> str:
        """Load them; return a few words on where from, or "" for nothing. Raises UserError."""


@dataclass(frozen=True)
class AbsentLayout:
    """The layout of a source that every input of a batch lacks."""

    kind: str = "absent"


class Model(nn.Module):
    """Encoders by source name, one decoder, and the heads that the objectives require."""

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
        self.captured = {name: fast.Captured(f"the encoder of {name!r}") for name in encoders}

    def encode(self, sources: Mapping[str, Inputs], batch_size: int) -> dict[str, Memory]:
        """One memory of B rows per source; rows of inputs that lack the source are masked."""
        return {
            name: self._encode(encoder, sources.get(name), batch_size, self.captured[name])
            for name, encoder in self.encoders.items()
        }

    def _encode(
        self, encoder: Any, inputs: Inputs | None, batch_size: int, captured: fast.Captured
    ) -> Memory:
        if inputs is None or not len(inputs.rows):
            return absent_memory(encoder, batch_size, next(self.decoder.parameters()))
        memory = _memory(encoder, inputs, captured)
        if len(inputs.rows) == batch_size:
            return memory
        return scatter_rows(memory, inputs.rows, batch_size)

    def forward(
        self, batch: Batch, keep: tuple[str, ...] = (), feeding: Feeding | None = None
    ) -> tuple[dict[str, Memory], DecoderOutput]:
        """Memories, and scores of every real target token (teacher forcing, or ``feeding``)."""
        memories = self.encode(batch.sources, len(batch.ids))
        return memories, self.decoder(batch.targets, memories, feeding, keep)


def _memory(encoder: Any, inputs: Inputs, captured: fast.Captured) -> Memory:
    """The memory of the inputs, or of what the encoder's frozen part made of them."""
    values, lengths, encode, part = inputs.values, inputs.lengths, encoder, "all"
    any_length = isinstance(encoder, AnyLengthEncoder) and encoder.any_length
    if inputs.features and isinstance(encoder, SequenceFeatureEncoder):
        encode, part = encoder.forward_sequence, "after features"
    elif inputs.features:
        encode, part, any_length = _after_features(encoder), "after features", False
    elif isinstance(encoder, FrontendEncoder):
        values, lengths = encoder.frontend(values, lengths)
        encode, part = encoder.encode, "after frontend"
    if captured.applies(values.device):
        return fast.encode_batch(
            encode, captured, encoder, values, lengths, part=part, any_length=any_length
        )
    memory: Memory = encode(values, lengths)
    return memory


def _after_features(encoder: FeatureEncoder) -> Callable[[Tensor, Tensor], Memory]:
    return lambda features, _: encoder.forward_features(features)


def absent_memory(encoder: Any, batch_size: int, like: Tensor) -> Memory:
    """A memory of one masked slot, for a batch in which no input has the source."""
    spec = MemorySpec.of(encoder)
    return Memory(
        like.new_zeros(batch_size, 1, spec.dim),
        torch.zeros(batch_size, 1, dtype=torch.bool, device=like.device),
        AbsentLayout(),
        like.new_zeros(batch_size, spec.summary_dim) if spec.summary_dim else None,
    )
