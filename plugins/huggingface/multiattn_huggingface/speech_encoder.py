"""The speech encoder: waveforms in, one slot per frame of the model.

Letters: B recordings, L samples, M mel bands, S slots, D width of a slot; K as in ``encoder``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from multiattn import Probability, Time, UserError
from multiattn.layers import length_mask
from multiattn_huggingface.encoder import Layer
from multiattn_huggingface.families import SpeechModelSpec
from multiattn_huggingface.sequence_encoder import BiLSTM, SequenceEncoder
from multiattn_huggingface.spectrogram import WhisperSpectrogram

HUNDREDTHS_PER_SECOND = 100
NORMALISATION_EPSILON = 1e-7  # as in Wav2Vec2FeatureExtractor


class SpeechBiLSTM(BiLSTM):
    """As ``BiLSTM``. joined: how many neighbouring slots become one before the first layer."""

    joined: Literal[1, 2, 4] = 1


class SpeechEncoder(SequenceEncoder):
    """The encoder of Whisper, wav2vec 2.0 or HuBERT; what they compute of a waveform is inside.

    Whisper's input is padded to 30 s, as in its training; slots past a recording's end are cut
    off. The others' batches are masked, so that padding changes nothing.

    layer, train_from: see ``HuggingFaceEncoder``.
    gradient_checkpointing: recompute the layers in the backward pass: less memory, more time.
    projection_dim: width of a linear layer with ReLU applied to each slot; 0: no such layer.
    bilstm: layers of its own above the model.
    dropout: on the slots; not on the summary, which is their mean, or the final states of the LSTM.
    Raises UserError for a model of another kind and for layers that it does not have.
    """

    def __init__(
        self,
        input_spec: SpeechModelSpec,
        *,
        layer: Layer = -1,
        train_from: NonNegativeInt | None = None,
        gradient_checkpointing: bool = False,
        projection_dim: NonNegativeInt = 0,
        bilstm: SpeechBiLSTM | None = None,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(
            input_spec,
            "speech",
            layer=layer,
            train_from=train_from,
            gradient_checkpointing=gradient_checkpointing,
            projection_dim=projection_dim,
            dropout=dropout,
        )
        self.add_bilstm(bilstm, 1 if bilstm is None else bilstm.joined)
        config: Any = self.network.config
        processor = json.loads(input_spec.processor)
        self.rate = input_spec.sample_rate_hz
        self.normalises = bool(processor.get("do_normalize", True))
        self.spectrogram: WhisperSpectrogram | None = None
        if config.model_type == "whisper":
            self.spectrogram = WhisperSpectrogram(processor, config.max_source_positions)
            self.hop = self.spectrogram.samples_per_slot
        else:
            self.hop = math.prod(config.conv_stride)

    def outputs(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The layers in use, (B, S, K, D), for waveforms (B, L) in [-1, 1]."""
        waveforms = inputs * length_mask(lengths, inputs.size(1))
        counts = self._count(lengths)
        encode = self._encode if self.spectrogram is None else self._encode_whisper
        return encode(waveforms, lengths, counts).transpose(1, 2), counts

    def layout(self) -> Time:
        """A slot is a stretch of time."""
        return Time(self.joined * self.hop / self.rate)

    def slots(self, size: int) -> int:
        """The slots of a recording of ``size`` hundredths of a second, rounded up."""
        slots = int(self._count(torch.tensor(size * self.rate // HUNDREDTHS_PER_SECOND)))
        return math.ceil(slots / self.joined)

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Noise of three lengths."""
        lengths = torch.tensor([400, 160, 250]) * max(1, self.hop // 20)
        return torch.randn(3, int(lengths.max())) / 4, lengths

    def _count(self, lengths: Tensor) -> Tensor:
        """The slots of recordings with these lengths in samples, at least one."""
        if self.spectrogram is not None:
            return lengths.add(self.hop - 1).div(self.hop, rounding_mode="floor").clamp(min=1)
        counts = lengths.clamp(min=self._receptive_field())
        config: Any = self.network.config
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            counts = (counts - kernel).div(stride, rounding_mode="floor") + 1
        return counts

    def _receptive_field(self) -> int:
        """The samples that one slot of wav2vec 2.0 depends on; a shorter recording is padded."""
        config: Any = self.network.config
        field = 1
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            field = (field - 1) * stride + kernel
        return field

    def _encode_whisper(self, waveforms: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """The kept layers of Whisper's encoder, (B, K, S, D)."""
        assert self.spectrogram is not None  # noqa: S101
        if int(lengths.max()) > self.spectrogram.samples:
            raise too_long(int(lengths.max()) / self.rate, self.spectrogram.samples / self.rate)
        output = self.network(self.spectrogram(waveforms), output_hidden_states=True)
        return self.kept(output.hidden_states, output.last_hidden_state)[:, :, : int(counts.max())]

    def _encode(self, waveforms: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """The kept layers of wav2vec 2.0 or HuBERT, (B, K, S, D)."""
        if self.normalises:
            waveforms = _normalised(waveforms, lengths)
        frames = self._frames(waveforms, lengths)  # (B, S, C)
        projected = self.network.feature_projection(frames)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = length_mask(counts, hidden.size(1))
        layers = self.network.get_submodule(self.family.layers)
        states: list[Tensor] = []
        hooks = _collecting(layers, states)
        try:
            last = self.network.encoder(hidden.clone(), attention_mask=mask).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return self.kept(states, last)

    def _frames(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """The output of the convolutions, (B, S, C).

        A group norm is over the whole recording, so padding would change it: one at a time.
        """
        field = self._receptive_field()
        padded = F.pad(waveforms, (0, max(0, field - waveforms.size(1))))
        if self.network.config.feat_extract_norm != "group":
            frames: Tensor = self.network.feature_extractor(padded)
            return frames.transpose(1, 2)
        rows = [
            self.network.feature_extractor(padded[[row], : max(field, length)])[0].T
            for row, length in enumerate(lengths.tolist())
        ]
        return pad_sequence(rows, batch_first=True)


def too_long(seconds: float, limit: float) -> UserError:
    """The refusal of a recording that the model cannot take."""
    return UserError(
        f"expected a recording of at most {limit:g} s, which is all that Whisper takes, got one of "
        f"{seconds:.1f} s; cut it at its pauses, as predict does with --set "
        "sources.NAME.segmenter=energy"
    )


def _normalised(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Mean 0 and variance 1 over each recording's own samples; zero past its end."""
    mask = length_mask(lengths, waveforms.size(1)).to(waveforms.dtype)
    count = lengths.unsqueeze(1).to(waveforms.dtype)
    centred = (waveforms - waveforms.sum(1, keepdim=True) / count) * mask
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / (variance + NORMALISATION_EPSILON).sqrt()


def _collecting(layers: Iterable[nn.Module], states: list[Tensor]) -> list[Any]:
    """Hooks that append the input of the first layer and the output of each to ``states``."""
    first, *_ = layers

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        states.append(inputs[0])

    def after(module: nn.Module, inputs: object, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    return [
        first.register_forward_pre_hook(before),
        *(layer.register_forward_hook(partial(after)) for layer in layers),
    ]
