"""The command line: global options, groups of commands, and the reporting of user errors.

Commands are plain functions in small files, with heavy imports inside the function: a test limits
`multiattn --help` to a short list of modules. A command that needs plugins takes
``context: typer.Context`` and uses ``context.obj.host``.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from multiattn.cli.plugins import check, plugins
from multiattn.cli.predict import predict
from multiattn.cli.recipes import recipes
from multiattn.cli.run import evaluate, report, run, train
from multiattn.cli.score import compare, score
from multiattn.errors import UserError

if TYPE_CHECKING:
    from multiattn.registry.host import Host

MISTAKE = 2  # the exit code for user errors, as for an unknown option


@dataclass(frozen=True)
class Invocation:
    """The global options of one command line."""

    plugin_files: Sequence[Path] = ()

    @functools.cached_property
    def host(self) -> Host:
        """The plugins of this invocation, loaded on first use."""
        from multiattn.registry.host import load_host

        return load_host(self.plugin_files)


class Commands(TyperGroup):
    """The command group; prints a UserError to standard error and exits with code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept --debug anywhere, because users append it to a command that has failed."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(each for each in args[:end] if each != "--debug"), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the requested command."""
        try:
            return super().invoke(ctx)
        except UserError as mistake:
            if ctx.params["debug"]:
                traceback.print_exc()
            typer.echo(f"error: {mistake}", err=True)
            raise typer.Exit(MISTAKE) from mistake


app = typer.Typer(
    cls=Commands,
    name="multiattn",
    help="One attention encoder-decoder, any input: encoders are plugins, numbers are honest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    context: typer.Context,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="Add a one-file plugin; may be repeated.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Read the global options; all but --debug come before the command."""
    context.obj = Invocation(plugin or ())


for command in (run, train, evaluate, predict, report, score, compare, recipes, check):
    app.command()(command)
app.add_typer(plugins, name="plugins")


def main() -> None:
    """Run the command line; the entry point of the `multiattn` script."""
    app()
