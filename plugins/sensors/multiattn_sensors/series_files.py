"""Read series from files: CSV with a header, or arrays in .npy. Imports no torch.

Letters: L samples, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multiattn import Example, UserError
from multiattn.corpora import BadRowError, TableRow, table_examples

Samples = NDArray[np.float64]

SECONDS = "seconds"  # a column of times, which is no channel
TOLERATED_SHARE = 0.01  # of the sampling rate


def read_series(
    value: str, channels: Sequence[str], sample_rate_hz: float
) -> tuple[tuple[str, ...], Samples]:
    """Read these channels of a file, by default all: their names and samples (L, C).

    Raises UserError for an unusable file, and for one at another rate, where its times are known.
    """
    path = Path(value)
    if path.suffix.lower() == ".npy":
        names, samples = _read_array(path, channels)
    else:
        names, samples = _read_csv(path, channels, sample_rate_hz)
    fits = np.abs(samples) <= np.finfo(np.float32).max  # NaN does not
    for sample, channel in np.argwhere(~fits)[:1]:
        raise UserError(
            f"expected finite numbers that fit into float32 in {path}, got "
            f"{samples[sample, channel]} in sample {sample + 1} of the channel {names[channel]}; "
            "correct it, or leave the series out"
        )
    return names, samples


def _read_csv(
    path: Path, channels: Sequence[str], sample_rate_hz: float
) -> tuple[tuple[str, ...], Samples]:
    """Read columns by their names in the first line, and compare the times, if there are any."""
    rows: list[dict[str, float]] = []
    seconds: list[float] = []

    def add(row: TableRow) -> Example:
        names = channels or [name for name in row.cells if name != SECONDS]
        rows.append({name: _number(row, name) for name in names})
        if SECONDS in row.cells:
            seconds.append(_number(row, SECONDS))
        return Example(str(row.place), {})

    table_examples(path, add)
    if not rows or not rows[0]:
        raise UserError(
            f"expected a line of channel names and a line per sample in {path}, got "
            f"{len(rows)} samples of no channel; record it again"
        )
    if seconds:
        _check_rate(seconds, sample_rate_hz, path)
    return tuple(rows[0]), np.array([list(row.values()) for row in rows])


def _number(row: TableRow, name: str) -> float:
    try:
        return float(row.cells[name])
    except (KeyError, ValueError):
        cell = row.text(name)  # an error of its own if the column is missing or the cell empty
        raise BadRowError(
            f"expected a number in the column {name} in {row.place}, got {cell[:40]!r}; correct it"
        ) from None


def _check_rate(seconds: Sequence[float], sample_rate_hz: float, path: Path) -> None:
    span, steps = seconds[-1] - seconds[0], len(seconds) - 1
    # written so that NaN fails
    if not abs(span * sample_rate_hz - steps) <= TOLERATED_SHARE * steps:
        raise UserError(
            f"expected {sample_rate_hz:g} samples per second in {path}, got {steps} steps in "
            f"{span:g} seconds; resample it, or set the reader's sample_rate_hz"
        )


def _read_array(path: Path, channels: Sequence[str]) -> tuple[tuple[str, ...], Samples]:
    """Read an array (L, C); without ``channels`` its columns are numbered."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected a NumPy array in {path}, got: {error}; write it with numpy.save"
        ) from error
    if array.ndim != 2 or not array.size or array.dtype.kind not in "iuf":
        raise UserError(
            f"expected an array (time, channels) of numbers in {path}, got the shape "
            f"{array.shape} of {array.dtype}; reshape or convert it"
        )
    names = tuple(channels) or tuple(map(str, range(1, 1 + array.shape[1])))
    if len(names) != array.shape[1]:
        raise UserError(
            f"expected {len(names)} channels ({', '.join(names)}) in {path}, got "
            f"{array.shape[1]}; correct the file, or the reader's channels in the recipe"
        )
    return names, np.array(array, np.float64)
