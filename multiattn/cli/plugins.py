"""`multiattn plugins`, `plugins -v`, `plugins why` and `check`: list and diagnose plugins.

`plugins` without -v reads only metadata and imports no plugin, so it works even if one is broken.
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import TYPE_CHECKING, Annotated
from unittest import SkipTest

import typer

from multiattn.cli.new import new
from multiattn.errors import UserError
from multiattn.registry.discovery import ALLOW_LIST, PluginEntry, canonical_name, find_plugins

if TYPE_CHECKING:
    from multiattn.registry.host import Host, Plugin
    from multiattn.testing import Case

plugins = typer.Typer(help="List plugins, explain why one is broken, or create a new one.")
plugins.command()(new)


@plugins.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Load the plugins and list their components.")
    ] = False,
) -> None:
    """List the installed plugins from their metadata or, with -v, their components."""
    if context.invoked_subcommand is not None:
        return
    if verbose:
        for plugin in context.obj.host.plugins:
            _show(plugin)
        return
    for found in find_plugins(context.obj.plugin_files):
        typer.echo(_line(found, "" if found.allowed else f"left out by {ALLOW_LIST}"))


def _line(found: PluginEntry, state: str) -> str:
    return f"{found.label:24} {found.version:10} {found.location:28} {state}".rstrip()


def _show(plugin: Plugin) -> None:
    typer.echo(_line(plugin.found, f"broken: {plugin.reason}" if plugin.error else "loaded"))
    for record in plugin.records:
        paper = f" [{record.paper}]" if record.paper else ""
        typer.echo(f"  {record.kind:12} {record.name:20} {record.summary}{paper}")


@plugins.command()
def why(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin, a distribution or a component.")],
) -> None:
    """Explain why a plugin is broken, or which plugin provides a component."""
    host: Host = context.obj.host
    left_out = [
        found
        for found in find_plugins(context.obj.plugin_files)
        if not found.allowed and _called(found, name)
    ]
    for found in left_out:
        typer.echo(f"{found.label} is left out: {ALLOW_LIST} does not name it")
    matching = [plugin for plugin in host.plugins if _called(plugin.found, name)]
    for plugin in matching:
        _explain(plugin)
    rows = [row for row in host.rows if name in (row.record.name, row.full_name)]
    for row in rows:
        typer.echo(f"{row.record.kind} {row.full_name}: {row.record.target}")
    clashing = {row.record.kind for row in rows}
    if len(clashing) < len(rows):
        typer.echo("several distributions give this name: write it in full")
    if not (left_out or matching or rows):
        raise UserError(
            f"expected a plugin, a distribution or a component, got {name!r}; "
            "`multiattn plugins -v` lists them"
        )


def _called(found: PluginEntry, name: str) -> bool:
    distribution, slash, rest = name.partition("/")
    return found.distribution == canonical_name(distribution) and (not slash or found.name == rest)


def _explain(plugin: Plugin) -> None:
    if plugin.error is None:
        typer.echo(f"{plugin.found.label} is loaded and gives {len(plugin.records)} components")
        return
    typer.echo(f"{plugin.found.label} is broken: {plugin.reason}")
    typer.echo("".join(traceback.format_exception(plugin.error)).rstrip())


def check(
    context: typer.Context,
    distribution: Annotated[
        str, typer.Argument(metavar="DIST", help="A name listed by `plugins`.")
    ],
) -> None:
    """Check every component of a distribution against the contract of its kind."""
    from multiattn.testing import cases

    host: Host = context.obj.host
    known = {plugin.found.distribution for plugin in host.plugins}
    if canonical_name(distribution) not in known:
        raise UserError(
            f"expected a distribution with plugins, got {distribution!r}; "
            f"there are {', '.join(sorted(known)) or 'none'}"
        )
    results = Counter(_tried(case) for case in cases(host, canonical_name(distribution)))
    typer.echo(", ".join(f"{count} {result}" for result, count in sorted(results.items())))
    if results["failed"]:
        raise typer.Exit(1)


def _tried(case: Case) -> str:
    """Run one check; return a description of the problem, if there is one."""
    try:
        case.run()
    except SkipTest as reason:
        typer.echo(f"skipped {case.id}: {reason}")
        return "skipped"
    except Exception as error:
        cause = error.__cause__ or error
        typer.echo(f"FAILED {case.id}: {error if error.args else type(cause).__name__}")
        return "failed"
    return "passed"
