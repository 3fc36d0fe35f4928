"""Encodes waveforms as a memory: filterbanks, time reduction, a deep bidirectional LSTM.

Letters: B batch, L samples, F frames, S slots, H width of one direction.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from multiattn import Memory, Probability, Time, UserError
from multiattn.layers import (
    bidirectional,
    encode_in_groups,
    final_states,
    length_mask,
    one_direction,
)
from multiattn_audio.encoder.augmentation import SpecAugment, spec_augment
from multiattn_audio.encoder.feature_normalisation import (
    GlobalNormalisation,
    UtteranceNormalisation,
)
from multiattn_audio.encoder.filterbank import (
    check_bands,
    hop_seconds,
    log_mel_filterbank,
    max_frames,
)
from multiattn_audio.encoder.time_reduction import (
    FrameConvolutions,
    PlaneConvolutions,
    concatenate_pairs,
    halve_lengths,
)
from multiattn_audio.reader import AudioSpec

NORMALISATIONS: dict[str, Any] = {
    "utterance": UtteranceNormalisation,
    "global": GlobalNormalisation,
}
DEFAULT_AUGMENTATION = SpecAugment()


class FilterbankBiLSTM(nn.Module):
    """Log-mel filterbanks, normalisation, SpecAugment, time reduction, bidirectional LSTM.

    bands: number of mel bands; windows are 25 ms long, every 10 ms.
    reduction: how frames become slots of ``slot_frames`` each. ``planes``: 3 × 3 convolutions over
        time and bands. ``frames``: convolutions over time alone. ``pyramid``: neighbouring slots
        are concatenated after each of the first layers (Chan et al. 2016); this is the slowest,
        because the first layer runs over every frame.
    projection_dim: width of a tanh layer on each LSTM layer's outputs; 0 for none.
    dropout: on the inputs of each layer and on the slots, not on the final states.
    Raises UserError for a pyramid with too few layers, and for more bands than the sampling rate
    allows.
    """

    any_length = True

    def __init__(
        self,
        input_spec: AudioSpec,
        *,
        bands: Annotated[int, Field(ge=4)] = 80,
        normalisation: Literal["utterance", "global"] = "utterance",
        augmentation: SpecAugment = DEFAULT_AUGMENTATION,
        reduction: Literal["planes", "frames", "pyramid"] = "planes",
        slot_frames: Literal[1, 2, 4, 8] = 4,
        hidden_dim: PositiveInt = 320,
        layers: PositiveInt = 3,
        projection_dim: NonNegativeInt = 0,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        check_bands(bands, input_spec.sample_rate_hz)
        self.spec, self.bands, self.slot_frames = input_spec, bands, slot_frames
        self.normalisation = NORMALISATIONS[normalisation](bands)
        self.augmentation = augmentation
        halvings = slot_frames.bit_length() - 1
        self.pyramid_steps = halvings if reduction == "pyramid" else 0
        if self.pyramid_steps >= layers:
            raise UserError(
                f"expected more than {self.pyramid_steps} layers for reduction 'pyramid' to slots "
                f"of {slot_frames} frames, got {layers}; add layers or lower slot_frames"
            )
        self.reduction: Any = (
            PlaneConvolutions(bands, halvings)
            if reduction == "planes"
            else FrameConvolutions(bands, halvings - self.pyramid_steps, hidden_dim)
        )
        self.dropout = nn.Dropout(dropout)
        self.out_dim = projection_dim or 2 * hidden_dim
        self.summary_dim = 2 * hidden_dim
        widths: list[int] = [self.reduction.out_dim]
        widths += [self.out_dim * (1 + (layer <= self.pyramid_steps)) for layer in range(1, layers)]
        self.forwards: Any = nn.ModuleList(one_direction(width, hidden_dim) for width in widths)
        self.backwards: Any = nn.ModuleList(one_direction(width, hidden_dim) for width in widths)
        self.projections: Any = nn.ModuleList(
            nn.Linear(2 * hidden_dim, projection_dim) for _ in widths if projection_dim
        )

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode waveforms (B, L) in [-1, 1] of these lengths (B,) in samples, each at least 1.

        Every input gets at least one slot.
        """
        return self.encode(*self.frontend(inputs, lengths))

    @torch.no_grad()
    def frontend(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, L) -> normalised features (B, F, bands), augmented in training; (B,)."""
        features, frames = log_mel_filterbank(inputs, lengths, self.spec.sample_rate_hz, self.bands)
        features = self.normalisation(features, frames)
        if self.training:
            features = spec_augment(features, frames, self.augmentation)
        return features, frames

    def encode(self, features: Tensor, lengths: Tensor) -> Memory:
        """Encode features (B, F, bands), normalised and zero in padding, of these lengths (B,).

        values: (B, S, out_dim). summary: (B, 2H), the final states of both directions of the last
        layer, at the last slot (forward) and at the first (backward).
        """
        values, summary = encode_in_groups(self._encode, features, lengths)
        for _ in range(self.slot_frames.bit_length() - 1):
            lengths = halve_lengths(lengths)
        seconds = self.slot_frames * hop_seconds(self.spec.sample_rate_hz)
        return Memory(values, length_mask(lengths, values.shape[1]), Time(seconds), summary)

    def slots(self, size: int) -> int:
        """The most slots that a recording of ``size`` hundredths of a second can have."""
        lengths = torch.tensor([max_frames(size)])
        for _ in range(self.slot_frames.bit_length() - 1):
            lengths = halve_lengths(lengths)
        return int(lengths)

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Make a batch of two recordings of noise, 0.2 and 0.1 seconds long."""
        lengths = torch.tensor([self.spec.sample_rate_hz // 5, self.spec.sample_rate_hz // 10])
        noise = 0.1 * torch.randn(2, int(lengths[0]))
        return noise.masked_fill(~length_mask(lengths, noise.shape[1]), 0.0), lengths

    def _encode(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode one group of features: slots (B, S, out_dim), final states (B, 2H)."""
        values, lengths = self.reduction(values, lengths)
        directions = zip(self.forwards, self.backwards, strict=True)
        for layer, (forward_lstm, backward_lstm) in enumerate(directions):
            if 0 < layer <= self.pyramid_steps:
                values, lengths = concatenate_pairs(values, lengths)
            values = self.dropout(values)
            states = bidirectional(values, lengths, forward_lstm, backward_lstm)  # (B, S, 2H)
            values = self._project(states, layer, lengths)
        return self.dropout(values), final_states(states, lengths)

    def _project(self, states: Tensor, layer: int, lengths: Tensor) -> Tensor:
        """Apply the layer's projection, if any, to states (B, S, 2H); zero in padded slots."""
        if not self.projections:
            return states
        mask = length_mask(lengths, states.shape[1])  # (B, S)
        projected = torch.tanh(self.projections[layer](states))
        return projected.masked_fill(~mask.unsqueeze(2), 0.0)
