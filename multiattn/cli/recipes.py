"""`multiattn recipes`: list the named recipes without checking them; `run --dry-run` checks one."""

from __future__ import annotations

import typer


def recipes(context: typer.Context) -> None:
    """List the recipes that come with multiattn and its plugins."""
    from multiattn.recipe.loading import read_summary, recipe_files

    for file in recipe_files(context.obj.host):
        typer.echo(f"{file.name:32} {read_summary(file.path)}")
