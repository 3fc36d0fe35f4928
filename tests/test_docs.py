"""The documentation site: it builds without a warning, and the code of its pages runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

import multiattn
from multiattn import corpora, layers, protocols
from multiattn.cli import app
from multiattn.registry.host import load_host
from multiattn.registry.records import KINDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="(.*?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
VERSION = re.compile(r"version:[^|\s]+")  # of a library, in a signature

PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [
    pytest.param(page, id=page.relative_to(DOCS).as_posix())
    for page in PAGES
    if re.search("^```(python|console)", page.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """Blocks with a title are files, of Python the others are run, of a session each command."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    text = page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        language, title, code = block.groups()
        if title:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(code, "utf-8")
        elif language == "python":
            above = text.count("\n", 0, block.start()) + 1
            exec(compile("\n" * above + code, str(page), "exec"), names)
        elif language == "console":
            check_session(code)


def check_session(text: str) -> None:
    """Run `$ multiattn …` and compare what it prints with the lines below, if there are any."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        words = shlex.split(command)
        assert words[0] == "multiattn", command
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, result.output
        if expected.strip():
            assert printed(result.output) == printed(expected)


def printed(text: str) -> list[str]:
    """Lines that are not blank, without versions and spaces at the end."""
    lines = (VERSION.sub("version", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line]
