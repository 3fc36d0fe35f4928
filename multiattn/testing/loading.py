"""Checks of a plugin that build nothing: that it loads, and the signatures of its targets.

Whether a module imports torch is tested in a separate process in which torch cannot be imported.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

from multiattn.errors import UserError
from multiattn.recipe.loading import load_recipe, recipe_files
from multiattn.registry.host import Component, Host, Plugin
from multiattn.registry.schema import settings_of, signature_of
from multiattn.testing.fixtures import expect

METHODS = {
    "encoder": ("forward", "example_inputs"),
    "reader": ("spec", "measure", "read", "collate", "labels"),
    "corpus": ("splits", "examples"),
    "attention": ("prepare", "forward"),
    "fusion": ("prepare", "forward"),
    "recurrence": ("prepare", "begin", "forward"),
    "output": ("forward",),
    "decoder": ("begin", "step", "forward"),
    "objective": ("keep", "heads", "loss"),
    "scorer": ("ceiling", "start", "score", "finish"),
    "metric": ("statistics", "aggregate", "signature"),
    "normaliser": ("__call__", "signature"),
    "aligner": ("align",),
    "renderer": ("draw",),
}

# A component with the first of these attributes must have all of them.
TOGETHER = {
    "reader": ("fit", "save", "load"),
    "encoder": ("features", "forward_features", "frozen"),
}

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from multiattn.registry.discovery import import_file
path = sys.argv[1]
import_file(Path(path)) if path.endswith(".py") else __import__(path)
"""


def it_loads(plugin: Plugin) -> None:
    """A broken plugin fails the check with its own error."""
    if plugin.error is not None:
        raise AssertionError(f"expected {plugin.found.label} to load") from plugin.error


def its_entry_module_imports_no_torch(plugin: Plugin) -> None:
    """Listing plugins must be fast: targets are strings, imported when they are built."""
    location = plugin.found.location
    _expect_no_torch(location if Path(location).is_file() else location.partition(":")[0])


def target_imports_no_torch(host: Host, row: Component) -> None:
    """Scoring must work without torch."""
    _expect_no_torch(row.record.target.partition(":")[0])


@functools.cache
def _expect_no_torch(module: str) -> None:
    tried = subprocess.run(  # noqa: S603 - an installed plugin, in an interpreter of its own
        [sys.executable, "-c", WITHOUT_TORCH, module],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    expect(
        tried.returncode == 0,
        f"expected {module} to import without torch, got:\n{tried.stderr}",
    )


def its_signature_is_its_settings(host: Host, row: Component) -> None:
    """Positional parameters are what the engine supplies, keyword-only ones are the settings."""
    try:
        target = host.target(row.record.kind, row.full_name)
        settings_of(target)
        parameters = signature_of(target).parameters.values()
    except UserError as error:
        raise AssertionError(str(error)) from error
    if "__init__" not in vars(target):
        return
    positional = tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)
    supplied = row.record.supplied
    expect(positional == supplied, f"expected positional parameters {supplied}, got {positional}")


def it_has_what_the_engine_asks_for(host: Host, row: Component) -> None:
    """Checks methods by name; attributes set in a constructor are covered by the other checks."""
    target = host.target(row.record.kind, row.full_name)
    asked, together = METHODS.get(row.record.kind, ()), TOGETHER.get(row.record.kind, ())
    if any(hasattr(target, name) for name in together[:1]):
        asked = (*asked, *together)
    missing = [name for name in asked if not hasattr(target, name)]
    expect(
        not missing or not inspect.isclass(target),
        f"expected {row.record.target} to have {', '.join(missing)}",
    )


def every_recipe_in_it_loads(host: Host, row: Component) -> None:
    """The folder contains recipes, all of them valid."""
    package = row.record.target.partition(":")[0]
    expect(importlib.util.find_spec(package) is not None, f"expected a package {package}")
    files = [
        file
        for file in recipe_files(host)
        if file.distribution == row.distribution and file.name.partition("/")[0] == row.record.name
    ]
    expect(bool(files), f"expected .yaml files in {row.record.target}, got none")
    for file in files:
        try:
            load_recipe(file.path, (), host)
        except UserError as error:
            raise AssertionError(str(error)) from error


PLUGIN_CHECKS = (it_loads, its_entry_module_imports_no_torch)
TARGET_CHECKS = (its_signature_is_its_settings, it_has_what_the_engine_asks_for)
