"""The queue of a server: what waits for the same run and settings is decoded together.

That is safe because an output never depends on the other inputs of its batch. One thread decodes;
handlers wait for it without blocking each other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from multiattn.serve.limits import RequestError

Answer = dict[str, Any]
Decode = Callable[[Sequence[Any]], Sequence[Answer | Exception]]


@dataclass(frozen=True, eq=False)
class Job:
    """An input that waits. group: what it may be decoded together with, as it shares ``decode``."""

    value: Any
    group: Any
    decode: Decode
    answer: Future[Answer] = field(default_factory=Future)


class BatchQueue:
    """Decodes jobs in the order in which they come, those of the same group together.

    most: jobs that may wait. batch: the largest batch. observe: told the size of every batch.
    """

    def __init__(self, most: int, batch: int, observe: Callable[[int], object] = int) -> None:
        self._waiting: deque[Job] = deque()
        self._most, self._batch, self._observe = most, batch, observe
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="decoding", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job: Job) -> Future[Answer]:
        """Let a job wait. Raises RequestError if too many do, or the server is stopping."""
        with self._changed:
            if self._closed:
                raise RequestError(
                    429, "expected a running server, got one that is stopping; try later"
                )
            if len(self._waiting) >= self._most:
                raise RequestError(
                    429, f"expected at most {self._most} requests to wait, got more; try again soon"
                )
            self._waiting.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Decode what waits already, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._next():
            self._observe(len(jobs))
            try:
                outcomes = jobs[0].decode([job.value for job in jobs])
            except Exception as error:  # a fault of one batch must not end the server
                outcomes = [error] * len(jobs)
            for job, outcome in zip(jobs, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    job.answer.set_exception(outcome)
                else:
                    job.answer.set_result(outcome)

    def _next(self) -> list[Job]:
        """The oldest job and those that go with it; empty at the end."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return []
                first = self._waiting[0]
                taken = [job for job in self._waiting if job.group == first.group][: self._batch]
                chosen = set(map(id, taken))
                self._waiting = deque(job for job in self._waiting if id(job) not in chosen)
                # whoever no longer waits for an answer needs none
                running = [job for job in taken if job.answer.set_running_or_notify_cancel()]
                if running:
                    return running
