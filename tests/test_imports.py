"""Importing costs nothing: what can be said without a model is said without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from multiattn.cli import app
from multiattn.cli.plugins import plugins

BLOCKED = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
"""
HEAVY = ("torch", "numpy", "accelerate", "matplotlib", "tokenizers", "safetensors")


def python(code: str, blocked: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess:
    code = BLOCKED.format(blocked=blocked) + code
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugins"],
        *[[command, "--help"] for command in app.commands],
        *[["plugins", command, "--help"] for command in plugins.commands],
    ],
    ids=" ".join,
)
def test_help_and_the_list_of_plugins_import_nothing_heavy(arguments):
    heavy = (*HEAVY, "yaml", "pluggy", "pydantic", "rich", "multiattn_text")
    done = python("from multiattn.cli import main\nmain()", heavy, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_package_is_a_command_too():
    command = [sys.executable, "-m", "multiattn", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "multiattn" in done.stdout
    assert "evaluate" in done.stdout


def test_listing_components_imports_no_more_than_their_records():
    blocked = (*HEAVY, "yaml", "pydantic", "rich")
    done = python("from multiattn.cli import main\nmain()", blocked, "plugins", "-v")
    assert done.returncode == 0, done.stderr
    assert "renderer     heat-map" in done.stdout
    assert "broken" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [["plugins", "-v"], ["plugins", "why", "additive"], ["recipes"]], ids=" ".join
)
def test_listing_components_and_recipes_imports_no_torch(arguments):
    done = python("from multiattn.cli import main\nmain()", ("torch",), *arguments)
    assert done.returncode == 0, done.stderr
    assert "broken" not in done.stdout


@pytest.mark.parametrize("key", ["trainin.steps", "training.stepz", "target", "seed.x"])
def test_a_wrong_key_that_needs_no_component_is_told_without_importing_one(key, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("corpus: {name: any}\ntarget: {field: text}\ndecoder: lstm\n")
    arguments = ["run", str(recipe), "--set", f"{key}=5"]
    code = "from multiattn.cli import main\nmain()"
    done = python(code, (*HEAVY, "rich"), *arguments)
    assert done.returncode == 2, done.stderr
    assert f"--set {key.removesuffix('.steps').removesuffix('.x')}: expected" in done.stderr


@pytest.mark.parametrize(
    "module", ["", ".registry.host", ".registry.schema", ".recipe.loading", ".scoring.intervals"]
)
def test_what_is_torch_free_imports_where_torch_does_not(module):
    done = python(f"import multiattn{module}", ("torch",))
    assert done.returncode == 0, done.stderr
