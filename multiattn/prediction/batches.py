"""Decode in batches of similar length, and give the outcomes in the order of the inputs.

An input is a group of items: one of them or, if it was cut, many. Groups are read when they are
needed, so neither many inputs nor a long one is ever held as a whole.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Item_contra = TypeVar("Item_contra", contravariant=True)
Outcome_co = TypeVar("Outcome_co", covariant=True)

WINDOW = 8  # batches of items that are read ahead and sorted by size


class Backend(Protocol[Item_contra, Outcome_co]):
    """What decodes a batch, whose outcomes do not depend on each other."""

    def size(self, item: Item_contra) -> float:
        """How long an item is."""
        ...

    def decode(self, items: Sequence[Item_contra]) -> Sequence[Outcome_co]:
        """An outcome for each item."""
        ...


class Arriving(Generic[Item]):
    """Items read ahead in a thread, so that what has arrived is known without waiting.

    taken: those that were taken, until their user removes them.
    """

    def __init__(self, items: Iterable[Item], ahead: int = 10_000) -> None:
        self.taken: deque[Item] = deque()
        self._arrived: queue.Queue[Item | _End] = queue.Queue(ahead)
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._arrived.get(), _End):
            self.taken.append(item)
            yield item
        if item.error is not None:
            raise item.error

    def at_hand(self) -> bool:
        """Whether the next item, or the end, is there."""
        return not self._arrived.empty()

    def _read(self, items: Iterable[Item]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                self._arrived.put(item)
        except BaseException as raised:  # to be raised where the items are used
            error = raised
        self._arrived.put(_End(error))


class _End:
    """The end of a group or of all items; ``error``: what ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def decode_in_order(
    groups: Iterator[Iterable[Item]],
    backend: Backend[Item, Outcome],
    batch_size: int,
    source: Iterable[object] = (),
) -> Iterator[list[Outcome]]:
    """The outcomes of each group, as soon as it and those before it are decoded.

    source: what the groups are made of. Where it is ``Arriving``, nothing that was read waits for
    what has not arrived.
    """
    stream, group = _stream(groups), list[Outcome]()
    while window := _window(stream, batch_size * WINDOW, source):
        items = [item for item in window if not isinstance(item, _End)]
        outcomes = iter(_decode(items, backend, batch_size))
        for item in window:
            if isinstance(item, _End):
                yield group
                group = []
            else:
                group.append(next(outcomes))


def _stream(groups: Iterator[Iterable[Item]]) -> Iterator[Item | _End]:
    for group in groups:
        yield from group
        yield _End()


def _window(
    stream: Iterator[Item | _End], most: int, source: Iterable[object]
) -> list[Item | _End]:
    """The next items, at least one unless there is none, at most ``most`` of those at hand."""
    window: list[Item | _End] = []
    for item in stream:
        window.append(item)
        waits = isinstance(item, _End) and isinstance(source, Arriving) and not source.at_hand()
        if waits or len(window) == most:
            break
    return window


def _decode(
    items: Sequence[Item], backend: Backend[Item, Outcome], batch_size: int
) -> list[Outcome]:
    """The outcomes in the order of the items, which are decoded in the order of their sizes."""
    sizes = [backend.size(item) for item in items]
    order = sorted(range(len(items)), key=sizes.__getitem__)
    outcomes: dict[int, Outcome] = {}
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        decoded = backend.decode([items[number] for number in batch])
        outcomes |= zip(batch, decoded, strict=True)
    return [outcomes[number] for number in range(len(items))]
