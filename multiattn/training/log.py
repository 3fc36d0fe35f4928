"""What training writes its figures to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LogValues = Mapping[str, float | int | str]


class Log(Protocol):
    """The log that training writes to."""

    def flush(self) -> int:
        """Flush to disk; return the bytes written so far, which a checkpoint stores."""

    def write(self, kind: str, step: int, values: LogValues) -> None:
        """Log the figures of a step."""

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        """Log an image (height, width, 3) under a name."""

    def close(self) -> None:
        """Close the log; nothing is written afterwards."""


class NoLog:
    """The log of every process but the first."""

    def flush(self) -> int:
        return 0

    def write(self, kind: str, step: int, values: LogValues) -> None:
        return

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        return

    def close(self) -> None:
        return
