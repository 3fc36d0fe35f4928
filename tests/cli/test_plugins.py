"""The commands about plugins and recipes, and how the command line says a mistake."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.testing import CHECKS

EMPTY_PLUGIN = """
from multiattn import hookimpl

@hookimpl
def multiattn_components():
    return ()
"""
HOSTILE = Path(__file__).parents[1] / "hostile"


def multiattn(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_plugins_lists_what_cannot_even_be_imported(install):
    install("exits_at_import", "well_behaved")
    done = multiattn("plugins")
    assert done.exit_code == 0
    assert "exits-at-import/plugin   1.0        exits_at_import\n" in done.stdout
    assert "exits_at_import" not in sys.modules


def test_plugins_says_what_the_allow_list_leaves_out(install, monkeypatch):
    install("well_behaved", "name_clash")
    monkeypatch.setenv("MULTIATTN_PLUGINS", "name-clash")
    lines = {line.split()[0]: line for line in multiattn("plugins").stdout.splitlines()}
    assert lines["well-behaved/plugin"].endswith("left out by MULTIATTN_PLUGINS")
    assert lines["name-clash/plugin"].endswith("name_clash")


def test_verbose_plugins_shows_components_and_broken_rows(install):
    install("raises_half_way", "well_behaved")
    done = multiattn("plugins", "-v")
    assert done.exit_code == 0
    assert "broken: RuntimeError: no second record" in done.stdout
    assert "metric       always-one           counts everything as right" in done.stdout


def test_why_shows_the_traceback_of_a_broken_plugin(install):
    install("missing_module")
    done = multiattn("plugins", "why", "missing_module")
    assert "missing-module/plugin is broken: ModuleNotFoundError" in done.stdout
    assert 'missing_module.py", line 3' in done.stdout


def test_an_interrupt_says_which_plugin_was_being_loaded(install):
    install("interrupted_at_import")
    result = multiattn("plugins", "-v")
    assert result.exit_code == 1
    assert "interrupted while loading plugin interrupted-at-import/plugin" in result.output


def test_why_says_who_gives_a_component_and_that_a_name_clashes(install):
    install("well_behaved", "name_clash")
    done = multiattn("plugins", "why", "always-one")
    assert "metric name-clash/always-one: name_clash:AlwaysTwo" in done.stdout
    assert "several distributions provide this name" in done.stdout
    assert "clash" not in multiattn("plugins", "why", "well-behaved").stdout


def test_why_says_that_the_allow_list_leaves_a_plugin_out(install, monkeypatch):
    install("well_behaved")
    monkeypatch.setenv("MULTIATTN_PLUGINS", "")
    done = multiattn("plugins", "why", "well-behaved")
    assert "left out: MULTIATTN_PLUGINS does not list it" in done.stdout


def test_why_of_something_unknown_is_a_mistake(install):
    install("well_behaved")
    done = multiattn("plugins", "why", "nobody")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: expected a plugin, a distribution or a component")
    assert len(done.stderr.splitlines()) == 1


def test_a_plugin_file_is_an_option_of_every_command(install, tmp_path):
    install()
    path = tmp_path / "from_a_file.py"
    path.write_text((HOSTILE / "well_behaved.py").read_text())
    assert "from-a-file/file" in multiattn("--plugin", str(path), "plugins").stdout
    shown = multiattn("--plugin", str(path), "plugins", "-v").stdout
    assert "always-one" in shown


def test_a_plugin_file_that_is_not_there_is_one_sentence():
    done = multiattn("--plugin", "nowhere.py", "plugins")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: expected a Python file after --plugin, got nowhere.py; name one that exists\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["--debug", "plugins", "why", "nobody"], ["plugins", "why", "nobody", "--debug"]],
    ids=["before", "after"],
)
def test_debug_shows_the_traceback_of_a_mistake(install, arguments):
    install("well_behaved")
    done = multiattn(*arguments)
    assert done.exit_code == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: expected a plugin")


def test_recipes_lists_names_and_summaries():
    done = multiattn("recipes")
    assert done.exit_code == 0
    for line in done.stdout.splitlines():
        assert len(line.split()) > 1, line


def test_check_names_what_is_wrong_and_counts_what_is_right(install):
    install("name_clash", core=True)
    done = multiattn("check", "name-clash")
    assert done.exit_code == 1
    assert (
        "FAILED metric/name-clash/always-one/has_methods_of_its_protocols: expected "
        "name_clash:AlwaysTwo to have aggregate, signature, statistics"
    ) in done.stdout
    skipped, counts = done.stdout.splitlines()[1:]
    number = len(CHECKS["metric"])
    assert skipped == (
        f"skipped metric/name-clash/always-one, {number} checks: not run, as "
        "has_methods_of_its_protocols fails"
    )
    assert counts == f"1 failed, 3 passed, {number} skipped"


def test_check_of_a_broken_plugin_names_its_error(install):
    install("missing_module")
    done = multiattn("check", "missing-module")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "FAILED plugin/missing-module/plugin/it_loads: expected missing-module/plugin to load, got "
        "ModuleNotFoundError: No module named 'a_module_that_nobody_installed'; install "
        "a_module_that_nobody_installed, which missing-module needs; see `multiattn "
        "plugins why missing-module/plugin`",
        "skipped plugin/missing-module/plugin/entry_module_imports_no_torch: not run, as it_loads "
        "fails",
        "1 failed, 1 skipped",
    ]


def test_check_gives_every_result_as_json(install):
    install("missing_module")
    done = multiattn("check", "missing-module", "--json")
    assert done.exit_code == 1
    printed = json.loads(done.stdout)
    assert printed["format"] == 1
    failed, skipped = printed["checks"]
    assert "a_module_that_nobody_installed" in failed.pop("sentence")
    assert failed == {
        "component": "plugin/missing-module/plugin",
        "check": "it_loads",
        "outcome": "failed",
    }
    assert (skipped["outcome"], skipped["sentence"]) == ("skipped", "not run, as it_loads fails")


def test_check_goes_on_after_a_component_that_prints_and_exits(install):
    install("exits_when_called")
    done = multiattn("check", "exits-when-called", "--json")
    assert done.exit_code == 1
    checks = json.loads(done.stdout)["checks"]
    failed = [check for check in checks if check["outcome"] == "failed"]
    assert failed[0]["sentence"].startswith("SystemExit: 0; see multiattn.protocols.Normaliser")
    assert len(checks) > len(failed)


def test_check_says_once_that_an_encoders_spec_has_no_type(install):
    install("untyped_spec", core=True)
    shown = multiattn("check", "untyped-spec").stdout
    lines = [line for line in shown.splitlines() if "/untyped/" in line or "/untyped," in line]
    assert len(lines) == 2
    assert lines[0].startswith(
        "FAILED encoder/untyped-spec/untyped/spec_can_be_made_from_its_type: expected a dataclass "
        "as the type of input_spec of untyped_spec:Untyped, got none; write"
    )
    assert lines[1] == (
        f"skipped encoder/untyped-spec/untyped, {len(CHECKS['encoder'])} checks: not run, as "
        "spec_can_be_made_from_its_type fails"
    )


def test_check_takes_a_metric_in_a_plugin_file(install, tmp_path):
    install(core=True)
    text = (HOSTILE / "one_file_metric.py").read_text().replace("one_file_metric:", "my_metric:")
    path = tmp_path / "my_metric.py"
    path.write_text(text)
    assert multiattn("--plugin", str(path), "check", "my-metric").stdout == "14 passed\n"


def test_check_finds_that_a_metric_in_a_plugin_file_needs_torch(install, tmp_path):
    install(core=True)
    text = (HOSTILE / "one_file_metric.py").read_text().replace("one_file_metric:", "heavy:")
    path = tmp_path / "heavy.py"
    path.write_text(text.replace("import numpy", "import torch\nimport numpy"))
    failed = multiattn("--plugin", str(path), "check", "heavy").stdout
    assert f"expected {path} to import without torch, got: ModuleNotFoundError: " in failed


def test_check_prepares_a_scorer_that_must_know_the_tokens(install):
    install("avoids_letter", core=True)
    done = multiattn("check", "avoids-letter")
    assert done.exit_code == 0, done.stdout
    assert "skipped" not in done.stdout


STRICT_METRIC = """
from typing import Literal
from multiattn import Metric, hookimpl

@hookimpl
def multiattn_components():
    yield Metric(
        name="stern", target="stern:Stern", summary="s", higher_is_better=True, unit="0-1"
    )

class Stern:
    def __init__(self, *, form: Literal["whole", "half"]) -> None:
        self.form = form

    def statistics(self, hypotheses, references):
        return [[each[0] == each[1][0]] for each in zip(hypotheses, references, strict=True)]

    def aggregate(self, sums, examples):
        return {"stern": float(sums[0]) / max(examples, 1)}

    def signature(self):
        return f"stern|form:{self.form}"
"""


def test_check_takes_settings_for_a_component_that_has_no_defaults(install, tmp_path):
    install()
    (tmp_path / "stern.py").write_text(STRICT_METRIC)

    def check(*settings: str):
        return multiattn("--plugin", str(tmp_path / "stern.py"), "check", "stern", *settings)

    without = check()
    said = "expected values of stern.form, which have no defaults, got none; run `multiattn check`"
    assert said in without.stdout
    assert "with --set stern.form=VALUE" in without.stdout
    assert "skipped" in without.stdout.splitlines()[-1]
    given = check("--set", "stern.form=whole")
    assert re.fullmatch(r"\d+ passed\n", given.stdout), given.stdout
    wrong = check("--set", "stern.form=round")
    assert "expected 'whole' or 'half', got 'round'" in wrong.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("form=whole", "expected NAME.SETTING=VALUE after --set, got 'form=whole'"),
        ("stern.form", "expected NAME.SETTING=VALUE after --set, got 'stern.form'"),
        ("sterm.form=whole", "got 'sterm'; did you mean stern?"),
        ("stern.from=whole", "expected a setting of stern, got 'from'; did you mean form?"),
    ],
)
def test_a_setting_that_check_cannot_use_is_a_mistake(install, tmp_path, setting, said):
    install()
    (tmp_path / "stern.py").write_text(STRICT_METRIC)
    words = ("--plugin", str(tmp_path / "stern.py"), "check", "stern", "--set", setting)
    done = multiattn(*words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_check_of_an_unknown_distribution_is_a_mistake(install):
    install("well_behaved")
    done = multiattn("check", "ill-behaved")
    assert done.exit_code == 2
    assert "choose from well-behaved" in done.stderr


def test_the_same_plugin_file_twice_is_one_plugin(install, tmp_path):
    install()
    (tmp_path / "mine.py").write_text(EMPTY_PLUGIN)
    twice = ["--plugin", str(tmp_path / "mine.py")] * 2
    done = multiattn(*twice, "plugins", "-v")
    assert done.stdout.count("mine") == 2  # the file and its path, on one line
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [["--plugin", "", "plugins"], ["report", ""], ["run", "x", "--out="]]
)
def test_an_empty_path_is_refused(words):
    done = multiattn(*words)
    assert done.exit_code == 2
    assert "expected a path, got an empty one" in done.stderr
