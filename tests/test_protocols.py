"""The protocols are the whole contract: the core uses nothing of a component beyond them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from typing_extensions import get_protocol_members

from multiattn import Reader
from multiattn.protocols import optional_protocols, required_protocol
from multiattn.registry.schema import Named

CORE = Path(__file__).parents[1] / "multiattn"
NAMES = {"reader", "_reader", "readers", "_readers"}  # of variables and attributes


def used_on_readers(path: Path) -> Iterator[str]:
    """Attributes that a file takes from what is called a reader, or from one of several."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            owner = node.value.value if isinstance(node.value, ast.Subscript) else node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if name in (NAMES if isinstance(node.value, ast.Subscript) else NAMES - PLURAL):
                yield node.attr


PLURAL = {"readers", "_readers"}


def test_everything_that_the_core_uses_of_a_reader_is_in_its_protocols():
    protocols = (required_protocol("reader"), *optional_protocols("reader"))
    contract = {name for protocol in protocols for name in get_protocol_members(protocol)}
    on_record = {field.name for field in fields(Reader)} | set(Named.model_fields) | {"record"}
    on_record |= set(vars(Reader))
    used = {
        name
        for path in CORE.rglob("*.py")
        if path.name != "tables.py"  # its readers are Python's, of CSV
        for name in used_on_readers(path)
    }
    assert used - on_record <= contract
    assert {"spec", "measure", "read", "collate", "random", "gives_features", "tokenizer"} <= used
