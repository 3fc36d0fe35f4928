"""A stand-in for CUDA graphs: it records a function by calling it, and replays it by calling."""

from __future__ import annotations


class Replaying:
    """Counts what it records; refuses a function where ``refusal`` is set."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.recorded = self.replayed = 0
        self.refusal = refusal

    def applies(self, device) -> bool:
        return True

    def rehearse(self, function) -> None:
        if self.refusal is not None:
            raise self.refusal
        function()

    def record(self, function):
        self.recorded += 1
        function()

        def replay() -> None:
            self.replayed += 1
            function()

        return replay
