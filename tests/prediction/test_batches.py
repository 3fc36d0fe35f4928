"""Batches of similar length, and outcomes in the order of the inputs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest

from multiattn.prediction.batches import WINDOW, Arriving, decode_in_order


class Recording:
    """Answers a word with its capitals, and notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def size(self, item: str) -> int:
        return len(item)

    def decode(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        return [item.upper() for item in items]


def decoded(groups: Iterable[Iterable[str]], backend: Recording, batch_size: int = 2):
    return list(decode_in_order(iter(groups), backend, batch_size))


def test_outcomes_come_in_the_order_of_the_groups_and_of_their_items():
    groups = [["ccc"], [], ["a", "dddd", "bb"], ["e"]]
    assert decoded(groups, Recording()) == [["CCC"], [], ["A", "DDDD", "BB"], ["E"]]


def test_batches_hold_items_of_similar_size():
    backend = Recording()
    decoded([[word] for word in ("aaaa", "b", "cccc", "d", "ee")], backend)
    assert backend.batches == [["b", "d"], ["ee", "aaaa"], ["cccc"]]


def test_nothing_gives_nothing():
    assert decoded([], Recording()) == []


def test_groups_are_read_when_they_are_needed():
    read: list[int] = []

    def groups() -> Iterator[list[str]]:
        for number in itertools.count():
            read.append(number)
            yield ["a"]

    outcomes = decode_in_order(groups(), Recording(), 2)
    next(outcomes)
    assert len(read) <= 2 * WINDOW + 1


def test_a_long_group_is_not_held_as_a_whole():
    backend, read = Recording(), []

    def long_group() -> Iterator[str]:
        for number in range(100 * WINDOW):
            read.append(number)
            assert len(read) - sum(map(len, backend.batches)) <= 2 * WINDOW
            yield "a"

    (outcomes,) = decoded([long_group()], backend)
    assert len(outcomes) == 100 * WINDOW


def test_what_has_arrived_does_not_wait_for_what_has_not():
    more = threading.Event()

    def items() -> Iterator[str]:
        yield "first"
        assert more.wait(60)
        yield "second"

    source = Arriving(items())
    outcomes = decode_in_order(([item] for item in source), Recording(), 2, source)
    assert next(outcomes) == ["FIRST"]
    more.set()
    assert list(outcomes) == [["SECOND"]]
    assert list(source.taken) == ["first", "second"]


def test_an_error_while_reading_is_raised_after_the_items_before_it():
    def items() -> Iterator[str]:
        yield "first"
        raise OSError("gone")

    arriving = iter(Arriving(items()))
    assert next(arriving) == "first"
    with pytest.raises(OSError, match="gone"):
        next(arriving)
