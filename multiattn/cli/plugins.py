"""`multiattn plugins`, `plugins -v`, `plugins why`, `plugins new`, `check`: who is here, what is wrong.

`plugins` alone reads metadata and imports no plugin, so it works whatever a plugin does.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multiattn.discovery import ALLOW_LIST, Found, canonical, installed
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.plugins import Host, Plugin

plugins = typer.Typer(help="List plugins; say why one is broken; start a new one.")


@plugins.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Load them; list their components.")
    ] = False,
) -> None:
    """List the installed plugins from their metadata, or, with -v, what they give."""
    if context.invoked_subcommand is not None:
        return
    if verbose:
        for plugin in context.obj.host.plugins:
            _show(plugin)
        return
    for found in installed():
        typer.echo(_line(found, "" if found.allowed else f"left out by {ALLOW_LIST}"))


def _line(found: Found, state: str) -> str:
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
    """Say why a plugin is broken, or who gives a component."""
    host: Host = context.obj.host
    left_out = [found for found in installed() if not found.allowed and _called(found, name)]
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


def _called(found: Found, name: str) -> bool:
    distribution, slash, rest = name.partition("/")
    return found.distribution == canonical(distribution) and (not slash or found.name == rest)


def _explain(plugin: Plugin) -> None:
    if plugin.error is None:
        typer.echo(f"{plugin.found.label} is loaded and gives {len(plugin.records)} components")
        return
    typer.echo(f"{plugin.found.label} is broken: {plugin.reason}")
    typer.echo("".join(traceback.format_exception(plugin.error)).rstrip())
