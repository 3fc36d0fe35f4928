"""The queue: who is decoded with whom, what is refused, and that a fault stays with its batch."""

from __future__ import annotations

import threading

import pytest

from multiattn.serve.batching import BatchQueue, Job
from multiattn.serve.limits import RequestError


class Recording:
    """Decodes when it is let go, and keeps its batches."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()

    def __call__(self, values):
        self.go.wait(10)
        self.batches.append(list(values))
        return [{"value": value} for value in values]


def test_what_waits_for_the_same_settings_is_decoded_together():
    decode = Recording()
    waiting = BatchQueue(10, 3)
    first = waiting.put(Job(0, "a", decode))
    while len(waiting):
        pass  # the first batch has begun
    others = [waiting.put(Job(n, "ab"[n % 2], decode)) for n in range(1, 8)]
    decode.go.set()
    assert [future.result(10)["value"] for future in (first, *others)] == list(range(8))
    assert decode.batches == [[0], [1, 3, 5], [2, 4, 6], [7]]
    waiting.close()


def test_more_than_may_wait_are_refused_and_those_who_left_are_not_decoded():
    decode = Recording()
    waiting = BatchQueue(2, 5)
    waiting.put(Job(0, "a", decode))
    while len(waiting):
        pass
    gone, stays = waiting.put(Job(1, "a", decode)), waiting.put(Job(2, "a", decode))
    with pytest.raises(RequestError, match="at most 2 requests to wait"):
        waiting.put(Job(3, "a", decode))
    assert gone.cancel()
    decode.go.set()
    assert stays.result(10) == {"value": 2}
    assert decode.batches == [[0], [2]]
    waiting.close()
    with pytest.raises(RequestError, match="stopping"):
        waiting.put(Job(4, "a", decode))


def test_a_fault_ends_its_batch_and_not_the_server():
    waiting = BatchQueue(10, 5)

    def fails(values):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        waiting.put(Job(0, "a", fails)).result(10)
    assert waiting.put(Job(1, "a", lambda values: [{"fine": 1}])).result(10) == {"fine": 1}
    waiting.close()
