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
from collections.abc import Iterator
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
module, file = sys.argv[1:]
import_file(Path(file)) if file else __import__(module)
"""


def it_loads(plugin: Plugin) -> None:
    """A broken plugin fails the check with its own error."""
    if plugin.error is not None:
        raise AssertionError(
            f"expected {plugin.found.label} to load, got {plugin.reason}; see `multiattn plugins "
            f"why {plugin.found.label}`"
        ) from plugin.error


def entry_module_imports_no_torch(plugin: Plugin) -> None:
    """Listing plugins must be fast: targets are strings, imported when they are built."""
    location = plugin.found.location
    _expect_no_torch(location.partition(":")[0], location if Path(location).is_file() else "")


def target_imports_no_torch(host: Host, row: Component) -> None:
    """Scoring must work without torch."""
    module = row.record.target.partition(":")[0]
    files = [
        plugin.found.location
        for plugin in host.plugins
        if plugin.found.distribution == row.distribution
        and Path(plugin.found.location).is_file()
        and Path(plugin.found.location).stem == module
    ]
    _expect_no_torch(module, "".join(files[:1]))


@functools.cache
def _expect_no_torch(module: str, file: str) -> None:
    """file: the plugin that was given as a file and is the module; empty for an installed one."""
    tried = subprocess.run(  # noqa: S603 - an installed plugin, in an interpreter of its own
        [sys.executable, "-c", WITHOUT_TORCH, module, file],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    expect(
        tried.returncode == 0,
        f"expected {file or module} to import without torch, got: "
        f"{(tried.stderr.strip().splitlines() or ['no message'])[-1]}",
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
    """All members of its kind's protocol, and of each optional one of which it has the first.

    A method may also be an attribute that the constructor sets, such as a submodule.
    """
    kind = row.record.kind
    target, required = host.target(kind, row.full_name), required_protocol(kind)
    if required is None or not inspect.isclass(target):
        return
    assigned = _names_in_constructors(target)
    missing = set(_lacking(target, required))
    for optional in optional_protocols(kind):
        first = next(iter(_members(optional)), None)
        if first is not None and hasattr(target, first):
            missing |= set(_lacking(target, optional))
    missing -= assigned
    expect(not missing, f"expected {row.record.target} to have {', '.join(sorted(set(missing)))}")


def _members(protocol: type) -> list[str]:
    """The methods and properties of a protocol, its own first, as they are declared."""
    declared = [name for each in protocol.__mro__ for name in vars(each)]
    members = get_protocol_members(protocol)
    return [name for name in declared if name in members and hasattr(protocol, name)]


def _lacking(target: type, protocol: type) -> Iterator[str]:
    """Members that a class has not, or only inherits from the protocol, where they do nothing."""
    for name in _members(protocol):
        own = getattr(target, name, None)
        if own is None or own is getattr(protocol, name):
            yield name


def _names_in_constructors(target: type) -> set[str]:
    """The names that the constructors of a class and its bases mention, attributes among them."""
    codes = [getattr(vars(each).get("__init__"), "__code__", None) for each in target.__mro__]
    return {name for code in codes if code is not None for name in code.co_names}


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


TARGET_CHECKS = (signature_matches_record, has_methods_of_its_protocols)
