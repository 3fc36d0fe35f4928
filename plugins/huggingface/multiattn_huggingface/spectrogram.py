"""Whisper's log-mel spectrogram, as ``WhisperFeatureExtractor`` computes it.

Letters: B recordings, L samples, M mel bands, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAMES_PER_SLOT = 2  # the stride of Whisper's second convolution
SMALLEST_POWER, DYNAMIC_RANGE = 1e-10, 8.0


class WhisperSpectrogram(nn.Module):
    """Waveforms (B, L), padded to the model's length -> log-mel spectrograms (B, M, T).

    processor: of ``preprocessor_config.json``. slots: of the encoder, for its whole input.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, processor: Mapping[str, Any], slots: int) -> None:
        from transformers import WhisperFeatureExtractor

        super().__init__()
        extractor: Any = WhisperFeatureExtractor.from_dict(dict(processor))
        self.fft, self.hop = extractor.n_fft, extractor.hop_length
        self.samples_per_slot = FRAMES_PER_SLOT * self.hop
        self.samples = slots * self.samples_per_slot
        filters = torch.from_numpy(extractor.mel_filters.T).float()  # (M, F)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.fft), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """The spectrogram of each waveform with its own dynamic range."""
        dtype = waveforms.dtype
        padded = F.pad(waveforms, (0, self.samples - waveforms.size(1)))
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = torch.stft(
                padded, self.fft, self.hop, window=self.window.to(dtype), return_complex=True
            )
            power = spectrum[..., :-1].abs().square()  # (B, F, T)
            mel = (self.filters.to(dtype) @ power).clamp(min=SMALLEST_POWER).log10()
            mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - DYNAMIC_RANGE)
        return (mel + 4.0) / 4.0
