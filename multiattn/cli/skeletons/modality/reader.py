"""Reads a series of numbers: a text file with a line per time step and a number per channel.

Change ``load_series`` for other files, and ``MyPluginSpec`` for what an encoder must know of them.

Protocol: ``multiattn.protocols.Reader``. In a recipe: ``sources: {NAME: {reader: my-plugin}}``.
Letters: R series in a batch, L time steps, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import UserError


@dataclass(frozen=True)
class MyPluginSpec:
    """What an encoder must know about its input."""

    channels: int


class MyPluginReader:
    """A series as float32; ``channels`` is how many numbers each line must have."""

    random = False  # ``read`` ignores the generator, so what it returns may be kept

    def __init__(self, *, channels: PositiveInt = 1) -> None:
        self.spec = MyPluginSpec(channels)

    def labels(self, value: str) -> Sequence[str]:
        """One label per memory slot, for attention maps: none."""
        return ()

    def measure(self, value: str) -> int:
        """Count the time steps. Raises UserError for a file that is no series."""
        return len(self._load(value))

    def read(self, value: str, generator: Generator | None = None) -> NDArray[np.float32]:
        """Read the series (L, C); a generator is given in training. Raises UserError."""
        return self._load(value)

    def collate(self, items: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Pad series (L, C) with zeros to tensors (R, L, C); return their lengths (R,) too."""
        lengths = torch.tensor([len(item) for item in items])
        return pad_sequence([torch.from_numpy(item) for item in items], batch_first=True), lengths

    def example_values(self, folder: Path) -> Sequence[str]:
        """Write two series into a folder, for checks; return their paths."""
        paths = [folder / "short.dat", folder / "long.dat"]
        for path, steps in zip(paths, (5, 9), strict=True):
            np.savetxt(path, np.arange(steps * self.spec.channels).reshape(steps, -1))
        return [str(path) for path in paths]

    def _load(self, value: str) -> NDArray[np.float32]:
        series = load_series(value)
        if series.shape[1] != self.spec.channels:
            raise UserError(
                f"expected {self.spec.channels} numbers per line in {value}, got "
                f"{series.shape[1]}; change the reader's setting `channels`"
            )
        return series


def load_series(value: str) -> NDArray[np.float32]:
    """Load a series (L, C). Raises UserError for a file that is not one of finite numbers."""
    try:
        lines = Path(value).read_text("utf-8").splitlines()
        series = np.array([line.split() for line in lines], dtype=np.float32)
    except OSError as error:
        raise UserError(f"expected a file at {value}, got: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"expected equally many numbers per line of {value}: {error}") from error
    if series.ndim != 2 or not series.size or not np.isfinite(series).all():
        raise UserError(f"expected lines of finite numbers in {value}, got none or others")
    return series
