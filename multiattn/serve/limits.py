"""What a request may ask for; beyond it the answer is one sentence and a status of 400 to 499."""

from __future__ import annotations

from dataclasses import dataclass

from multiattn.errors import UserError


@dataclass(frozen=True)
class Limits:
    """The largest of each that is taken.

    body: bytes of a request. characters: of a text. media: how many times the longest file in
    training, in the reader's unit. queue: requests that wait. seconds: for sending a request, and
    for an answer. connections: at the same time. beam: also of ``n_best``. length_penalty: either
    way.
    """

    body: int = 25_000_000
    characters: int = 10_000
    media: float = 40.0
    queue: int = 64
    seconds: float = 60.0
    connections: int = 100
    beam: int = 20
    length_penalty: float = 10.0


class RequestError(UserError):
    """A request that is refused: its status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
