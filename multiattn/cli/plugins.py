"""`multiattn plugins`, `plugins -v`, `plugins why`, `check` and `recipes`: what can be used.

`plugins` without -v reads only metadata and imports no plugin, so it works even if one is broken.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from multiattn.cli.new import new
from multiattn.cli.options import Invocation, echo
from multiattn.errors import UserError, shown
from multiattn.registry.discovery import ALLOW_LIST, PluginEntry, canonical_name, find_plugins

if TYPE_CHECKING:
    from multiattn.registry.host import Host, Plugin
    from multiattn.testing import Case, Result

CHECK_FORMAT = 1  # version of the output of `check --json`


@click.group(invoke_without_command=True)
@click.option("-v", "--verbose", is_flag=True, help="Load the plugins and list their components.")
@click.pass_context
def plugins(context: click.Context, verbose: bool) -> None:
    """List plugins, explain why one is broken, or create a new one."""
    if context.invoked_subcommand is not None:
        return
    if verbose:
        for plugin in context.obj.host.plugins:
            _show(plugin)
        return
    for entry in find_plugins(context.obj.plugin_files):
        echo(_line(entry, "" if entry.allowed else f"left out by {ALLOW_LIST}"))


def _line(entry: PluginEntry, state: str) -> str:
    return f"{entry.label:24} {entry.version:10} {entry.location:28} {state}".rstrip()


def _show(plugin: Plugin) -> None:
    echo(_line(plugin.found, f"broken: {plugin.reason}" if plugin.error else "loaded"))
    for record in plugin.records:
        paper = f" [{record.paper}]" if record.paper else ""
        echo(f"  {record.kind:12} {record.name:20} {record.summary}{paper}")


plugins.add_command(new)


@plugins.command()
@click.argument("name", help="A plugin, a distribution or a component.")
@click.pass_obj
def why(invocation: Invocation, name: str) -> None:
    """Explain why a plugin is broken, or which plugin provides a component."""
    host = invocation.host
    left_out = [
        entry
        for entry in find_plugins(invocation.plugin_files)
        if not entry.allowed and _called(entry, name)
    ]
    for entry in left_out:
        echo(f"{entry.label} is left out: {ALLOW_LIST} does not list it")
    matching = [plugin for plugin in host.plugins if _called(plugin.found, name)]
    for plugin in matching:
        _explain(plugin)
    rows = [row for row in host.rows if name in (row.record.name, row.full_name)]
    for row in rows:
        echo(f"{row.record.kind} {row.full_name}: {row.record.target}")
    clashing = {row.record.kind for row in rows}
    if len(clashing) < len(rows):
        echo("several distributions provide this name; write it in full")
    if not (left_out or matching or rows):
        raise UserError(
            f"expected a plugin, a distribution or a component, got {shown(name)}; "
            "`multiattn plugins -v` lists them"
        )


def _called(entry: PluginEntry, name: str) -> bool:
    distribution, slash, rest = name.partition("/")
    return entry.distribution == canonical_name(distribution) and (not slash or entry.name == rest)


def _explain(plugin: Plugin) -> None:
    if plugin.error is None:
        echo(f"{plugin.found.label} is loaded and provides {len(plugin.records)} components")
        return
    echo(f"{plugin.found.label} is broken: {plugin.reason}")
    echo("".join(traceback.format_exception(plugin.error)).rstrip())


@click.command()
@click.argument(
    "distribution", metavar="DIST", help="A distribution listed by `multiattn plugins`."
)
@click.option(
    "--set",
    "settings",
    metavar="NAME.SETTING=VALUE",
    multiple=True,
    help="Check a component with a setting, such as hf-text.model=weights/bert.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every result, as JSON.")
@click.pass_obj
def check(
    invocation: Invocation, distribution: str, settings: Sequence[str], as_json: bool
) -> None:
    """Check every component of a distribution against the contract of its kind."""
    from multiattn.testing import cases

    host = invocation.host
    known = {plugin.found.distribution for plugin in host.plugins}
    if canonical_name(distribution) not in known:
        raise UserError(
            f"expected a distribution with plugins, got {shown(distribution)}; "
            f"choose from {', '.join(sorted(known)) or 'none'}"
        )
    host = host.with_defaults(_defaults(host, canonical_name(distribution), settings))
    results = []
    for component, checks in groupby(cases(host, canonical_name(distribution)), _component_of):
        with contextlib.redirect_stdout(sys.stderr):  # what a component prints is no result
            own = [case.result() for case in checks]
        results += own
        if not as_json:
            _print_faults(component, own)
    counts = Counter(result.outcome for result in results)
    if as_json:
        listed = [vars(result) for result in results]
        echo(json.dumps({"format": CHECK_FORMAT, "checks": listed}, indent=1))
    else:
        echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    if counts["failed"]:
        raise click.exceptions.Exit(1)


def _defaults(
    host: Host, distribution: str, overrides: Sequence[str]
) -> dict[tuple[str, str], dict[str, object]]:
    """Settings by kind and full name: of each component with that name and that setting."""
    from multiattn.recipe.yamlfile import parse, with_value
    from multiattn.registry.schema import settings_of, suggestion

    own = [
        row for row in host.rows if row.distribution == distribution and row.record.kind != "recipe"
    ]
    defaults: dict[tuple[str, str], dict[str, object]] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        name, *path = key.split(".")
        if not equals or not path or not all(path):
            raise UserError(
                f"expected NAME.SETTING=VALUE after --set, got {shown(override)}; write it like "
                "hf-text.model=weights/bert"
            )
        called = [row for row in own if row.record.name == name]
        if not called:
            raise UserError(
                f"expected the name of a component of {distribution} before the dot, got "
                f"{shown(name)}; {suggestion(name, [row.record.name for row in own])}"
            )
        known = {
            (row.record.kind, row.full_name): settings_of(
                host.target(row.record.kind, row.full_name)
            )
            for row in called
        }
        taking = [component for component, settings in known.items() if path[0] in settings]
        if not taking:
            names = {setting for settings in known.values() for setting in settings}
            raise UserError(
                f"expected a setting of {name}, got {shown(path[0])}; {suggestion(path[0], names)}"
            )
        for component in taking:
            before = defaults.get(component, {})
            defaults[component] = with_value(before, path, parse(value, "--set").value)
    return defaults


def _component_of(case: Case) -> str:
    return case.component


def _print_faults(component: str, results: Sequence[Result]) -> None:
    """Print each failure of a component, and each reason to skip once."""
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.outcome == "failed":
            echo(f"FAILED {component}/{result.check}: {result.sentence}")
        elif result.outcome == "skipped":
            skipped.setdefault(result.sentence, []).append(result.check)
    for reason, checks in skipped.items():
        what = f"/{checks[0]}" if len(checks) == 1 else f", {len(checks)} checks"
        echo(f"skipped {component}{what}: {reason}")


@click.command()
@click.pass_obj
def recipes(invocation: Invocation) -> None:
    """List the recipes that come with multiattn and its plugins."""
    from multiattn.recipe.loading import read_summary, recipe_files

    for file in recipe_files(invocation.host):
        echo(f"{file.name:32} {read_summary(file.path)}")
