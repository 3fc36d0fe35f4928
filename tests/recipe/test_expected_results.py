"""What recipes expect of their test split is what their tables of results say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXPECTING = [
    path
    for path in sorted(ROOT.glob("**/recipes/**/*.yaml"))
    if ".venv" not in path.parts and "expected" in yaml.safe_load(path.read_text("utf-8"))
]


@pytest.mark.parametrize("path", EXPECTING, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_expected_score_stands_in_the_table_of_the_recipe(path):
    recipe = yaml.safe_load(path.read_text("utf-8"))
    ((metric, value),) = recipe["expected"].items()
    names = [
        each if isinstance(each, str) else each["name"]
        for each in recipe["evaluation"].get("metrics", [])
    ]
    assert metric in (*names, "perplexity")
    table = next(
        folder / "README.md" for folder in path.parents if (folder / "README.md").is_file()
    ).read_text("utf-8")
    row = rf"^\| `(?:\w+/)?{re.escape(path.stem)}`.*(?<![\d.]){re.escape(str(value))}(?!\d)"
    assert re.search(row, table, re.MULTILINE)


def test_most_recipes_that_were_run_expect_something():
    assert len(EXPECTING) > 10
