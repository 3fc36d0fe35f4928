"""`multiattn plugins new`: what it makes of every kind installs, passes the checks and trains."""

from __future__ import annotations

import importlib
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.cli.new import MODALITY, SKELETONS
from multiattn.registry.records import KINDS

ENCODER_LINES = 60


def multiattn(*arguments: str):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def make(install, tmp_path, monkeypatch):
    """Make a distribution and install it with what it requires, and nothing else."""
    install(core=True)

    def make_and_install(name: str, kind: str) -> Path:
        made = multiattn("plugins", "new", name, "--kind", kind, "--in", str(tmp_path))
        assert made.exit_code == 0, made.stderr
        root = tmp_path / name
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
        metadata = root / f"{name.replace('-', '_')}-{project['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        ((entry, module),) = project["entry-points"]["multiattn.v1"].items()
        (metadata / "entry_points.txt").write_text(f"[multiattn.v1]\n{entry} = {module}\n")
        monkeypatch.syspath_prepend(root)
        monkeypatch.setenv("MULTIATTN_PLUGINS", ",".join([name, *project["dependencies"]]))
        importlib.invalidate_caches()
        return root

    return make_and_install


NAMES = {kind: f"my-{kind}" for kind in (*KINDS, MODALITY)} | {"encoder": "memory"}


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_a_new_plugin_passes_the_conformance_suite(make, kind, name):
    root = make(name, kind)
    texts = [path.read_text("utf-8") for path in root.rglob("*") if path.is_file()]
    assert not [text for text in texts if re.search("my[-_]plugin|MyPlugin|KIND", text)]
    done = multiattn("check", name)
    assert done.exit_code == 0, done.stdout
    assert re.fullmatch(r"\d+ passed\n", done.stdout), done.stdout


def test_a_new_modality_learns(make, tmp_path, monkeypatch):
    root = make("tides", MODALITY)
    monkeypatch.setenv("PYTHONPATH", str(root))
    own_tests = runpy.run_path(str(root / "tests" / "test_training.py"))
    own_tests["test_the_recipe_learns"](tmp_path)


def test_every_kind_has_a_skeleton():
    folders = {path.name for path in SKELETONS.iterdir() if (path / "plugin.py").is_file()}
    assert folders == {*KINDS, MODALITY}


def test_the_readme_installs_what_its_commands_need():
    for readme in SKELETONS.glob("*/README.md"):
        _, commands, rest = readme.read_text("utf-8").split("```", 2)
        assert ("\npytest" in commands) == ("pip install -e . pytest  #" in commands)
        assert "write\n`uv pip` for `pip`. `uv sync` removes the plugin" in rest


def test_the_help_names_every_kind():
    words = re.findall(r"\w+", multiattn("plugins", "new", "--help").stdout)
    assert {*KINDS, MODALITY} <= set(words)


def test_the_encoder_that_one_starts_from_is_short(make):
    root = make("mine", "encoder")
    files = [*root.glob("mine/*.py"), *root.glob("tests/*.py"), root / "pyproject.toml"]
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    assert len([line for line in lines if line.strip()]) <= ENCODER_LINES


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["My Plugin"], "got 'My Plugin'; choose another, such as my-plugin"),
        (["a--b"], "single hyphens between words, got 'a--b'; choose another, such as a-b"),
        (["9x"], "with a letter first"),
        (["mine", "--kind", "spaceship"], f"expected one of {', '.join(KINDS)}, {MODALITY} as"),
        (["taken"], "expected a new folder"),
        *[([name], "a keyword or a module that is there") for name in ("class", "json", "numpy")],
        (["x" * 300], "a name that no file can have"),
    ],
)
def test_a_new_plugin_that_cannot_be_is_one_sentence(tmp_path, arguments, expected):
    (tmp_path / "taken").mkdir()
    done = multiattn("plugins", "new", *arguments, "--in", str(tmp_path))
    assert done.exit_code == 2
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("name", "kind", "known"),
    [
        ("additive", "attention", "attention multiattn/additive"),
        ("grid", MODALITY, "renderer mult"),
    ],
)
def test_a_name_that_a_component_has_already_is_said(tmp_path, name, kind, known):
    done = multiattn("plugins", "new", name, "--kind", kind, "--in", str(tmp_path))
    assert done.exit_code == 0
    assert f"warning: expected a new name, got {name}, which is also the {known}" in done.stderr
    assert f"write {name}/{name} in recipes" in done.stderr
    other = multiattn("plugins", "new", f"{name}-2", "--kind", kind, "--in", str(tmp_path))
    assert not other.stderr
