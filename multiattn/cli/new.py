"""`multiattn plugins new`: create a small distribution that passes `multiattn check`."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
from pathlib import Path

import click

from multiattn.cli.options import PATH
from multiattn.errors import UserError, shown

SKELETONS = Path(__file__).parent / "skeletons"
KINDS = tuple(sorted(path.stem for path in SKELETONS.glob("[!_]*.py")))
FIELDS = {
    "encoder": 'consumes="text",',
    "metric": 'higher_is_better=True,\n        unit="0-1",',
}

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["multiattn"]

[project.entry-points."multiattn.v1"]
{name} = "{package}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

PLUGIN = '''\
"""The components of {name}. Strings only: a target is imported when a recipe builds it."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import {record}, Record, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield a record for each component."""
    yield {record}(
        name="{name}",
        target="{package}.{kind}:{attribute}",
        summary="say in one line what it does",
        {fields}
    )
'''

TEST = '''\
"""Run the conformance suite on this plugin."""

import pytest
from multiattn import load_host
from multiattn.testing import cases

CASES = cases(load_host(), "{name}")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_it_keeps_its_contract(case):
    case.run()
'''


@click.command()
@click.argument("name", help="Name of the distribution and of its first component.")
@click.option(
    "--kind", metavar="KIND", default="encoder", help=f"Kind of the component: {', '.join(KINDS)}."
)
@click.option(
    "--in", "folder", metavar="DIR", type=PATH, default=Path(), help="Where to create its folder."
)
def new(name: str, kind: str, folder: Path) -> None:
    """Create a plugin: an installable folder with one working component for you to change."""
    from multiattn.registry.host import NAME_PATTERN

    if not NAME_PATTERN.fullmatch(name):
        raise UserError(
            f"expected a name of lower-case letters, digits and hyphens, got {shown(name)}"
        )
    if kind not in KINDS:
        raise UserError(f"expected one of {', '.join(KINDS)} as --kind, got {shown(kind)}")
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


def _package(name: str) -> str:
    return name.replace("-", "_")


def _files(name: str, kind: str) -> dict[str, str]:
    """The content of every file of the new distribution, by its relative path."""
    package = _package(name)
    component = (SKELETONS / f"{kind}.py").read_text("utf-8")
    attribute = "".join(part.capitalize() for part in name.split("-"))
    if re.search(rf"\b{attribute}\b", component) or keyword.iskeyword(attribute):
        attribute += kind.capitalize()  # the template uses the name
    words = {
        "name": name,
        "package": package,
        "kind": kind,
        "record": kind.capitalize(),
        "attribute": attribute,
        "fields": FIELDS.get(kind, ""),
    }
    component = component.replace("class Example", f"class {attribute}")
    lines = PLUGIN.format(**words).splitlines(keepends=True)
    return {
        "pyproject.toml": PROJECT.format(**words),
        f"{package}/__init__.py": "",
        f"{package}/plugin.py": "".join(line for line in lines if line.strip() or line == "\n"),
        f"{package}/{kind}.py": component.replace('"example', f'"{name}'),
        "tests/test_conformance.py": TEST.format(**words),
    }
