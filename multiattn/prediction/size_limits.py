"""How long the sources of an input may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiattn.data.corpus import media_sources
from multiattn.errors import UserError, shown
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System

LENGTH_FACTOR = 50  # a text may be this many times as long as the longest in training


class SizeLimits:
    """The largest size of each source: as set, or a multiple of the longest text in training.

    Readers of media have limits of their own, and a run of an earlier version recorded no sizes.
    Raises UserError for a setting of an unknown source.
    """

    def __init__(self, system: System, sizes: Mapping[str, SourceSizes]) -> None:
        given, sources = system.settings.search.max_source, system.settings.sources
        unknown = [name for name in given if name not in sources]
        if unknown:
            raise UserError(
                f"expected search.max_source to name a source of the recipe "
                f"({', '.join(sources)}), got {shown(unknown[0])}; correct or remove it"
            )
        media = media_sources(sources, system.host)
        self._longest = {name: size.longest for name, size in sizes.items() if name not in media}
        self._limits = {name: LENGTH_FACTOR * size for name, size in self._longest.items()}
        self._limits.update(given)
        self._readers = system.processors.readers

    def check(self, sources: Mapping[str, Any]) -> None:
        """Raise UserError for a source over its limit; None is an absent one."""
        for name, limit in self._limits.items():
            value = sources[name]
            size = 0 if value is None else self._readers[name].measure(value)
            if size > limit:
                longest = self._longest.get(name)
                known = f" (the longest in training: {longest})" if longest else ""
                raise UserError(
                    f"expected a size of at most {limit} for the source {name!r}, got {size}{known}"
                    "; give it in parts, or allow it with "
                    f"--set 'search.max_source={{{name}: {size}}}'"
                )
