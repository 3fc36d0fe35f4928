"""The YAML of recipes: loaded safely, with YAML 1.2's scalars and the line of every dotted key.

PyYAML reads YAML 1.1, where ``no`` is false, ``1e-3`` is a string and ``12:30`` is a number; here
only true and false are booleans and numbers look like numbers. A dotted key is a path of keys and
list indices, such as ``objectives.0.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from multiattn.errors import UserError, shown

_PLAIN_WORDS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", [*"-+0123456789"]),
    (
        "float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
        r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
    ("merge", "<<", ["<"]),
)


class Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's scalars."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's own way to start afresh


class Dumper(yaml.SafeDumper):
    """The safe dumper that quotes what ``Loader`` would not read as a string."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's own way to start afresh


for _style in (Loader, Dumper):
    for _tag, _pattern, _first in _PLAIN_WORDS:
        _style.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
        )


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote text with Unicode line separators: other styles fold them into spaces."""
    style = '"' if not {"\x85", "\u2028", "\u2029"}.isdisjoint(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, _represent_text)


@dataclass(frozen=True)
class Document:
    """A file's content, the line of every dotted key, and the duplicate keys."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()

    def line(self, key: str) -> int:
        """The line of a dotted key, or of its nearest ancestor in the file."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, 1)


def parse(text: str, name: str) -> Document:
    """Parse a document; ``name`` is used in errors. Raises UserError for malformed YAML."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None)
        keys = list(_keys(node, "", set()))
        lines: dict[str, int] = {}
        repeated = []
        for key, line in keys:
            if key in lines:
                repeated.append(key)
            lines[key] = line
        return Document(loader.construct_document(node), lines, tuple(repeated))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        location = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UserError(
            f"{location}: expected valid YAML, got an error: {problem}; correct it"
        ) from error
    except (ValueError, KeyError, RecursionError) as error:
        raise UserError(
            f"{name}: expected valid YAML, got a value that does not fit its tag or is nested too "
            f"deeply ({error}); correct it"
        ) from error


def _keys(node: yaml.Node, above: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Every dotted key below ``node`` with its line; aliased nodes are listed once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(str(index), item, item) for index, item in enumerate(node.value)]
    else:
        return
    for name, marked, child in children:
        inner = f"{above}.{name}" if above else name
        yield inner, marked.start_mark.line + 1
        yield from _keys(child, inner, seen)


def values_at(tree: object, pattern: Sequence[str], key: str = "") -> Iterator[tuple[str, object]]:
    """Every dotted key that matches the steps of a pattern (* matches any), with its value."""
    if not pattern:
        yield key, tree
        return
    for step, child in _children(tree):
        if pattern[0] in ("*", step):
            yield from values_at(child, pattern[1:], f"{key}.{step}" if key else step)


def leaves(tree: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every dotted key without keys below it, with its value."""
    children = _children(tree)
    if not children:
        yield key, tree
    for step, child in children:
        yield from leaves(child, f"{key}.{step}" if key else step)


def _children(tree: object) -> list[tuple[str, object]]:
    if isinstance(tree, dict):
        return [(str(key), child) for key, child in tree.items()]
    if isinstance(tree, list):
        return [(str(index), child) for index, child in enumerate(tree)]
    return []


def with_value(tree: Any, steps: Sequence[str], value: object) -> Any:
    """A copy of ``tree`` with ``value`` set at a key path; index ``len(list)`` appends to a list.

    A string on the path becomes ``{name: string}``, a component given by its name alone.
    Raises UserError if the path leads through any other scalar, or to an index past the list's end.
    """
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if tree is None:
        tree = [] if step.isdecimal() else {}
    if isinstance(tree, str):
        tree = {"name": tree}
    if isinstance(tree, dict):
        return {**tree, step: with_value(tree.get(step), rest, value)}
    if not isinstance(tree, list):
        raise UserError(
            f"expected settings that contain {shown(step)}, got {shown(tree)}; shorten the key"
        )
    if not step.isdecimal() or int(step) > len(tree):
        raise UserError(f"expected an index from 0 to {len(tree)}, got {shown(step)}")
    index = int(step)
    old = tree[index] if index < len(tree) else None
    return [*tree[:index], with_value(old, rest, value), *tree[index + 1 :]]


def without(tree: Any, steps: Sequence[str]) -> Any:
    """A copy of ``tree`` without the value at a key path; in a list, null stays at its index."""
    step, rest = steps[0], steps[1:]
    if isinstance(tree, list):
        index = int(step)
        changed = without(tree[index], rest) if rest else None
        return [*tree[:index], changed, *tree[index + 1 :]]
    if rest:
        return {**tree, step: without(tree[step], rest)}
    return {key: value for key, value in tree.items() if key != step}


def dump(value: object) -> str:
    """Write plain data as YAML that ``parse`` reads back unchanged."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)
