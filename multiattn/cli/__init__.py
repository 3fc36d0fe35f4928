"""The command line: global options, groups of commands, and the reporting of user errors.

Commands are plain functions in small files, with heavy imports inside the function: a test limits
`multiattn --help` to a short list of modules. Each is handed the `Invocation`, whose ``host`` loads
the plugins when first asked for.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from multiattn.cli import standard_output
from multiattn.cli.compare import compare
from multiattn.cli.options import PATH, Invocation
from multiattn.cli.plugins import check, plugins, recipes
from multiattn.cli.predict import predict
from multiattn.cli.run import evaluate, report, run, train
from multiattn.cli.score import score
from multiattn.cli.serve import serve
from multiattn.errors import UserError, shown
from multiattn.registry.libraries import remedy

MISTAKE = 2  # the exit code for user errors, as for an unknown option


class Commands(click.Group):
    """The command group; prints a UserError to standard error and exits with code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a new user needs them, not alphabetically."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept --debug anywhere, because users append it to a command that has failed."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(each for each in args[:end] if each != "--debug"), *args[end:]]
        with _harmless_usage_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the requested command."""
        try:
            with _harmless_usage_errors():
                return super().invoke(ctx)
        except (UserError, OSError, ImportError) as error:
            mistake = _as_user_error(error)
            if mistake is None:
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            click.echo(f"error: {mistake}", err=True)
            ctx.exit(MISTAKE)
        except KeyboardInterrupt as interrupt:
            for note in getattr(interrupt, "__notes__", ()):
                click.echo(f"interrupted {note}", err=True)
            raise


def _as_user_error(error: UserError | OSError | ImportError) -> UserError | None:
    """The mistake of the user that an error stands for; None if it is another error."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        path = shown(error.filename)
        return UserError(f"expected a path, got {path}, a name that no file can have")
    what_to_do = remedy(error)
    if not what_to_do:
        return None
    return UserError(
        f"expected a library that can be imported, got {type(error).__name__}: {error}; "
        f"{what_to_do}"
    )


@contextmanager
def _harmless_usage_errors() -> Iterator[None]:
    """Shorten and escape what click quotes of the command line, as in other messages."""
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(str(UserError(error.format_message())), ctx=error.ctx) from error


@click.group(cls=Commands, name="multiattn", context_settings={"max_content_width": 100})
@click.option(
    "--plugin",
    "plugin_files",
    metavar="FILE",
    type=PATH,
    multiple=True,
    help="Add a one-file plugin; may be repeated.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def app(context: click.Context, plugin_files: Sequence[Path], debug: bool) -> None:
    """One attention encoder-decoder for any input: encoders are plugins, scores have intervals."""
    context.obj = Invocation(tuple(dict.fromkeys(plugin_files)))


for command in (
    run,
    train,
    evaluate,
    predict,
    serve,
    report,
    score,
    compare,
    recipes,
    check,
    plugins,
):
    app.add_command(command)


def main() -> None:
    """Run the command line; the entry point of the `multiattn` script."""
    with standard_output.reopened(MISTAKE):
        app()
