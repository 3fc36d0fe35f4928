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

from typing_extensions import get_protocol_members

from multiattn.errors import UserError
from multiattn.protocols import optional_protocols, required_protocol
from multiattn.recipe.loading import load_recipe, recipe_files
from multiattn.registry.host import Component, Host, Plugin
from multiattn.registry.schema import settings_of, signature_of
from multiattn.testing.fixtures import expect

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


def entry_module_imports_no_torch(plugin: Plugin) -> None:
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


def signature_matches_record(host: Host, row: Component) -> None:
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


def has_methods_of_its_protocols(host: Host, row: Component) -> None:
    """All methods of its kind's protocol, and all or none of each optional one's.

    Attributes set in a constructor are covered by the other checks.
    """
    kind = row.record.kind
    target, required = host.target(kind, row.full_name), required_protocol(kind)
    if required is None or not inspect.isclass(target):
        return
    missing = [name for name in _methods(required) if not hasattr(target, name)]
    for optional in optional_protocols(kind):
        has = {name: hasattr(target, name) for name in _methods(optional) - _methods(required)}
        if any(has.values()):
            missing += [name for name in has if not has[name]]
    expect(not missing, f"expected {row.record.target} to have {', '.join(sorted(set(missing)))}")


def _methods(protocol: type) -> set[str]:
    return {name for name in get_protocol_members(protocol) if callable(getattr(protocol, name, 0))}


def recipes_load(host: Host, row: Component) -> None:
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


PLUGIN_CHECKS = (it_loads, entry_module_imports_no_torch)
TARGET_CHECKS = (signature_matches_record, has_methods_of_its_protocols)
