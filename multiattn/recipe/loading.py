"""Recipe file -> validated settings, with all mistakes reported at once. Nothing is built.

A recipe is found by name (`translation`, `translation/multi30k`), among those shipped with
multiattn and its plugins, or by path. Overrides are checked like the file.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from multiattn.errors import UserError, shortened, shown
from multiattn.recipe import yamlfile
from multiattn.recipe.settings import CorpusSettings, RecipeSettings
from multiattn.registry.discovery import CORE_DISTRIBUTION
from multiattn.registry.host import Host, load_host
from multiattn.registry.records import Encoder, Reader
from multiattn.registry.schema import (
    MISSING,
    Mistake,
    Named,
    NamedComponent,
    Weighted,
    mistakes_in,
    suggestion,
)

RECIPE_SUFFIXES = (".yaml", ".yml")
MISTAKES_SHOWN = 20
KEY_DEPTH = 100  # far more than a recipe can nest

# Where a recipe names components: dotted key (* is any key or index), kind, type of the value.
COMPONENTS: tuple[tuple[str, str, TypeAdapter[Any]], ...] = (
    ("corpus", "corpus", TypeAdapter(CorpusSettings)),
    ("sources.*.reader", "reader", TypeAdapter(NamedComponent)),
    ("sources.*.encoder", "encoder", TypeAdapter(NamedComponent)),
    ("sources.*.renderer", "renderer", TypeAdapter(NamedComponent)),
    ("sources.*.aligner", "aligner", TypeAdapter(NamedComponent)),
    ("sources.*.segmenter", "segmenter", TypeAdapter(NamedComponent)),
    ("decoder", "decoder", TypeAdapter(NamedComponent)),
    ("objectives.*", "objective", TypeAdapter(Weighted)),
    ("search.scorers.*", "scorer", TypeAdapter(Weighted)),
    ("evaluation.metrics.*", "metric", TypeAdapter(NamedComponent)),
)


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with a name, and the distribution that provides it."""

    name: str
    distribution: str
    path: Path


def shipped(folder: str) -> Path:
    """Find `recipes` or `data`: inside the installed package, or at the repository root."""
    package = Path(__file__).parents[1]
    candidates = (package / "_shipped" / folder, package.parent / folder)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise UserError(
        f"expected the shipped folder {folder!r} at {candidates[0]} or {candidates[1]}, got "
        "neither; reinstall multiattn"
    )


def recipe_files(host: Host) -> list[RecipeFile]:
    """List every named recipe: `folder` (its default.yaml) or `folder/file`."""
    files = [
        RecipeFile(_recipe_name(path.parent.name, path), CORE_DISTRIBUTION, path)
        for path in shipped("recipes").glob("*/*.yaml")
    ]
    for row in host.records("recipe"):
        files += [
            RecipeFile(_recipe_name(row.record.name, path), row.distribution, path)
            for folder in _recipe_folders(row.record.target)
            for path in folder.glob("*.yaml")
        ]
    return sorted(files, key=lambda file: (file.name, file.distribution))


def _recipe_folders(target: str) -> list[Path]:
    """Find the folder of ``package:folder``; empty if there is no such package."""
    package, _, inside = target.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return []
    return [Path(root, inside) for root in (spec and spec.submodule_search_locations) or ()]


def _recipe_name(folder: str, path: Path) -> str:
    return folder if path.stem == "default" else f"{folder}/{path.stem}"


def read_summary(path: Path) -> str:
    """Read a recipe file's summary without checking the rest; say so if it cannot be read."""
    try:
        value = _parse(path).value
    except UserError as mistake:
        return f"({mistake})"
    return str(value.get("summary", "")) if isinstance(value, dict) else ""


def find_recipe(name_or_path: str, host: Host) -> Path:
    """Find a recipe's file: an argument ending in .yaml is a path, any other a name or a folder.

    Raises UserError for an unknown name (with close matches) and for one that two plugins provide.
    """
    path = Path(name_or_path)
    if path.suffix in RECIPE_SUFFIXES:
        return path
    files = recipe_files(host)
    matching = [
        file for file in files if name_or_path in (file.name, f"{file.distribution}/{file.name}")
    ]
    if len(matching) > 1:
        full_names = " and ".join(f"{file.distribution}/{file.name}" for file in matching)
        raise UserError(
            f"expected one recipe called {shown(name_or_path)}, got {full_names}; write one "
            "of these"
        )
    if matching:
        return matching[0].path
    if (path / "default.yaml").is_file():
        return path / "default.yaml"
    raise UserError(
        f"expected a recipe's name or the path of a .yaml file, got {shown(name_or_path)}; "
        f"{suggestion(name_or_path, (file.name for file in files))}"
    )


def load_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), host: Host | None = None
) -> RecipeSettings:
    """Read and check a whole recipe: schema, component names, component settings, overrides.

    overrides: ``training.steps=5``, ``objectives.0.weight=2``; values are YAML, and ``null`` takes
    back what the file says at a key that cannot be null.
    Raises UserError with one line per mistake: file and line (or --set), dotted key, sentence.
    Components are imported, to check their settings, only if all other keys are right.
    """
    host = load_host() if host is None else host
    path = find_recipe(str(name_or_path), host)
    document = _parse(path)
    tree = document.value if document.value is not None else {}
    mistakes = [Mistake(key, "expected this key once, got it twice") for key in document.repeated]
    overridden: list[str] = []
    nulls: set[str] = set()
    for override in overrides:
        key = override.partition("=")[0]
        try:
            tree, value = _apply_override(tree, override)
            overridden.append(key)
            (nulls.add if value is None else nulls.discard)(key)
        except UserError as mistake:
            mistakes.append(Mistake(override, str(mistake)))
            overridden.append(override)
    settings, found = _check(tree, host)
    while refused := nulls & {mistake.key for mistake in found if not mistake.unknown_key}:
        nulls -= refused
        for key in refused:
            tree = yamlfile.without(tree, key.split("."))
        settings, found = _check(tree, host)
    mistakes += _with_unknown_sources_named(found, document.value, overridden)
    if mistakes or settings is None:
        raise UserError(_report(mistakes, path, document, overridden))
    return settings


def _with_unknown_sources_named(
    mistakes: Sequence[Mistake], written: object, overridden: Sequence[str]
) -> list[Mistake]:
    """Say once that an override names a source which the file lacks, not all that it would need."""
    known = [key.split(".")[1] for key, _ in yamlfile.values_at(written, ("sources", "*"))]
    unknown = {
        name: Mistake(
            f"sources.{name}",
            f"expected a source of the recipe, got {shown(name)}; {suggestion(name, known)}",
        )
        for mistake in mistakes
        if mistake.sentence == MISSING
        and (name := _source_of(mistake.key)) not in ("", *known)
        and name in map(_source_of, overridden)
    }
    rest = [mistake for mistake in mistakes if _source_of(mistake.key) not in unknown]
    return [*unknown.values(), *rest]


def _source_of(key: str) -> str:
    """The source that a key below ``sources.NAME`` belongs to; empty for any other key."""
    first, *steps = key.split(".")
    return steps[0] if first == "sources" and len(steps) > 1 else ""


def _parse(path: Path) -> yamlfile.Document:
    try:
        return yamlfile.parse(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected UTF-8, got byte {error.object[error.start]:#x}"
        ) from error
    except OSError as error:
        raise UserError(
            f"expected a recipe at {path}, got {error.strerror}; `multiattn recipes` lists names"
        ) from error


def _report(
    mistakes: Sequence[Mistake], path: Path, document: yamlfile.Document, overridden: Sequence[str]
) -> str:
    lines = []
    for mistake in mistakes[:MISTAKES_SHOWN]:
        key = mistake.key
        above = key not in document.lines and any(
            f"{override}.".startswith(f"{key}.") for override in overridden
        )
        below = any(
            f"{key}.".startswith(f"{override.removesuffix('.name')}.") for override in overridden
        )
        origin = "--set" if above or below else f"{path}:{document.line(key)}:"
        lines.append(f"{origin} {shortened(key) or 'recipe'}: {mistake.sentence}")
    if len(mistakes) == 1:
        return lines[0]
    if len(mistakes) > MISTAKES_SHOWN:
        lines.append(f"… and {len(mistakes) - MISTAKES_SHOWN} more")
    return "\n  ".join([f"expected a recipe without mistakes, got {len(mistakes)}:", *lines])


def _apply_override(tree: Any, override: str) -> tuple[Any, object]:
    """Apply ``dotted.key=value`` to a copy of plain data; also return the value."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError("expected key=value with a dotted key; write it like training.steps=5")
    if key.count(".") >= KEY_DEPTH:
        raise UserError(f"expected a key of at most {KEY_DEPTH} parts, got more; shorten it")
    value = yamlfile.parse(text, "value").value
    return yamlfile.with_value(tree, key.split("."), value), value


def _check(tree: object, host: Host) -> tuple[RecipeSettings | None, list[Mistake]]:
    """Check the schema and the components' names, then, if all is well, their settings."""
    settings, mistakes = _validate(tree)
    components, unknown = _components(tree, host)
    mistakes += [*unknown, *_mismatched_encoders(components, host)]
    if not mistakes:
        for key, (kind, named) in components.items():
            mistakes += host.mistakes(kind, named, key)
    return settings, mistakes


def _validate(tree: object) -> tuple[RecipeSettings | None, list[Mistake]]:
    try:
        return RecipeSettings.model_validate(tree), []
    except ValidationError as error:
        return None, mistakes_in(tree, RecipeSettings, error)


def _components(tree: object, host: Host) -> tuple[dict[str, tuple[str, Named]], list[Mistake]]:
    """The kind and the settings of every component by its key, and mistakes in their names."""
    mistakes = []
    components: dict[str, tuple[str, Named]] = {}
    for pattern, kind, written in COMPONENTS:
        for key, value in yamlfile.values_at(tree, pattern.split(".")):
            try:
                named = written.validate_python(value)
                host.find(kind, named.name)
            except ValidationError:
                continue  # already reported by the schema
            except UserError as error:
                mistakes.append(Mistake(key, str(error)))
                continue
            components[key] = (kind, named)
    return components, mistakes


def _mismatched_encoders(
    components: Mapping[str, tuple[str, Named]], host: Host
) -> Iterator[Mistake]:
    """Find the sources whose encoder cannot consume their reader's output."""
    for key, (_, named) in components.items():
        source, _, role = key.rpartition(".")
        if role != "encoder" or f"{source}.reader" not in components:
            continue
        reader = host.find("reader", components[f"{source}.reader"][1].name).record
        encoder = host.find("encoder", named.name).record
        if (
            isinstance(reader, Reader)
            and isinstance(encoder, Encoder)
            and encoder.consumes != reader.produces
        ):
            yield Mistake(
                key,
                f"expected an encoder that consumes {reader.produces}, which reader "
                f"{reader.name!r} produces, got {encoder.name!r}, which consumes "
                f"{encoder.consumes}",
            )


def dump_recipe(settings: RecipeSettings) -> str:
    """Write settings as YAML with all defaults included; ``load_recipe`` reads them back."""
    return yamlfile.dump(settings.model_dump(mode="json"))


def differing_keys(first: RecipeSettings, second: RecipeSettings) -> list[str]:
    """List the dotted keys in which two recipes differ."""
    flat = [dict(yamlfile.leaves(each.model_dump(mode="json"))) for each in (first, second)]
    missing = object()
    keys = dict.fromkeys([*flat[0], *flat[1]])
    return [key for key in keys if flat[0].get(key, missing) != flat[1].get(key, missing)]


def refuse_differences(
    old: RecipeSettings, new: RecipeSettings, allowed: tuple[str, ...], what: str
) -> None:
    """Raise UserError naming every key that differs and is not ``allowed``, or below one that is.

    ``*`` stands for any one part of an allowed key.
    """
    keys = [
        key
        for key in differing_keys(old, new)
        if not any(_is_at_or_below(pattern.split("."), key.split(".")) for pattern in allowed)
    ]
    if keys:
        raise UserError(
            f"expected {what} to differ only in {', '.join(allowed)}, got other values of "
            f"{', '.join(keys)}; restore these, or start a new run with another --out"
        )


def _is_at_or_below(pattern: Sequence[str], key: Sequence[str]) -> bool:
    return len(pattern) <= len(key) and all(
        expected in ("*", step) for expected, step in zip(pattern, key, strict=False)
    )
