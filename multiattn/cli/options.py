"""The global options, the options that commands share, and the overrides some are short for."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from multiattn.errors import printable

if TYPE_CHECKING:
    from multiattn.registry.host import Host

Command = TypeVar("Command", bound=Callable[..., Any])


class NonEmptyPath(click.Path):
    """A path; an empty one is refused, which Python would take for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as a ``Path``."""
        if value == "":
            self.fail("expected a path, got an empty one; give one or leave it out.", param, ctx)
        return super().convert(value, param, ctx)


PATH = NonEmptyPath(path_type=Path)


@dataclass(frozen=True)
class Invocation:
    """The global options of one command line."""

    plugin_files: Sequence[Path] = ()

    @functools.cached_property
    def host(self) -> Host:
        """The plugins of this invocation, loaded on first use."""
        from multiattn.registry.host import load_host

        return load_host(self.plugin_files)


recipe_argument = click.argument(
    "recipe", metavar="RECIPE", help="Recipe name (see `multiattn recipes`) or file."
)
run_argument = click.argument("path", metavar="RUN", type=PATH, help="The run's folder.")
data_option = click.option(
    "--data", metavar="DIR", type=PATH, help="Folder of the corpora; default: the shipped data."
)
out_option = click.option(
    "--out", metavar="RUN", type=PATH, help="The run's folder; default: runs/RECIPE."
)
seed_option = click.option("--seed", type=int, help="Override the recipe's seed.")
set_option = click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a recipe setting, such as training.steps=500.",
)
init_option = click.option(
    "--init", metavar="RUN", type=PATH, help="Start from the weights of another run."
)
tokenizer_option = click.option(
    "--tokenizer", metavar="RUN", type=PATH, help="Reuse the target tokenizer of another run."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show settings, sizes and plan without training."
)
lm_option = click.option(
    "--lm", metavar="RUN", type=PATH, help="Language model to decode with: a run without sources."
)
lm_weight_option = click.option(
    "--lm-weight", type=float, help="Weight of the language model; default: 0.2."
)
ensemble_option = click.option(
    "--ensemble",
    metavar="RUN",
    type=PATH,
    multiple=True,
    help="Another run to decode with as an ensemble; may be repeated.",
)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line; on a terminal with its control characters escaped and above any bar."""
    if not (sys.stderr if err else sys.stdout).isatty():
        click.echo(text, err=err, color=True)  # as it is, escapes included
    elif "multiattn.progress" not in sys.modules:  # no bar, and no reason to import rich
        click.echo(printable(text), err=err)
    else:
        from multiattn.progress import print_above

        if not print_above(printable(text)):
            click.echo(printable(text), err=err)


def draw_progress() -> None:
    """Let the command draw progress bars, on standard error: what it prints may go to a file."""
    from multiattn.progress import draw_on, plain_console

    click.get_current_context().with_resource(draw_on(plain_console(stderr=True)))


def warn(warnings: Iterable[str]) -> None:
    """Print warnings to standard error."""
    for warning in warnings:
        echo(f"warning: {warning}", err=True)


def recipe_options(command: Command) -> Command:
    """The options of a command that starts a run."""
    shared = (data_option, out_option, seed_option, set_option, init_option, tokenizer_option)
    for option in reversed(shared):
        command = option(command)
    return command


def language_model_options(command: Command) -> Command:
    """``--lm`` and ``--lm-weight``."""
    return lm_option(lm_weight_option(command))


def search_overrides(
    lm: Path | None, weight: float | None, ensemble: Sequence[Path] = ()
) -> list[str]:
    """The overrides of ``search`` that these options are short for."""
    overrides = []
    if lm is not None:
        overrides.append(f"search.language_model.run={_quoted(str(lm))}")
    if weight is not None:
        overrides.append(f"search.language_model.weight={weight}")
    if ensemble:
        overrides.append(f"search.ensemble={_quoted([str(path) for path in ensemble])}")
    return overrides


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
