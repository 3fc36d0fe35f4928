"""The map in ARCHITECTURE.md is true: files, order of imports, sizes and public names."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import multiattn

ROOT = Path(__file__).parents[1]
CORE = ROOT / "multiattn"
SKELETONS = CORE / "cli" / "skeletons"
PLUGIN_PACKAGES = sorted(ROOT.glob("plugins/*/multiattn_*"))

BASE = "errors seeds symbols unicode files run_folder progress stop_signals"
RANKS: dict[str, int] = {
    package: rank
    for rank, packages in enumerate(
        (
            BASE.split(),
            ("registry",),
            ("recipe", "engine"),
            ("data", "scoring"),
            ("search",),
            ("training",),
            ("runs",),
            ("prediction",),
            ("report", "testing"),
            ("serve",),
            ("cli",),
        )
    )
    for package in packages
}
PUBLIC_API = {"multiattn", "multiattn.protocols", "multiattn.corpora", "multiattn.layers"}
PUBLIC_MODULES = PUBLIC_API | {"multiattn.testing"}
EXEMPT_IMPORTERS = {"__init__.py", "__main__.py", "protocols.py", "corpora.py", "layers.py"}

# Modules of the standard library that Windows lacks.
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}

READING_PATH = (
    "engine/memory.py",
    "engine/attention.py",
    "engine/recurrence.py",
    "engine/decoder.py",
    "search/beam.py",
)
READING_PATH_LINES = 900
MODULES_PER_FOLDER = 13
PARAMETERS = 8
# Constructors whose keyword-only parameters are recipe keys, and an autograd node's inputs.
LONG_SIGNATURES = {
    "LSTMDecoder.__init__",
    "FilterbankBiLSTM.__init__",
    "CNNGrid.__init__",
    "InputFeedingLoop.forward",
    "TritonLoop.forward",
}
# A Triton kernel has a parameter per tensor and per size.
KERNELS = {CORE / "engine/fast/gpu/kernels.py", CORE / "engine/fast/gpu/gradients.py"}
# A command has a parameter per option.
COMMANDS = {"run", "train", "evaluate", "predict"}


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imported_modules(path: Path) -> Iterator[str]:
    """Modules of multiattn that a file imports, at its top, in functions and for type checking."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join((*package, *filter(None, [base])))
            names = [
                submodule if is_module(submodule := f"{base}.{alias.name}") else base
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "multiattn")


def every_import(path: Path) -> Iterator[str]:
    """The modules that a file imports, at its top and in functions."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def imported_at_top(path: Path) -> Iterator[str]:
    """Modules that are imported as soon as a file is."""
    for node in parse(path).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def parameter_counts(path: Path) -> Iterator[tuple[str, int]]:
    """Qualified name and number of parameters of every function in a file, without self."""

    def visit(node: ast.AST, scope: tuple[str, ...], in_class: bool) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from visit(child, (*scope, child.name), True)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = child.args
                names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                bound = in_class and bool(names) and names[0].arg in ("self", "cls", "ctx")
                qualified = (*scope, child.name)
                yield ".".join(qualified), len(names) - bound
                yield from visit(child, qualified, False)
            else:
                yield from visit(child, scope, in_class)

    yield from visit(parse(path), (), False)


def package_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def may_import(importer: str, module: str) -> bool:
    package = module.removeprefix("multiattn.").split(".")[0]
    if package not in RANKS:  # the public API is for plugins, and for what checks them
        return importer == "testing"
    both_are_base_modules = RANKS[package] == RANKS[importer] == 0
    return package == importer or both_are_base_modules or RANKS[package] < RANKS[importer]


def describe(offenders: list[str]) -> str:
    return "\n".join(["", *offenders])


def test_the_map_lists_every_module_of_the_core_once_and_nothing_else() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    listed = Counter(re.findall(r"^\| `([\w/]+\.py)` \|", page, re.MULTILINE))
    modules = Counter(
        path.relative_to(CORE).as_posix()
        for path in python_files(CORE)
        if path.name != "__init__.py"
        and "_shipped" not in path.parts
        and not path.is_relative_to(SKELETONS)
    )
    assert listed == modules, f"not listed: {modules - listed}; wrongly listed: {listed - modules}"


def test_the_map_shows_the_order_that_the_imports_keep() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text\n(base modules.*?)^```", page, re.MULTILINE | re.DOTALL)
    first, *lines = block.splitlines()
    ranks = [{package for package in RANKS if RANKS[package] == rank} for rank in range(11)]
    assert set(first.removeprefix("base modules").replace(" ", "").split(",")) == ranks[0]
    names = [line.split("  ")[0] if "," not in line else line[:15] for line in lines]
    assert [set(re.findall(r"\w+", name)) for name in names] == ranks[1:]
    folders = {path.name for path in CORE.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= RANKS.keys() | {"_shipped"}


def test_core_and_plugins_import_no_plugin_but_themselves() -> None:
    offenders = [
        f"{path.relative_to(ROOT).as_posix()} -> {name}"
        for path in python_files(CORE, *PLUGIN_PACKAGES)
        for name in set(re.findall(r"\bmultiattn_\w+", "\n".join(every_import(path))))
        if name not in path.parts
    ]
    assert not offenders, describe(offenders)


def test_no_folder_holds_more_than_thirteen_modules() -> None:
    folders = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for path in python_files(CORE, *PLUGIN_PACKAGES)
        if path.name != "__init__.py"
    )
    crowded = [f"{folder}: {n}" for folder, n in folders.items() if n > MODULES_PER_FOLDER]
    assert not crowded, describe(crowded)


def test_packages_import_only_from_packages_above_them() -> None:
    offenders = [
        f"{path.relative_to(ROOT).as_posix()} -> {module}"
        for path in python_files(CORE)
        if path.relative_to(CORE).as_posix() not in EXEMPT_IMPORTERS
        and not path.is_relative_to(SKELETONS)
        and "_shipped" not in path.parts
        for module in imported_modules(path)
        if not may_import(package_of(path), module)
    ]
    assert not offenders, describe(offenders)


def is_beside(path: Path, module: str) -> bool:
    """Whether a module is in the same skeleton as a file, that is in the plugin made from it."""
    return module.startswith(".".join((*path.relative_to(ROOT).parts[:-1], "")))


def test_plugins_and_skeletons_import_only_the_public_modules() -> None:
    offenders = [
        f"{path.relative_to(ROOT).as_posix()} -> {module}"
        for path in python_files(*PLUGIN_PACKAGES, SKELETONS)
        for module in imported_modules(path)
        if module not in PUBLIC_MODULES and not is_beside(path, module)
    ]
    assert len(PLUGIN_PACKAGES) == 5
    assert not offenders, describe(offenders)


def test_no_module_needs_a_posix_system_to_be_imported() -> None:
    offenders = [
        f"{path.relative_to(ROOT).as_posix()} -> {', '.join(sorted(found))}"
        for path in python_files(CORE, *PLUGIN_PACKAGES)
        if (found := POSIX_ONLY & set(imported_at_top(path)))
    ]
    assert not offenders, describe(offenders)


def test_the_reading_path_is_short() -> None:
    lines = {name: len((CORE / name).read_text("utf-8").splitlines()) for name in READING_PATH}
    assert sum(lines.values()) <= READING_PATH_LINES, lines


def test_no_function_takes_more_than_eight_parameters() -> None:
    offenders = [
        f"{path.relative_to(ROOT).as_posix()} -> {name}: {count}"
        for path in python_files(CORE, *PLUGIN_PACKAGES)
        for name, count in parameter_counts(path)
        if count > PARAMETERS
        and path not in KERNELS
        and name not in LONG_SIGNATURES
        and not (path.parent == CORE / "cli" and name in COMMANDS)
    ]
    assert not offenders, describe(offenders)


def test_the_public_names_are_those_that_are_imported_lazily() -> None:
    assert sorted(multiattn.__all__) == sorted([*multiattn._MODULE_OF, "__version__"])


@pytest.mark.parametrize("module_name", sorted(PUBLIC_API))
def test_every_public_name_can_be_imported(module_name: str) -> None:
    module = importlib.import_module(module_name)
    assert set(module.__all__) <= {*dir(module)}
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, describe(missing)


def test_names_that_a_plugin_registers_with_load_no_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None  # any import of torch now fails
import multiattn
for name in multiattn._HOMES["multiattn.registry.records"]:
    assert issubclass(getattr(multiattn, name), multiattn.Record)
for name in "hookimpl UserError Example Tokens Grid Time Slot Strict".split():
    getattr(multiattn, name)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
