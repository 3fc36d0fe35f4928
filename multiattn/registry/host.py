"""Load plugins one by one, look up components and build them; broken plugins are only recorded.

pluggy calls the hooks, but plugins are loaded here, through its public API, because its own
entry-point loader stops at the first failing import. Nothing here imports torch: a target is
imported only when it is needed.
"""

from __future__ import annotations

import copy
import functools
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from multiattn.errors import UserError, shown
from multiattn.registry import hooks
from multiattn.registry.discovery import (
    ALLOW_LIST,
    PluginEntry,
    canonical_name,
    find_plugins,
    is_switched_on,
)
from multiattn.registry.libraries import remedy
from multiattn.registry.records import KINDS, Record, with_checked_fields
from multiattn.registry.slow_imports import naming

if TYPE_CHECKING:
    from multiattn.registry.schema import Mistake, Named

CORE = "multiattn/core"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TARGET_PATTERN = re.compile(r"[A-Za-z_][\w.]*:[\w./-]+")

log = logging.getLogger("multiattn.registry.host")


@dataclass(frozen=True)
class Plugin:
    """A plugin with its records, or with the error that kept it from loading."""

    found: PluginEntry
    records: tuple[Record, ...] = ()
    error: BaseException | None = None

    @property
    def reason(self) -> str:
        """Why the plugin is broken and what to install, in one line; empty if it is not."""
        if self.error is None:
            return ""
        reason = " ".join(f"{type(self.error).__name__}: {self.error}".split())
        what_to_do = remedy(self.error)
        return f"{reason}; {what_to_do}" if what_to_do else reason


@dataclass(frozen=True)
class Component:
    """A component: its record and the distribution that provides it."""

    record: Record
    distribution: str

    @property
    def full_name(self) -> str:
        """``dist/name``, which is always unambiguous."""
        return f"{self.distribution}/{self.record.name}"


def load_host(extra_files: Sequence[Path] = ()) -> Host:
    """Load every allowed plugin and the given files, each under its own ``try``.

    ``MULTIATTN_STRICT=1`` raises a plugin's error instead of recording it, ``MULTIATTN_TRACE=1``
    writes every hook call to standard error. Raises UserError if a file does not exist.
    """
    manager = pluggy.PluginManager("multiattn")
    manager.add_hookspecs(hooks)
    if is_switched_on("MULTIATTN_TRACE"):
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    plugins: list[Plugin] = []
    entries = find_plugins(extra_files)
    for entry in entries:
        if entry.allowed:
            taken = {(row.record.kind, row.full_name) for row in _components(plugins)}
            plugins.append(_load_plugin(manager, entry, taken))
    for plugin in plugins:
        if plugin.error is not None:
            log.warning("plugin %s is broken and left out: %s", plugin.found.label, plugin.reason)
    return Host(manager, plugins, [entry.label for entry in entries if not entry.allowed])


def _load_plugin(
    manager: pluggy.PluginManager, entry: PluginEntry, taken: set[tuple[str, str]]
) -> Plugin:
    """Import, register and check one plugin; if it raises, keep only its error."""
    try:
        with naming(f"plugin {entry.label}"):
            plugin = entry.load()
            manager.register(plugin, name=entry.label)
            manager.check_pending()
            return Plugin(entry, tuple(_records(manager, plugin, entry, taken)))
    except (Exception, SystemExit) as error:
        if is_switched_on("MULTIATTN_STRICT"):
            raise
        if manager.has_plugin(entry.label):
            manager.unregister(name=entry.label)
        return Plugin(entry, error=error)


def _records(
    manager: pluggy.PluginManager, plugin: object, entry: PluginEntry, taken: set[tuple[str, str]]
) -> Iterator[Record]:
    if not manager.get_hookcallers(plugin):
        raise LookupError("expected a function decorated with multiattn.hookimpl, got none")
    others = [other for other in manager.get_plugins() if other is not plugin]
    for given in manager.subset_hook_caller("multiattn_components", others)():
        for candidate in given:
            record = _checked_record(candidate)
            key = (record.kind, f"{entry.distribution}/{record.name}")
            if key in taken:
                raise ValueError(
                    f"{entry.distribution} provides two {record.kind}s called {record.name!r}"
                )
            taken.add(key)
            yield record


def _checked_record(candidate: object) -> Record:
    """Check type, field types, name and target. Raises TypeError or ValueError with the reason."""
    if not isinstance(candidate, Record) or type(candidate) not in KINDS.values():
        raise TypeError(f"expected a record, such as multiattn.Encoder, got {candidate!r}")
    record = with_checked_fields(candidate)
    if not NAME_PATTERN.fullmatch(record.name):
        raise ValueError(
            f"expected a name of lower-case letters, digits and hyphens, got {record.name!r}"
        )
    if not TARGET_PATTERN.fullmatch(record.target):
        raise ValueError(
            f"expected the target of {record.name!r} as module:Attribute, got {record.target!r}"
        )
    if not record.summary.strip() or "\n" in record.summary:
        raise ValueError(f"expected a one-line summary of {record.name!r}")
    return record


def _components(plugins: Sequence[Plugin]) -> list[Component]:
    return [
        Component(record, plugin.found.distribution)
        for plugin in plugins
        for record in plugin.records
    ]


class Host:
    """The loaded plugins: find components, check settings, build components, notify observers."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        plugins: Sequence[Plugin],
        left_out: Sequence[str] = (),
    ) -> None:
        self.plugins = tuple(plugins)
        self.left_out = tuple(left_out)  # labels of the plugins that the allow-list lacks
        self.rows = tuple(_components(plugins))
        self._manager = manager
        self._complained: set[str] = set()
        self.defaults: Mapping[tuple[str, str], Mapping[str, object]] = {}

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """The plugins that could not be loaded, each with its error."""
        return tuple(plugin for plugin in self.plugins if plugin.error is not None)

    def records(self, kind: str) -> tuple[Component, ...]:
        """Every component of one kind, including those with clashing names."""
        return tuple(row for row in self.rows if row.record.kind == kind)

    def find(self, kind: str, name: str) -> Component:
        """Look up ``name`` or ``dist/name``.

        Raises UserError for an unknown name (with close matches, and the plugins that may provide
        it but are broken or left out) and for a short name that several distributions provide.
        """
        distribution, slash, short = name.rpartition("/")
        given = self.records(kind)
        matching = [
            row
            for row in given
            if row.record.name == short
            and (not slash or row.distribution == canonical_name(distribution))
        ]
        if len(matching) == 1:
            return matching[0]
        if matching:
            full_names = " and ".join(row.full_name for row in matching)
            raise UserError(
                f"expected one {kind} called {shown(name)}, got {full_names}; write one of these"
            )
        from multiattn.registry.schema import suggestion

        known = [row.full_name if slash else row.record.name for row in given]
        raise UserError(
            f"expected the name of a known {kind}, got {shown(name)}; "
            f"{suggestion(name, known)}{self._broken_plugins()}{self._left_out_plugins(known)}"
        )

    def _broken_plugins(self) -> str:
        if not self.broken:
            return ""
        labels = [plugin.found.label for plugin in self.broken]
        return (
            f" (broken and not loaded: {', '.join(labels)}; "
            f"`multiattn plugins why {labels[0]}` says why)"
        )

    def _left_out_plugins(self, known: Sequence[str]) -> str:
        """The plugins that the allow-list lacks, if the core is one or nothing else is known."""
        if not self.left_out or (known and CORE not in self.left_out):
            return ""
        remedy = "; add multiattn to it for the core's components"
        return (
            f" (left out by {ALLOW_LIST}: {', '.join(self.left_out)}"
            f"{remedy if CORE in self.left_out else ''})"
        )

    def target(self, kind: str, name: str) -> Any:
        """Import the record's target. Raises UserError, with the reason, if that fails."""
        row = self.find(kind, name)
        try:
            with naming(f"{kind} {row.full_name}"):
                return pkgutil.resolve_name(row.record.target)
        except (Exception, SystemExit) as error:
            raise UserError(
                f"expected {kind} {row.full_name} at {row.record.target}, got "
                f"{type(error).__name__}: {error}; "
                f"{remedy(error) or f'repair or reinstall {row.distribution}'}"
            ) from error

    def mistakes(self, kind: str, named: Named, key: str) -> list[Mistake]:
        """List all mistakes in a component and its settings, which are at ``key`` of the recipe.

        Nothing is built. Components among its settings are checked too.
        """
        return self._bind(kind, named, key)[1]

    def factory(self, kind: str, named: Named) -> Callable[..., Any]:
        """The target with its settings bound; call it with the arguments that the engine supplies.

        Raises UserError listing every mistake.
        """
        bound, mistakes = self._bind(kind, named, kind)
        if bound is None or mistakes:
            raise UserError("\n".join(map(str, mistakes)))
        return bound

    def build(self, kind: str, named: Named, *supplied: object) -> Any:
        """Build a component from its settings and the positional arguments the engine supplies."""
        return self.factory(kind, named)(*supplied)

    def with_defaults(self, defaults: Mapping[tuple[str, str], Mapping[str, object]]) -> Host:
        """The same plugins, with other defaults of settings, by kind and full name."""
        host = copy.copy(self)
        host.defaults = defaults
        return host

    def _bind(
        self, kind: str, named: Named, key: str
    ) -> tuple[functools.partial[Any] | None, list[Mistake]]:
        # imports pydantic, which takes a tenth of a second
        from multiattn.registry.binding import bind

        return bind(self, kind, named, key)

    def run_started(self, run: Path) -> None:
        """Notify the observers that a run is about to train."""
        self._tell("multiattn_run_started", run=run)

    def epoch_finished(self, run: Path, epoch: int, metrics: Mapping[str, float]) -> None:
        """Notify the observers that an epoch has finished."""
        self._tell("multiattn_epoch_finished", run=run, epoch=epoch, metrics=metrics)

    def run_finished(self, run: Path, metrics: Mapping[str, float]) -> None:
        """Notify the observers that training has finished."""
        self._tell("multiattn_run_finished", run=run, metrics=metrics)

    def _tell(self, hook: str, **values: object) -> None:
        """Call each plugin's observer separately; one that raises is logged once.

        A traceback is part of that, unless the observer says in a UserError what is wrong.
        """
        for label, plugin in self._manager.list_name_plugin():
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            try:
                self._manager.subset_hook_caller(hook, others)(**values)
            except (Exception, SystemExit) as error:
                cause = None if isinstance(error, UserError) else error
                self.complain(label, f"observer {label} failed in {hook}: {error}", cause)

    def complain(self, label: str, complaint: str, error: BaseException | None = None) -> None:
        """Log a warning about a plugin or a component, unless this host has logged one before."""
        if label not in self._complained:
            self._complained.add(label)
            log.warning("%s", complaint, exc_info=error)
