"""The examples and the list of variables in plugins/README.md, run and compared with the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.recipe.loading import find_recipe, recipe_files
from multiattn.registry import hooks
from multiattn.registry.host import load_host
from multiattn.testing.encoders import encoder_of
from multiattn.testing.rendering import renderer_draws_every_record

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "plugins" / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(# (\S+)\n.*?)^```", re.DOTALL | re.MULTILINE)
FILES = {name: code for code, name in BLOCK.findall(PAGE)}
VARIABLE = re.compile(r"\bMULTIATTN_[A-Z]+\b")


@pytest.fixture
def written(tmp_path, install, monkeypatch):
    """The files of the guide, with the package of each ``plugin.py`` installed."""
    install()  # restores what is imported afterwards
    site = tmp_path / "site"
    for name, code in FILES.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
    packages = [name.partition("/")[0] for name in FILES if name.endswith("/plugin.py")]
    for package in packages:
        metadata = site / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        entry = f"[multiattn.v1]\n{package} = {package}.plugin\n"
        (metadata / "entry_points.txt").write_text(entry)
    monkeypatch.setenv("MULTIATTN_PLUGINS", ",".join(["multiattn", *packages]))
    importlib.invalidate_caches()
    return site


def test_every_example_in_python_names_its_file():
    assert PAGE.count("```python\n") == len(FILES)


def test_the_plugin_in_one_file_passes_its_checks(written):
    command = ["--plugin", str(written / "shout.py"), "check", "shout"]
    result = CliRunner().invoke(app, command)
    assert re.fullmatch(r"\d+ passed\n", result.stdout), result.stdout


def test_the_observer_is_told_of_the_end(written, capsys):
    load_host([written / "bell.py"]).run_finished(Path("runs/asr"), {"loss": 0.25})
    assert capsys.readouterr().out == "\aruns/asr is done, with a loss of 0.250\n"


def test_the_hooks_of_observers_are_listed_with_their_arguments():
    listed = dict(re.findall(r"^\| `(multiattn_\w+)\(([\w, ]*)\)` \|", PAGE, re.MULTILINE))
    specified = {
        name: ", ".join(function.__code__.co_varnames[: function.__code__.co_argcount])
        for name, function in vars(hooks).items()
        if name.startswith("multiattn_") and name != "multiattn_components"
    }
    assert listed == specified


def test_the_recipes_in_a_package_have_the_names_that_it_says(written):
    folder = written / "birds" / "recipes"
    folder.mkdir()
    for file in ("default.yaml", "large.yaml"):
        (folder / file).write_text("summary: birds")
    host = load_host()
    names = [file.name for file in recipe_files(host) if file.distribution == "birds"]
    assert names == ["birds", "birds/large"]
    assert find_recipe("birds", host) == folder / "default.yaml"


def test_the_renderer_draws_memories_in_the_layout_of_its_own(written):
    host = load_host()
    assert not host.broken
    renderer_draws_every_record(host, host.find("renderer", "circles"))
    encoder = encoder_of(host, host.find("encoder", "rings")).float()
    assert encoder(*encoder.example_inputs()).layout.kind == "rings"


def test_the_environment_variables_are_those_of_the_code():
    section = PAGE.split("\n## Environment variables\n")[1]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    used = {
        name
        for folder in ("multiattn", "plugins", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for name in VARIABLE.findall(path.read_text("utf-8"))
    }
    assert sorted(listed) == sorted(used)
