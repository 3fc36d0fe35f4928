"""`multiattn recipes`: what can be run by name. It checks none of them; `run --dry-run` does."""

from __future__ import annotations

import typer


def recipes(context: typer.Context) -> None:
    """List the recipes that come with multiattn and its plugins."""
    from multiattn.recipe.loading import recipe_files, summary_of

    for file in recipe_files(context.obj.host):
        typer.echo(f"{file.name:32} {summary_of(file.path)}")
