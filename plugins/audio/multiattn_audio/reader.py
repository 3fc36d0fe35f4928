"""Reads recordings as waveforms at one sampling rate.

Letters: L samples, C channels, B recordings of a batch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import torch
from pydantic import Field, PositiveFloat
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import StoredMedia, Tokenizer, UserError
from multiattn_audio.recordings.checks import Checks, check_header, check_samples
from multiattn_audio.recordings.decoding import (
    Excerpt,
    Header,
    Recording,
    Samples,
    Sound,
    decode,
    mix_down,
    read_header,
    recording_name,
)
from multiattn_audio.recordings.formats import RawFormat
from multiattn_audio.recordings.header_cache import HeaderCache
from multiattn_audio.recordings.resampling import resample, resampled_length

HUNDREDTHS_PER_SECOND = 100
VOWEL_HZ = 120  # of the example recordings
CACHE_FILE = "durations.jsonl"
DEFAULT_RAW = RawFormat()
DEFAULT_CHECKS = Checks()


@dataclass(frozen=True)
class AudioSpec:
    """What an encoder must know about its waveforms."""

    sample_rate_hz: int = 16_000


class Audio:
    """Reads a recording (path, bytes, ``Sound``, part of a dataset) as one channel at one rate.

    sample_rate_hz: higher rates are converted; lower ones are refused unless ``checks.upsample``.
    speed_perturbation: speed factors for training, drawn uniformly; they change the pitch too
        (Ko et al. 2015, who use 0.9, 1.0 and 1.1). If empty, the speed is never changed.
    max_seconds: a longer recording is refused before it is decoded.
    raw: the format of files ending in ``.raw``.
    checks: the limits beyond which a recording is refused.
    """

    accepts = (bytes, Sound, StoredMedia, Excerpt)  # besides paths

    def __init__(
        self,
        *,
        sample_rate_hz: Annotated[int, Field(ge=1_000)] = 16_000,
        speed_perturbation: tuple[Annotated[float, Field(ge=0.5, le=2.0)], ...] = (),
        max_seconds: PositiveFloat = 60.0,
        raw: RawFormat = DEFAULT_RAW,
        checks: Checks = DEFAULT_CHECKS,
    ) -> None:
        self._rate = sample_rate_hz
        self._speeds = tuple(speed_perturbation)
        self._max_seconds = max_seconds
        self._raw = raw
        self._checks = checks
        self._header_cache = HeaderCache()

    def fit(self, values: Iterable[str | StoredMedia], target: Tokenizer) -> None:
        """Measure the training recordings in parallel threads, which fills the cache.

        Bad recordings are ignored here, because ``measure`` refuses them again later. Only one
        process fits a reader; the others load what it saved.
        """

        def measure(value: str | StoredMedia) -> None:
            with suppress(UserError):
                self.measure(value)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(measure, values))

    def save(self, folder: Path) -> None:
        """Write ``durations.jsonl``."""
        self._header_cache.save(folder / CACHE_FILE)

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Read what ``save`` wrote; recordings measured from now on are appended to the file."""
        self._header_cache = HeaderCache.load(folder / CACHE_FILE)

    @property
    def spec(self) -> AudioSpec:
        """What the encoder is built from."""
        return AudioSpec(self._rate)

    @property
    def random(self) -> bool:
        """Whether reading a recording twice may give different waveforms."""
        return bool(self._speeds)

    def measure(self, value: Recording) -> int:
        """Duration in hundredths of a second, rounded up, at the slowest speed in use.

        Raises UserError for a recording that fails its checks.
        """
        header = self._cached_header(value)
        if header is None:
            header = self._read_header(value)
            if self._checks.before_training:
                self._decode_checked(value, header)
            if isinstance(value, str | StoredMedia):
                self._header_cache.add(value, header)
        slowest = min(1.0, *self._speeds) if self._speeds else 1.0
        samples = resampled_length(header.samples, header.sample_rate_hz * slowest, self._rate)
        return math.ceil(samples * HUNDREDTHS_PER_SECOND / self._rate)

    def read(self, value: Recording, generator: Generator | None = None) -> Samples:
        """Read a recording as a waveform (L,) in [-1, 1], float32, channels averaged.

        A generator is passed in training only; it draws the speed. Raises UserError for a recording
        that fails its checks.
        """
        header = self._cached_header(value)
        if header is not None and self._checks.before_training:
            samples = decode(value, self._raw)  # (L', C)
        else:
            header = self._read_header(value)
            samples = self._decode_checked(value, header)
        waveform = mix_down(samples)  # (L',)
        waveform = resample(waveform, header.sample_rate_hz * self._speed(generator), self._rate)
        return np.clip(waveform, -1.0, 1.0)

    def collate(self, items: Sequence[Samples]) -> tuple[Tensor, Tensor]:
        """Pad waveforms with zeros to a batch: (B, L), lengths (B,) in samples."""
        lengths = torch.tensor([len(item) for item in items])
        waveforms = [torch.from_numpy(item) for item in items]
        return pad_sequence(waveforms, batch_first=True), lengths

    def labels(self, value: Recording) -> list[str]:
        """Slots have no labels: the memory's layout says how many seconds each one covers."""
        return []

    def example_values(self, folder: Path) -> list[str]:
        """Write a vowel of three lengths, at this reader's rate."""
        paths = [str(folder / f"{hundredths}.wav") for hundredths in (30, 12, 47)]
        for path in paths:
            times = np.arange(int(Path(path).stem) * self._rate // HUNDREDTHS_PER_SECOND)
            phases = 2 * np.pi * VOWEL_HZ * times / self._rate
            vowel = sum(np.sin(overtone * phases) / overtone**2 for overtone in range(1, 4))
            soundfile.write(path, 0.2 * vowel, self._rate)
        return paths

    def _cached_header(self, value: Recording) -> Header | None:
        return self._header_cache.get(value) if isinstance(value, str | StoredMedia) else None

    def _read_header(self, value: Recording) -> Header:
        header = read_header(value, self._raw)
        check_header(header, recording_name(value), self._checks, self._rate, self._max_seconds)
        return header

    def _decode_checked(self, value: Recording, header: Header) -> Samples:
        samples = decode(value, self._raw)  # (L', C)
        check_samples(samples, header.sample_rate_hz, recording_name(value), self._checks)
        return samples

    def _speed(self, generator: Generator | None) -> float:
        if generator is None or not self._speeds:
            return 1.0
        return self._speeds[int(torch.randint(len(self._speeds), (), generator=generator))]
