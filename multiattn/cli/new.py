"""`multiattn plugins new`: create a small distribution that passes `multiattn check`.

Its files are those of ``skeletons/shared`` and of ``skeletons/KIND``, under the user's names.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from multiattn.cli.options import PATH, Invocation, warn
from multiattn.errors import UserError, shown
from multiattn.registry.records import KINDS

if TYPE_CHECKING:
    from multiattn.registry.host import Host

SKELETONS = Path(__file__).parent / "skeletons"
MODALITY = "modality"  # a plugin with every component that a new kind of input needs
KINDS_OF_MODALITY = ("reader", "encoder", "corpus", "metric", "renderer")
CHOICES = (*KINDS, MODALITY)
BESIDE_THE_PACKAGE = ("README.md", "pyproject.toml", "tests")


@click.command()
@click.argument("name", help="Name of the distribution and of its first component.")
@click.option(
    "--kind",
    metavar="KIND",
    default="encoder",
    help=f"Kind of the component: {', '.join(KINDS)}; or {MODALITY}, all that a new kind of input "
    "needs, with a recipe that trains.",
)
@click.option(
    "--in", "folder", metavar="DIR", type=PATH, default=Path(), help="Where to create its folder."
)
@click.pass_obj
def new(invocation: Invocation, name: str, kind: str, folder: Path) -> None:
    """Create a plugin: an installable folder with a working component for you to change."""
    _check_name(name)
    if kind not in CHOICES:
        raise UserError(f"expected one of {', '.join(CHOICES)} as --kind, got {shown(kind)}")
    root = folder / name
    if root.exists():
        raise UserError(f"expected a new folder, got {root}, which exists; choose another name")
    try:
        for path, text in _files(name, kind).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
    except OSError as error:
        raise UserError(
            f"could not write {root}: {error.strerror or error}; choose another folder with --in"
        ) from error
    pip, run = ("pip", "") if importlib.util.find_spec("pip") else ("uv pip", "uv run ")
    install = f"{pip} install -e {shlex.quote(str(root))}"
    click.echo(f"created {root}; now `{install}`, then `{run}multiattn check {name}`")
    click.echo(f"what to change: {root / 'README.md'}")
    warn(_clashes(invocation.host, name, kind))


def _check_name(name: str) -> None:
    """Raise UserError for a name that a distribution, a component or a module cannot have."""
    from multiattn.registry.host import NAME_PATTERN

    if not NAME_PATTERN.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        advice = f"such as {better}" if NAME_PATTERN.fullmatch(better) else "such as my-plugin"
        raise UserError(
            "expected a name of lower-case letters and digits, with a letter first and single "
            f"hyphens between words, got {shown(name)}; choose another, {advice}"
        )
    if keyword.iskeyword(_package(name)) or importlib.util.find_spec(_package(name)) is not None:
        raise UserError(
            f"expected a name that Python has no use for, got {name!r}, a keyword or a module that "
            "is there already; choose another name"
        )


def _clashes(host: Host, name: str, kind: str) -> Iterator[str]:
    """A warning for each installed component that the new one shares its kind and name with.

    A recipe's name is that of its folder, which distributions may share.
    """
    kinds = KINDS_OF_MODALITY if kind == MODALITY else () if kind == "recipe" else (kind,)
    for row in host.rows:
        if row.record.name == name and row.record.kind in kinds and row.distribution != name:
            yield (
                f"expected a new name, got {name}, which is also the {row.record.kind} "
                f"{row.full_name}; choose another, or write {name}/{name} in recipes"
            )


def _package(name: str) -> str:
    return name.replace("-", "_")


def _files(name: str, kind: str) -> dict[str, str]:
    """The content of every file of the new distribution, by its relative path."""
    templates = _templates("shared") | _templates(kind)
    component = SKELETONS / MODALITY / f"{kind}.py"
    if component.is_file():
        templates.setdefault(component.name, component)
    return {
        path if path.startswith(BESIDE_THE_PACKAGE) else f"{_package(name)}/{path}": _named(
            template.read_text("utf-8"), name, kind
        )
        for path, template in templates.items()
    }


def _templates(folder: str) -> dict[str, Path]:
    """The files of a folder of skeletons, by their relative path."""
    files = [path for path in (SKELETONS / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(SKELETONS / folder).as_posix(): path
        for path in files
        if path.parent.name != "__pycache__"
    }


def _named(template: str, name: str, kind: str) -> str:
    """Put the user's names in place of the template's; ``my-encoder`` becomes ``MyEncoder``."""
    title = "".join(part.capitalize() for part in name.split("-"))
    text = re.sub(r"MyPlugin(\w*)", lambda found: title.removesuffix(found[1]) + found[1], template)
    for word, own in {"my-plugin": name, "my_plugin": _package(name), "KIND": kind}.items():
        text = text.replace(word, own)
    return text
