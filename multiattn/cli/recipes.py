"""`multiattn recipes`: what can be run by name. It checks none of them; `run --dry-run` does."""

from __future__ import annotations

import typer


def recipes(context: typer.Context) -> None:
    """List the recipes that come with multiattn and its plugins."""
    from multiattn.recipe.loading import read_summary, recipe_files

    for file in recipe_files(context.obj.host):
        typer.echo(f"{file.name:32} {read_summary(file.path)}")
