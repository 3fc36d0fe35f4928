"""Log-mel filterbanks against those of torchaudio."""

from __future__ import annotations

import json

import pytest
import soundfile
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.compliance import kaldi

from multiattn_audio.encoder.filterbank import log_mel_filterbank

RATE = 16_000
EXACT = {"rtol": 0.0, "atol": 1e-9}


def kaldi_filterbank(waveform: Tensor, rate: int = RATE, bands: int = 80) -> Tensor:
    return kaldi.fbank(
        32_768 * waveform.unsqueeze(0), num_mel_bins=bands, sample_frequency=rate, dither=0.0
    )


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_filterbanks_of_a_batch_equal_torchaudios_of_each_row_alone(rate, noise_batch):
    waveforms, lengths = noise_batch(4_000, 1_000, 2_345, 3_999)
    features, frames = log_mel_filterbank(waveforms, lengths, rate, 23)
    for row, length in enumerate(lengths.tolist()):
        expected = kaldi_filterbank(waveforms[row, :length], rate, 23)
        assert frames[row] == len(expected)
        torch.testing.assert_close(features[row, : frames[row]], expected, **EXACT)


def test_filterbanks_of_ten_an4_recordings_equal_torchaudios_to_a_ten_thousandth(real_corpus):
    folder = real_corpus("an4")
    lines = (folder / "dev.jsonl").read_text().splitlines()[::10][:10]
    waveforms = [
        torch.from_numpy(soundfile.read(folder / json.loads(line)["audio"], dtype="float32")[0])
        for line in lines
    ]
    assert len(waveforms) == 10
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    batch = nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    features, frames = log_mel_filterbank(batch, lengths, RATE, 80)
    for row, waveform in enumerate(waveforms):
        expected = kaldi_filterbank(waveform)
        assert frames[row] == len(expected)
        difference = (features[row, : frames[row]] - expected).abs().max()
        assert difference <= 1e-4


def test_a_recording_shorter_than_a_window_is_padded_with_silence_to_one_frame(noise_batch):
    waveforms, lengths = noise_batch(90, 1, samples=4_000)
    features, frames = log_mel_filterbank(waveforms, lengths, RATE, 8)
    assert frames.tolist() == [1, 1]
    expected = kaldi_filterbank(functional.pad(waveforms[0, :90], (0, 310)), bands=8)
    torch.testing.assert_close(features[0, :1], expected, **EXACT)
    alone, _ = log_mel_filterbank(waveforms[:1, :90], lengths[:1], RATE, 8)
    torch.testing.assert_close(alone[0], expected, **EXACT)
