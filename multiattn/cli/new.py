"""`multiattn plugins new`: create a small distribution that passes `multiattn check`.

Its files are those of ``skeletons/shared`` and of ``skeletons/KIND``, under the user's names.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
from pathlib import Path

import click

from multiattn.cli.options import PATH
from multiattn.errors import UserError, shown
from multiattn.registry.records import KINDS

SKELETONS = Path(__file__).parent / "skeletons"
MODALITY = "modality"  # a plugin with every component that a new kind of input needs
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
def new(name: str, kind: str, folder: Path) -> None:
    """Create a plugin: an installable folder with a working component for you to change."""
    from multiattn.registry.host import NAME_PATTERN

    if not NAME_PATTERN.fullmatch(name):
        raise UserError(
            f"expected a name of lower-case letters, digits and hyphens, got {shown(name)}"
        )
    if kind not in CHOICES:
        raise UserError(f"expected one of {', '.join(CHOICES)} as --kind, got {shown(kind)}")
    if keyword.iskeyword(_package(name)) or importlib.util.find_spec(_package(name)) is not None:
        raise UserError(
            f"expected a name that Python has no use for, got {name!r}, a keyword or a module that "
            "is there already; choose another name"
        )
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
    install = f"pip install -e {shlex.quote(str(root))}"
    click.echo(f"created {root}; now `{install}`, then `multiattn check {name}`")
    click.echo(f"what to change: {root / 'README.md'}")


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
