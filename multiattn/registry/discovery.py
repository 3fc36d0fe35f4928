"""Discover the available and the allowed plugins from metadata alone, without importing any.

This is the recovery path: even if an installed plugin crashes when it is imported, `multiattn
plugins` still lists it. Standard library only, so that listing stays fast.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from multiattn.errors import UserError

GROUP = "multiattn.v1"
ALLOW_LIST = "MULTIATTN_PLUGINS"
CORE_DISTRIBUTION = "multiattn"


@dataclass(frozen=True)
class PluginEntry:
    """A plugin that is installed or was given as a file: where it is and how to load it."""

    distribution: str
    name: str
    version: str
    location: str
    load: Callable[[], object]
    allowed: bool = True

    @property
    def label(self) -> str:
        """The name it is registered under, unique so that no plugin can shadow another."""
        return f"{self.distribution}/{self.name}"


def is_switched_on(variable: str) -> bool:
    """Whether an environment variable is set to anything but the empty string or 0."""
    return os.environ.get(variable, "") not in ("", "0")


def canonical_name(distribution: str) -> str:
    """Normalise a distribution's name as package indexes do: My_Plugin becomes my-plugin."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def installed_plugins() -> list[PluginEntry]:
    """List the plugins of the environment, by distribution and name, without importing them.

    Plugins on the allow-list that are not installed are listed too; loading one reports that.
    """
    allow_list = _allow_list()
    entries = []
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        distribution = canonical_name(entry_point.dist.name) if entry_point.dist else "unknown"
        label = f"{distribution}/{entry_point.name}"
        allowed = allow_list is None or not allow_list.isdisjoint((distribution, label))
        entries.append(
            PluginEntry(
                distribution=distribution,
                name=entry_point.name,
                version=entry_point.dist.version if entry_point.dist else "",
                location=entry_point.value,
                load=entry_point.load,
                allowed=allowed,
            )
        )
    present = {name for plugin in entries for name in (plugin.distribution, plugin.label)}
    entries += [_missing_entry(name) for name in (allow_list or frozenset()) - present]
    return sorted(entries, key=lambda plugin: (plugin.distribution, plugin.name))


def plugin_from_file(path: Path) -> PluginEntry:
    """Treat a Python file as a plugin; its distribution is named after the file."""
    if not path.is_file():
        raise UserError(f"expected a Python file after --plugin, got {path}; name one that exists")
    return PluginEntry(
        distribution=canonical_name(path.stem),
        name="file",
        version="",
        location=str(path),
        load=functools.partial(import_file, path),
    )


def import_file(path: Path) -> ModuleType:
    """Import a Python file under its own name, so that its targets can be ``stem:Attribute``."""
    path = path.resolve()
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.stem.isidentifier():
        raise ImportError(f"expected a file with the name of a Python module, got {path.name}")
    if path.stem in sys.modules or _hides_another_module(path):
        raise ImportError(f"{path.name} hides another module called {path.stem}; rename it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _hides_another_module(path: Path) -> bool:
    spec = importlib.util.find_spec(path.stem)
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path)


def _allow_list() -> frozenset[str] | None:
    """Read the allowed ``dist`` and ``dist/name`` entries; None if the variable is not set."""
    if (value := os.environ.get(ALLOW_LIST)) is None:
        return None
    entries = (entry.strip().partition("/") for entry in value.split(","))
    return frozenset(
        f"{canonical_name(distribution)}{slash}{name}"
        for distribution, slash, name in entries
        if distribution
    )


def _missing_entry(entry: str) -> PluginEntry:
    distribution, _, name = entry.partition("/")

    def load() -> object:
        raise LookupError(f"{ALLOW_LIST} allows {entry}, but no installed distribution provides it")

    return PluginEntry(distribution, name or "*", "", "", load)


def find_plugins(files: Sequence[Path]) -> list[PluginEntry]:
    """List the installed plugins, then the files; files are named explicitly, so always allowed."""
    return [*installed_plugins(), *map(plugin_from_file, files)]


def versions(distributions: set[str]) -> dict[str, str]:
    """Version numbers of Python, the numerical libraries and the given distributions."""
    names = sorted({"multiattn", "torch", "accelerate", "tokenizers", "numpy"} | distributions)
    numbers = {"python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        try:
            numbers[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            numbers[name] = "not installed as a distribution"
    return numbers
