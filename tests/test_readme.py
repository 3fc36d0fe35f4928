"""What READMEs and site say, held against the code: commands, recipes, components, settings."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import itertools
import re
import shlex
from pathlib import Path

import pytest

from multiattn.cli import app
from multiattn.protocols import optional_protocols, required_protocol
from multiattn.recipe.loading import load_recipe, recipe_files
from multiattn.registry.host import Host, load_host
from multiattn.registry.records import KINDS
from multiattn.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

PAGES = [
    README,
    *sorted((ROOT / "recipes").glob("*/README.md")),
    *sorted((ROOT / "plugins").glob("*/*/recipes/README.md")),
]
WITH_COMMANDS = [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:    )?(?:pip install uv && uv run )?(multiattn [a-z].*)$", re.MULTILINE)
DISTRIBUTIONS = (
    *("multiattn", "multiattn-text", "multiattn-audio", "multiattn-image"),
    *("multiattn-huggingface", "multiattn-sensors"),
)


def commands(page: Path) -> list[list[str]]:
    text = re.sub(r"\\\n\s*", "", page.read_text("utf-8"))  # a command over several lines
    return [shlex.split(found) for found in COMMAND.findall(text)]


EVERY = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)}")
    for page in WITH_COMMANDS
    for words in commands(page)
]

GUIDE_PLUGIN = "gestures"  # made, with its recipe, by the guide for authors
WITH_RECIPE = [
    case
    for case in EVERY
    if case.values[0][1] in ("run", "evaluate") and case.values[0][2] != GUIDE_PLUGIN
]


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def rows(heading: str, page: Path = README) -> list[list[str]]:
    """The rows of the table below a heading, without its own two head lines."""
    section = page.read_text("utf-8").split(f"# {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


@pytest.fixture(scope="module")
def host() -> Host:
    for plugin in ("multiattn_text", "multiattn_audio", "multiattn_image"):
        pytest.importorskip(plugin, reason="the recipes name its components")
    return load_host()


def test_there_are_exactly_two_commands_to_begin_with():
    section = README.read_text("utf-8").split("\n## Two commands\n")[1].split("\nWhere ")[0]
    assert re.findall(r"^```sh\n(.*?)\n```$", section, re.MULTILINE) == [
        "pip install uv && uv run multiattn run translation",
        "pip install uv && uv run --all-groups pytest",
    ]


def test_ci_runs_the_second_of_them():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    (pattern,) = re.findall(r"grep -m 1 -E '(.*?)' README.md", script)
    assert re.findall(pattern, README.read_text("utf-8"), re.MULTILINE) == [
        "pip install uv && uv run --all-groups pytest"
    ]


@pytest.mark.parametrize("words", EVERY)
def test_every_command_is_one_that_the_command_line_takes(words):
    """Name, options and number of arguments; nothing is run."""
    group = app
    name, *rest = words[1:]
    with group.make_context("multiattn", [name, *rest]) as context:
        found, command, arguments = group.resolve_command(context, [name, *rest])
        assert found == name
        while arguments and arguments[0] in getattr(command, "commands", {}):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        command.make_context(name, [*arguments], parent=context)


@pytest.mark.parametrize("words", WITH_RECIPE)
def test_every_recipe_and_setting_in_a_command_is_right(words, host):
    recipes = {str(RunFolder.default(file.name).path): file.name for file in recipe_files(host)}
    recipe = recipes.get(words[2], words[2])
    overrides = [value for key, value in itertools.pairwise(words) if key == "--set"]
    load_recipe(recipe, overrides, host)


@pytest.mark.parametrize("words", EVERY)
def test_every_run_in_a_command_is_where_another_command_puts_it(words, host):
    pairs = [pair for case in EVERY for pair in itertools.pairwise(case.values[0])]
    written = {after for word, after in pairs if word == "--out"}
    recipes = [file.name for file in recipe_files(host)]
    written |= {str(RunFolder.default(name).path) for name in [*recipes, GUIDE_PLUGIN]}
    assert {"/".join(word.split("/")[:2]) for word in words if word.startswith("runs/")} <= written


def test_every_shipped_recipe_is_in_the_readme_of_its_folder():
    for file in recipe_files(load_host()):
        pages = (folder / "README.md" for folder in file.path.parents)
        nearest = next(page for page in pages if page.exists())
        assert f"multiattn run {file.name}" in nearest.read_text("utf-8")


def test_every_shipped_recipe_is_without_mistakes(host):
    for file in recipe_files(host):
        assert load_recipe(file.name, host=host).summary


def test_the_table_of_components_is_what_is_registered(host):
    table = rows("Components")
    by_kind = {kind: cells for kind, *cells in table}
    for column, distribution in enumerate(DISTRIBUTIONS):
        if distribution not in {plugin.found.distribution for plugin in host.plugins}:
            continue
        registered = {
            kind: [
                row.record.name for row in host.records(kind) if row.distribution == distribution
            ]
            for kind in KINDS
        }
        said = {kind: re.findall(r"`([^`]+)`", cells[column]) for kind, cells in by_kind.items()}
        present = {kind: sorted(names) for kind, names in registered.items() if names}
        assert {kind: sorted(names) for kind, names in said.items() if names} == present


def test_every_folder_of_the_map_is_there():
    for name, _ in rows("Where things are"):
        assert (ROOT / name.strip("`")).is_dir()
    read_first = re.findall(r"`([\w/]+\.py)`", rows("Where things are")[0][1])
    assert all((ROOT / "multiattn" / name).exists() for name in read_first)


def test_every_letter_of_the_design_is_explained():
    assert [letter for letter, _ in rows("Letters in shapes")] == list("BNSDCTQAV")


def test_every_import_in_the_readme_works():
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_attributes_of_a_prediction_that_it_shows_exist(host):
    from multiattn.prediction.prediction import Prediction

    (block,) = (block for block in blocks("python") if "multiattn.load" in block)
    shown = re.findall(r"prediction\.(\w+)", block)
    assert set(shown) <= set(Prediction.__dataclass_fields__)
    source = re.findall(r'attention\["(\w+)"\]', block)
    assert set(source) <= set(load_recipe("translation").sources)


def test_the_plugin_that_it_shows_loads(tmp_path):
    (block,) = (block for block in blocks("python") if "hookimpl" in block)
    path = tmp_path / "shown.py"
    path.write_text(block, "utf-8")
    shown = next(
        plugin for plugin in load_host([path]).plugins if plugin.records[0].name == "cnn-text"
    )
    assert shown.error is None


def test_a_row_of_results_is_complete():
    measured = [page for page in PAGES if "\n## Results\n" in page.read_text("utf-8")]
    assert README in measured
    for page in measured:
        for cells in rows("Results", page):
            assert all(cells)


def test_every_version_is_in_the_changes():
    version = importlib.metadata.version("multiattn")
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## {version}" in changes or "## Unreleased" in changes


def test_the_guide_lists_every_protocol_under_its_kind():
    listed: dict[str, list[str]] = {}
    kind = ""
    for row in rows("The protocols of components", ROOT / "plugins" / "README.md"):
        kind = row[0] or kind
        listed.setdefault(kind, []).extend(name.strip("`") for name in row[1:3] if name)
    assert listed == {
        kind: [protocol.__name__ for protocol in (required, *optional_protocols(kind))]
        for kind in KINDS
        if (required := required_protocol(kind)) is not None
    }
