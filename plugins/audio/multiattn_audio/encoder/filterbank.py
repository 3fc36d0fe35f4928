"""Log-mel filterbanks as Kaldi defines them.

Letters: B batch, L samples, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi

from multiattn import UserError
from multiattn.layers import length_mask

WINDOW_MS = 25.0
HOP_MS = 10.0
LOWEST_HZ = 20.0
INT16_SCALE = 2.0**15  # Kaldi works on unscaled 16-bit samples


def hop_seconds(sample_rate_hz: int) -> float:
    """The distance between frames: ten milliseconds, rounded down to whole samples."""
    return _samples_in(HOP_MS, sample_rate_hz) / sample_rate_hz


def check_bands(bands: int, sample_rate_hz: int) -> None:
    """Raise UserError if there are so many bands that some contain no frequency bin."""
    fft_size = 2 ** (_samples_in(WINDOW_MS, sample_rate_hz) - 1).bit_length()
    filters, _ = kaldi.get_mel_banks(
        bands, fft_size, float(sample_rate_hz), LOWEST_HZ, 0.0, 100.0, -500.0, 1.0
    )
    empty = int((filters.sum(1) == 0).sum())
    if empty:
        raise UserError(
            f"expected bands containing a frequency bin each at {sample_rate_hz} Hz, got {bands}, "
            f"of which {empty} contain none; lower the encoder's bands"
        )


def max_frames(hundredths: int) -> int:
    """The most frames that a recording of this many hundredths of a second can have."""
    return max(0, int((hundredths * 10 - WINDOW_MS) // HOP_MS)) + 1


def log_mel_filterbank(
    waveforms: Tensor, lengths: Tensor, sample_rate_hz: int, bands: int
) -> tuple[Tensor, Tensor]:
    """Waveforms (B, L) in [-1, 1], lengths (B,) -> features (B, F, bands), frames per row (B,).

    Equal to ``torchaudio.compliance.kaldi.fbank`` of each row alone with its default settings.
    Frames that a row does not fill are left out; a row shorter than a window is padded with silence
    to one frame. Values beyond the frames of a row are arbitrary.
    """
    window, hop = _samples_in(WINDOW_MS, sample_rate_hz), _samples_in(HOP_MS, sample_rate_hz)
    batch_size, longest = len(waveforms), max(waveforms.shape[1], window)
    frames = (lengths.clamp(min=window) - window) // hop + 1  # (B,)
    masked = waveforms.masked_fill(~length_mask(lengths, waveforms.shape[1]), 0.0)
    # Padded to whole hops and joined, the rows are one recording, so a single call computes all
    # frames. Only the last few frames of each row reach into the next row; they are cut off below.
    hops = -(-longest // hop)
    rows = functional.pad(masked, (0, hops * hop - waveforms.shape[1]))  # (B, hops · hop)
    with torch.autocast(waveforms.device.type, enabled=False):
        features = kaldi.fbank(
            INT16_SCALE * rows.reshape(1, -1),
            num_mel_bins=bands,
            sample_frequency=sample_rate_hz,
            frame_length=WINDOW_MS,
            frame_shift=HOP_MS,
            low_freq=LOWEST_HZ,
        )
    missing = batch_size * hops - len(features)
    features = functional.pad(features, (0, 0, 0, missing))  # (B · hops, bands)
    return features.view(batch_size, hops, bands)[:, : (longest - window) // hop + 1], frames


def _samples_in(milliseconds: float, sample_rate_hz: int) -> int:
    """Rounded down, as in ``kaldi.fbank``."""
    return int(sample_rate_hz * milliseconds * kaldi.MILLISECONDS_TO_SECONDS)
