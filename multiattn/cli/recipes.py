"""`multiattn recipes`: list the named recipes without checking them; `run --dry-run` checks one."""

from __future__ import annotations

import click

from multiattn.cli.options import Invocation, echo


@click.command()
@click.pass_obj
def recipes(invocation: Invocation) -> None:
    """List the recipes that come with multiattn and its plugins."""
    from multiattn.recipe.loading import read_summary, recipe_files

    for file in recipe_files(invocation.host):
        echo(f"{file.name:32} {read_summary(file.path)}")
