"""Reads a series as a normalised array.

Letters: R series in a batch, L samples, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveFloat
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import Tokenizer, UserError
from multiattn_sensors.series_files import Samples, read_series

STATISTICS = "statistics.json"


@dataclass(frozen=True)
class SeriesSpec:
    """What an encoder must know about its input."""

    channels: tuple[str, ...] = ("x", "y", "z")
    sample_rate_hz: float = 100.0


class SeriesReader:
    """Reads a CSV file or an array, each channel with the mean 0 and deviation 1 of training.

    channels: the columns to read; by default all of the first training series.
    sample_rate_hz: of every series. A CSV file with a column ``seconds`` must agree.
    """

    random = False  # ``read`` ignores the generator, so what it gives is kept

    def __init__(
        self, *, channels: tuple[str, ...] = (), sample_rate_hz: PositiveFloat = 100.0
    ) -> None:
        self._channels = channels
        self._rate = sample_rate_hz
        self._mean = self._deviation = np.zeros(0)  # (C,)

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Compute the mean and deviation of each channel over all samples of the training series.

        Bad series are left out here, because ``measure`` refuses them again later.
        """
        moments = []
        for value in values:
            with suppress(UserError):
                self._channels, samples = read_series(value, self._channels, self._rate)
                moments.append((len(samples), samples.mean(0), samples.var(0)))
        if not moments:
            raise UserError("expected a readable training series, got none; check the corpus")
        lengths, means, variances = (np.array(parts) for parts in zip(*moments, strict=True))
        self._mean = np.average(means, 0, lengths)
        variance = np.average(variances + (means - self._mean) ** 2, 0, lengths)
        self._deviation = np.where(variance > 0, np.sqrt(variance), 1.0)

    def save(self, folder: Path) -> None:
        """Write ``statistics.json``."""
        content = {
            "channels": self._channels,
            "mean": self._mean.tolist(),
            "deviation": self._deviation.tolist(),
        }
        (folder / STATISTICS).write_text(json.dumps(content), "utf-8")

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Read what ``save`` wrote. Raises UserError if it is damaged."""
        path = folder / STATISTICS
        try:
            content = json.loads(path.read_text("utf-8"))
            self._channels = tuple(content["channels"])
            self._mean, self._deviation = np.array([content["mean"], content["deviation"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"expected channels, mean and deviation in {path}, got {error!r}; train again"
            ) from error

    @property
    def spec(self) -> SeriesSpec:
        """What the encoder is built from."""
        return SeriesSpec(self._channels, self._rate)

    def measure(self, value: str) -> int:
        """Count the samples. The file is read in full, so that a bad one is found in time."""
        return len(self._read(value))

    def read(self, value: str, generator: Generator | None = None) -> NDArray[np.float32]:
        """Read a series (L, C). Raises UserError for an unusable file."""
        return ((self._read(value) - self._mean) / self._deviation).astype(np.float32)

    def collate(self, items: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Pad series with zeros to a batch: (R, L, C), lengths (R,)."""
        lengths = torch.tensor([len(item) for item in items])
        return pad_sequence([torch.from_numpy(item) for item in items], batch_first=True), lengths

    def labels(self, value: str) -> list[str]:
        """Slots have no labels: the memory's layout says which samples they cover."""
        return []

    def example_values(self, folder: Path) -> list[str]:
        """Write noise of three lengths."""
        generator = np.random.default_rng(0)
        names = self._channels or ("x", "y")
        paths = [str(folder / f"{length}.csv") for length in (30, 12, 47)]
        for path in paths:
            noise = generator.normal(size=(int(Path(path).stem), len(names)))
            np.savetxt(path, noise, delimiter=",", header=",".join(names), comments="")
        return paths

    def _read(self, value: str) -> Samples:
        return read_series(value, self._channels, self._rate)[1]
