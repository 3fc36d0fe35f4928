"""A recording -> a waveform at one sampling rate. It refuses to know what is said in it.

Letters: L samples, B recordings of a batch.
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
import torch
from pydantic import Field, PositiveFloat
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn.errors import UserError
from multiattn.tokenizer import Tokenizer
from multiattn_audio.recordings.checks import Checks, check_header, check_samples
from multiattn_audio.recordings.decoding import (
    Header,
    Recording,
    Samples,
    Sound,
    decode,
    mix_down,
    name_of,
    read_header,
    resample,
    resampled_length,
)
from multiattn_audio.recordings.formats import RawFormat
from multiattn_audio.recordings.header_cache import Durations

HUNDREDTHS = 100  # of a second: what lengths are counted in
DEFAULT_RAW = RawFormat()
DEFAULT_CHECKS = Checks()


@dataclass(frozen=True)
class AudioSpec:
    """What an encoder must know of a waveform."""

    sample_rate_hz: int = 16_000


class Audio:
    """Reads a recording (a path, the bytes of a file, or a ``Sound``) as one channel at one rate.

    sample_rate_hz: others are converted to it; a lower one is refused, see ``checks.upsample``.
    speed_perturbation: in training, how many times as fast a recording may be played, pitch
        included (Ko et al. 2015, who take 0.9, 1.0 and 1.1), each as often; none: as it is.
    max_seconds: a longer recording is refused before it is decoded.
    raw: what files ending in ``.raw`` hold.
    checks: from where on a recording is refused.
    """

    accepts = (bytes, Sound)  # what else than a path a prediction may be asked for

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
        self._durations = Durations()

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Measure the training recordings, several at once; bad ones are met again by ``measure``.

        One process does this while the others wait, and all remember what it found.
        """

        def measure(value: str) -> None:
            with suppress(UserError):
                self.measure(value)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(measure, values))

    def save(self, folder: Path) -> None:
        """Write ``durations.jsonl``."""
        self._durations.save(folder / "durations.jsonl")

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Read what ``save`` wrote; what is measured from now on is added there."""
        self._durations = Durations.load(folder / "durations.jsonl")

    @property
    def spec(self) -> AudioSpec:
        """What the encoder is built from."""
        return AudioSpec(self._rate)

    @property
    def random(self) -> bool:
        """Whether a recording may be read in another way every time."""
        return bool(self._speeds)

    def measure(self, value: Recording) -> int:
        """Give hundredths of a second, begun ones included, at the slowest speed there may be.

        Raises UserError for a recording that is refused.
        """
        header = self._found_good(value)
        if header is None:
            header = self._header(value)
            if self._checks.before_training:
                self._checked_samples(value, header)
            if isinstance(value, str):
                self._durations.add(value, header)
        slowest = min(1.0, *self._speeds) if self._speeds else 1.0
        samples = resampled_length(header.samples, header.sample_rate_hz * slowest, self._rate)
        return math.ceil(samples * HUNDREDTHS / self._rate)

    def read(self, value: Recording, generator: Generator | None = None) -> Tensor:
        """Give the waveform (L,) in [-1, 1], float32, channels averaged.

        A generator means training; it chooses the speed. Raises UserError for a recording that is
        refused.
        """
        header = self._found_good(value)
        if header is not None and self._checks.before_training:
            samples = decode(value, self._raw)  # (L', C)
        else:
            header = self._header(value)
            samples = self._checked_samples(value, header)
        waveform = mix_down(samples)  # (L',)
        waveform = resample(waveform, header.sample_rate_hz * self._speed(generator), self._rate)
        return torch.from_numpy(np.clip(waveform, -1.0, 1.0))

    def collate(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pad waveforms with silence to a batch: (B, L), lengths (B,) in samples."""
        lengths = torch.tensor([len(item) for item in items])
        return pad_sequence(list(items), batch_first=True), lengths

    def labels(self, value: Recording) -> list[str]:
        """No names: slots are times, and their layout says how long each is."""
        return []

    def _found_good(self, value: Recording) -> Header | None:
        return self._durations.get(value) if isinstance(value, str) else None

    def _header(self, value: Recording) -> Header:
        header = read_header(value, self._raw)
        check_header(header, name_of(value), self._checks, self._rate, self._max_seconds)
        return header

    def _checked_samples(self, value: Recording, header: Header) -> Samples:
        samples = decode(value, self._raw)  # (L', C)
        check_samples(samples, header.sample_rate_hz, name_of(value), self._checks)
        return samples

    def _speed(self, generator: Generator | None) -> float:
        if generator is None or not self._speeds:
            return 1.0
        return self._speeds[int(torch.randint(len(self._speeds), (), generator=generator))]
