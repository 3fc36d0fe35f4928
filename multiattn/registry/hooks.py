"""The hook specifications: one that registers components, three that watch a run.

They say what may be called and with what; who is called, and what happens when a plugin fails, is
``plugins.py``. A plugin decorates its functions of the same names with ``hookimpl``.
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
    """Yield a record for every component: the plugin's table of contents.

    It is called once when plugins are loaded, so it imports nothing heavy: records hold strings.
    """
    raise NotImplementedError


@hookspec
def multiattn_run_started(run: Path) -> None:
    """Watch a run begin: it has its folder and is about to train, perhaps to continue."""


@hookspec
def multiattn_epoch_finished(run: Path, epoch: int, metrics: Mapping[str, float]) -> None:
    """Watch a pass over the training data end; ``metrics`` are the latest figures by name."""


@hookspec
def multiattn_run_finished(run: Path, metrics: Mapping[str, float]) -> None:
    """Watch training end by itself; ``metrics`` are those of the weights that were kept."""
