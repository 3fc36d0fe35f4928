"""Waveforms -> log-mel filterbanks, as Kaldi defines them. It refuses to know what they are for.

Letters: B batch, L samples, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi

from multiattn.errors import UserError
from multiattn.memory import length_mask

WINDOW_MS = 25.0
HOP_MS = 10.0
LOWEST_HZ = 20.0
INT16_SCALE = 2.0**15  # Kaldi reads 16-bit samples as they are


def hop_seconds(sample_rate_hz: int) -> float:
    """How far apart frames are: ten milliseconds, cut to whole samples."""
    return _samples(sample_rate_hz, HOP_MS) / sample_rate_hz


def check_bands(bands: int, sample_rate_hz: int) -> None:
    """Raise UserError for bands so narrow that some hold no frequency of a window's spectrum."""
    size = 2 ** (_samples(sample_rate_hz, WINDOW_MS) - 1).bit_length()
    filters, _ = kaldi.get_mel_banks(
        bands, size, float(sample_rate_hz), LOWEST_HZ, 0.0, 100.0, -500.0, 1.0
    )
    empty = int((filters.sum(1) == 0).sum())
    if empty:
        raise UserError(
            f"expected bands that hold a frequency each at {sample_rate_hz} Hz, got {bands}, of "
            f"which {empty} hold none; lower the encoder's bands"
        )


def frames_of(hundredths: int) -> int:
    """How many frames a recording of so many hundredths of a second has at most."""
    return max(0, int((hundredths * 10 - WINDOW_MS) // HOP_MS)) + 1


def log_mel(
    waveforms: Tensor, lengths: Tensor, sample_rate_hz: int, bands: int
) -> tuple[Tensor, Tensor]:
    """Waveforms (B, L) in [-1, 1] of these lengths (B,) -> (B, F, bands) and how many are real.

    Equal to ``torchaudio.compliance.kaldi.fbank`` of each row alone with its default settings.
    Frames that a row does not fill are left out; a row shorter than a window gives one frame, the
    rest of which is silence. What stands beyond a row's frames is no number to rely on.
    """
    window, hop = _samples(sample_rate_hz, WINDOW_MS), _samples(sample_rate_hz, HOP_MS)
    batch_size, longest = len(waveforms), max(waveforms.shape[1], window)
    frames = (lengths.clamp(min=window) - window) // hop + 1  # (B,)
    silent = waveforms.masked_fill(~length_mask(lengths, waveforms.shape[1]), 0.0)
    # Rows of whole hops, one after another, are one recording whose every frame is wanted but the
    # last few of each row, which reach into the next.
    hops = -(-longest // hop)
    rows = functional.pad(silent, (0, hops * hop - waveforms.shape[1]))  # (B, hops · hop)
    with torch.autocast(waveforms.device.type, enabled=False):
        found = kaldi.fbank(
            INT16_SCALE * rows.reshape(1, -1),
            num_mel_bins=bands,
            sample_frequency=sample_rate_hz,
            frame_length=WINDOW_MS,
            frame_shift=HOP_MS,
            low_freq=LOWEST_HZ,
        )
    found = functional.pad(found, (0, 0, 0, batch_size * hops - len(found)))  # (B · hops, bands)
    return found.view(batch_size, hops, bands)[:, : (longest - window) // hop + 1], frames


def _samples(sample_rate_hz: int, milliseconds: float) -> int:
    """As ``kaldi.fbank`` rounds."""
    return int(sample_rate_hz * milliseconds * kaldi.MILLISECONDS_TO_SECONDS)
