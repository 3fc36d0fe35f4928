"""Keeps the recorded searches of each decoder, one per bucket of shapes.

A shape is recorded when it is met for the second time. What cannot be recorded is left to
``beam.run`` for good.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from multiattn.engine.fast.gpu.recording import Buffers, Recorder
from multiattn.search.fixed_shape.beams import FixedBeams
from multiattn.search.fixed_shape.buckets import RECORDERS
from multiattn.search.fixed_shape.step import FixedShapeSearch
from multiattn.search.panel import Ensemble, Panel

if TYPE_CHECKING:
    from multiattn.search.beam import Ranking

MOST_SEARCHES = 64  # of one decoder; the one not used for longest is dropped


class RecordedSearches:
    """The recorded searches of one decoder; their buffers and their graphs' memory are shared."""

    def __init__(self, recorder: Recorder) -> None:
        self.searches: OrderedDict[Any, FixedShapeSearch] = OrderedDict()
        self._recorder = recorder
        self._buffers = Buffers()
        self._refused: set[Any] = set()
        self._asked: Any = None  # the key last looked for

    def find(
        self, start: FixedBeams, size: int, ranking: Ranking, panel: Panel
    ) -> FixedShapeSearch | None:
        """A search of up to ``size`` inputs like these; None if such a one was refused.

        Raises RuntimeError if it is new and cannot be recorded.
        """
        baked = start.selector.constants, ranking, _signature(panel)
        key = self._asked = (size, start.signature(), *baked)
        if key in self.searches:
            self.searches.move_to_end(key)
            self.searches[key].recorded = True
            return self.searches[key]
        if key in self._refused or baked in self._refused:
            return None
        search = FixedShapeSearch(start, size, ranking, self._buffers, self._recorder)
        search.prepare(panel)
        self.searches[key] = search
        if len(self.searches) > MOST_SEARCHES:
            self.searches.popitem(last=False)
        return search

    def refuse(self, error: RuntimeError) -> None:
        """Look no more for the search last looked for, nor for others like it.

        Out of memory, only for those of its size.
        """
        key = self._asked
        self.searches.pop(key, None)
        self._refused.add(key if isinstance(error, torch.OutOfMemoryError) else key[2:])


_OF_DECODERS: weakref.WeakKeyDictionary[Any, RecordedSearches] = weakref.WeakKeyDictionary()


def searches_of(panel: Panel, device: torch.device) -> RecordedSearches:
    """The recorded searches of a panel's first decoder."""
    first = next(_parts(panel))
    if first not in _OF_DECODERS:
        _OF_DECODERS[first] = RecordedSearches(RECORDERS[device.type]())
    return _OF_DECODERS[first]


def _parts(panel: Panel) -> Iterator[Any]:
    """Decoders and scorers."""
    own = panel.decoder
    yield from own.decoders if isinstance(own, Ensemble) else (own,)
    yield from (scorer for scorer, _ in panel.scorers)


def _signature(panel: Panel) -> tuple[Any, ...]:
    """Which objects score, with which weights, and where their parameters lie."""
    parts = list(_parts(panel))
    addresses = [leaf.data_ptr() for part in parts for leaf in _parameters(part)]
    weights = [weight for _, weight in panel.scorers]
    return *map(_Identity, parts), *weights, *addresses


def _parameters(part: Any) -> Iterator[Tensor]:
    """The parameters and buffers of a module, or of the modules that an object refers to."""
    modules = [part] if isinstance(part, nn.Module) else vars(part).values()
    for module in modules:
        if isinstance(module, nn.Module):
            yield from chain(module.parameters(), module.buffers())


class _Identity:
    """Equal for the same object only, which it does not keep alive."""

    def __init__(self, own: Any) -> None:
        self._id, self._reference = id(own), weakref.ref(own)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Identity)
            and self._id == other._id
            and self._reference() is other._reference() is not None
        )
