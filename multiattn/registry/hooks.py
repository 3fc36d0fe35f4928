"""The hook specifications: one that registers components, three that observe a run.

They define the hooks and their arguments; ``host.py`` calls them and handles plugins that fail.
A plugin decorates its functions of the same names with ``hookimpl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pluggy import HookimplMarker, HookspecMarker

from multiattn.registry.records import Record

hookspec = HookspecMarker("multiattn")
hookimpl = HookimplMarker("multiattn")


@hookspec
def multiattn_components() -> Iterable[Record]:
    """Yield a record for every component of the plugin.

    It is called once, when plugins are loaded, so it must import nothing heavy: records hold
    strings.
    """
    raise NotImplementedError


@hookspec
def multiattn_run_started(run: Path) -> None:
    """Called when a run has its folder and is about to start or resume training."""


@hookspec
def multiattn_epoch_finished(run: Path, epoch: int, metrics: Mapping[str, float]) -> None:
    """Called after each epoch; ``metrics`` are the latest values by name."""


@hookspec
def multiattn_run_finished(run: Path, metrics: Mapping[str, float]) -> None:
    """Called when training has finished normally; ``metrics`` are those of the kept weights."""
