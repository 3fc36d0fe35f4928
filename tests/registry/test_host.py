"""The plugin host: whatever a plugin does, the others work and the user is told who it was."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from multiattn.errors import UserError
from multiattn.registry.discovery import installed_plugins
from multiattn.registry.host import load_host
from multiattn.registry.records import KINDS, Reader, with_checked_fields
from multiattn.registry.schema import Named

HOSTILE = Path(__file__).parents[1] / "hostile"
BROKEN = {
    "missing_module": "No module named 'a_module_that_nobody_installed'",
    "exits_at_import": "SystemExit: goodbye",
    "syntax_error": "SyntaxError",
    "unknown_argument": "registry",
    "misspelt_hook": "unknown hook 'multiattn_componets'",
    "undecorated_hook": "decorated with multiattn.hookimpl",
    "raises_half_way": "RuntimeError: no second record",
    "exits_half_way": "SystemExit: 3",
    "wrong_record_type": "expected a record",
    "wrong_field_type": "expected a string as name of",
    "illegal_name": "got 'Two Words/Slash'",
    "bad_target": "got 'bad_target.nowhere'",
    "same_name_twice": "two normalisers called 'twin'",
}


def named(name, **settings):
    return Named.model_validate({"name": name, **settings})


@pytest.mark.parametrize("module", BROKEN)
def test_a_broken_plugin_is_a_row_with_its_reason_and_costs_no_other_plugin(install, module):
    install(module, "well_behaved")
    host = load_host()
    (broken,) = host.broken
    assert broken.found.label == f"{module.replace('_', '-')}/plugin"
    assert BROKEN[module] in broken.reason
    assert [row.full_name for row in host.rows] == ["well-behaved/always-one"]


def test_all_broken_plugins_at_once_leave_the_good_one(install):
    install(*BROKEN, "well_behaved")
    host = load_host()
    assert len(host.broken) == len(BROKEN)
    assert host.find("metric", "always-one").distribution == "well-behaved"


@pytest.mark.parametrize("module", ["missing_module", "exits_at_import", "raises_half_way"])
def test_strict_mode_raises_what_the_plugin_raised(install, monkeypatch, module):
    install(module)
    monkeypatch.setenv("MULTIATTN_STRICT", "1")
    with pytest.raises((ModuleNotFoundError, SystemExit, RuntimeError)):
        load_host()


def test_ctrl_c_while_plugins_load_is_not_swallowed(install, monkeypatch):
    install("well_behaved")
    monkeypatch.setattr("multiattn.registry.host._records", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_host()


def _interrupted(*_):
    raise KeyboardInterrupt


def test_an_interrupt_names_the_plugin_that_was_being_loaded(install):
    install("interrupted_at_import")
    with pytest.raises(KeyboardInterrupt) as caught:
        load_host()
    assert caught.value.__notes__ == ["while loading plugin interrupted-at-import/plugin"]


def test_a_broken_plugin_leaves_no_observer_behind(install, caplog):
    install("observers", "misspelt_hook")
    host = load_host()
    host.epoch_finished(Path("run"), 1, {"bleu": 2.0})
    assert sys.modules["observers"].SEEN == [(1, {"bleu": 2.0})]


def test_plugins_are_listed_by_distribution_and_name(install):
    install("well_behaved", "name_clash", "missing_module")
    labels = [found.label for found in installed_plugins() if found.allowed]
    assert labels == ["missing-module/plugin", "name-clash/plugin", "well-behaved/plugin"]


def test_what_the_allow_list_leaves_out_is_never_imported(install, monkeypatch):
    install("exits_at_import", "well_behaved")
    monkeypatch.setenv("MULTIATTN_PLUGINS", "Well_Behaved")
    host = load_host()
    assert [plugin.found.distribution for plugin in host.plugins] == ["well-behaved"]
    assert "exits_at_import" not in sys.modules


def test_the_allow_list_takes_one_plugin_of_a_distribution(install, monkeypatch):
    install("well_behaved")
    monkeypatch.setenv("MULTIATTN_PLUGINS", "well-behaved/plugin")
    assert len(load_host().rows) == 1
    monkeypatch.setenv("MULTIATTN_PLUGINS", "well-behaved/another")
    assert not load_host().rows


def test_an_empty_allow_list_means_nothing_not_even_the_core(monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "")
    assert load_host().plugins == ()


def test_an_allowed_plugin_that_is_not_installed_is_a_broken_row(install, monkeypatch):
    install("well_behaved")
    monkeypatch.setenv("MULTIATTN_PLUGINS", "well-behaved,well-behavd")
    (broken,) = load_host().broken
    assert "well-behavd, but no installed distribution provides it" in broken.reason


def test_a_file_is_a_plugin_whatever_the_allow_list_says(install, tmp_path):
    install()
    path = tmp_path / "my_metric.py"
    text = (HOSTILE / "well_behaved.py").read_text()
    path.write_text(text.replace("well_behaved:", "my_metric:"))
    host = load_host([path])
    assert host.find("metric", "my_metric/always-one").full_name == "my-metric/always-one"


def test_a_file_that_hides_a_module_is_refused(install, tmp_path):
    install()
    path = tmp_path / "json.py"
    path.write_text((HOSTILE / "well_behaved.py").read_text())
    (broken,) = load_host([path]).broken
    assert "json.py hides another module" in broken.reason


def test_a_plugin_file_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"expected a Python file after --plugin, got .*none\.py"):
        load_host([tmp_path / "none.py"])


def test_a_name_clash_is_an_error_only_for_who_uses_the_short_name(install):
    install("well_behaved", "name_clash")
    host = load_host()
    assert not host.broken
    with pytest.raises(UserError, match="name-clash/always-one and well-behaved/always-one"):
        host.find("metric", "always-one")
    assert host.find("metric", "name-clash/always-one").distribution == "name-clash"
    assert host.find("metric", "well_behaved/always-one").distribution == "well-behaved"


def test_an_unknown_name_answers_with_close_names_and_broken_plugins(install):
    install("well_behaved", "missing_module")
    with pytest.raises(UserError) as caught:
        load_host().find("metric", "allways-one")
    assert "did you mean always-one?" in str(caught.value)
    assert "missing-module/plugin" in str(caught.value)


def test_an_unknown_name_says_that_the_allow_list_leaves_out_the_core(install):
    install("well_behaved")
    with pytest.raises(UserError) as caught:
        load_host().find("attention", "additive")
    left_out = str(caught.value).partition("(left out by MULTIATTN_PLUGINS: ")[2]
    assert "multiattn/core" in left_out
    assert left_out.endswith("; add multiattn to it for the core's components)")


def test_an_unknown_name_does_not_excuse_a_core_that_is_loaded(install):
    install("well_behaved", core=True)
    with pytest.raises(UserError, match=r"got 'additiv'; did you mean additive\?$"):
        load_host().find("attention", "additiv")


def test_a_close_name_in_another_distribution_is_given_in_full(install):
    install("well_behaved")
    with pytest.raises(UserError, match="did you mean well-behaved/always-one"):
        load_host().find("metric", "well-behavd/always-one")


def test_a_target_is_imported_only_when_it_is_asked_for(install):
    install("bad_signatures")
    host = load_host()
    with pytest.raises(UserError, match="expected objective bad-signatures/gone at"):
        host.target("objective", "gone")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("anything", r"got \*\*settings; list every keyword"),
        ("untyped", "expected a type for keyword 'weight'"),
        ("unwritable", "expected a type that a recipe can express for keyword 'stream'"),
    ],
)
def test_a_signature_that_cannot_be_settings_is_refused(install, name, reason):
    install("bad_signatures")
    with pytest.raises(UserError, match=reason):
        load_host().build("objective", named(name))


def test_a_target_without_an_init_of_its_own_takes_no_keys(install):
    install("bad_signatures")
    host = load_host()
    assert host.mistakes("objective", named("bare"), "objectives.0") == []
    (mistake,) = map(str, host.mistakes("objective", named("bare", weight=1), "objectives.0"))
    assert mistake.startswith("objectives.0.weight: expected a setting of objective 'bare'")


def test_components_within_components_are_checked_and_built(install):
    install("bad_signatures")
    host = load_host()
    outer = host.build("attention", named("outer", heads="3", of={"name": "inner", "dim": 7}), 1, 2)
    assert outer.heads == 3
    assert outer.inner.dims == (1, 2, 7)
    assert outer.perhaps is None
    short = host.build("attention", named("outer", heads=3, of="inner", perhaps="inner"), 1, 2)
    assert short.inner.dims == (1, 2, 4)
    assert isinstance(short.perhaps, functools.partial)
    assert host.build("attention", named("outer", heads=3, perhaps=None), 1, 2).perhaps is None


def test_every_mistake_in_nested_settings_is_reported_with_its_place(install):
    install("bad_signatures")
    settings = {"headz": 2, "of": {"name": "inner", "dim": "wide"}, "perhaps": {"name": "iner"}}
    mistakes = [
        *map(
            str, load_host().mistakes("attention", named("outer", **settings), "decoder.attention")
        )
    ]
    places = [mistake.partition(": ")[0] for mistake in mistakes]
    assert places == [
        "decoder.attention.headz",
        "decoder.attention.of.dim",
        "decoder.attention.perhaps",
        "decoder.attention.heads",
    ]
    assert "did you mean heads?" in mistakes[0]
    assert "got 'wide'" in mistakes[1]
    assert "did you mean inner?" in mistakes[2]
    assert "expected a value, got none" in mistakes[3]


def test_a_slot_refuses_what_is_no_component(install):
    install("bad_signatures")
    (mistake,) = map(str, load_host().mistakes("attention", named("outer", heads=1, of=3), "here"))
    assert mistake.startswith("here.of: expected a known attention by name")


def test_an_observer_that_raises_is_logged_once_and_the_others_are_told(install, caplog):
    install("failing_observer", "observers")
    host = load_host()
    with caplog.at_level(logging.WARNING):
        for epoch in range(3):
            host.epoch_finished(Path("run"), epoch, {})
        host.run_started(Path("run"))
        host.run_finished(Path("run"), {})
    assert len(caplog.records) == 1
    assert "failing-observer/plugin" in caplog.text
    assert "the tracker is down" in caplog.text
    assert [epoch for epoch, _ in sys.modules["observers"].SEEN] == [0, 1, 2]


def test_trace_mode_writes_hook_calls_to_standard_error(install, monkeypatch, capsys):
    install("well_behaved")
    monkeypatch.setenv("MULTIATTN_TRACE", "1")
    load_host()
    assert "multiattn_components" in capsys.readouterr().err


def test_removing_every_plugin_but_the_core_leaves_the_core_whole(monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "multiattn")
    host = load_host()
    assert not host.broken
    assert {row.distribution for row in host.rows} == {"multiattn"}


def test_every_component_of_the_environment_has_a_target_that_imports():
    host = load_host()
    assert not host.broken
    for row in host.rows:
        if row.record.kind != "recipe":
            host.target(row.record.kind, row.full_name)


def test_loading_all_plugins_imports_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\nfrom multiattn.registry.host import load_host\n"
    )
    code += "assert not load_host().broken, [plugin.reason for plugin in load_host().broken]"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"paper": None}, "expected a string as paper of .*, got None"),
        ({"suffixes": (".a", 1)}, "expected a tuple of strings as suffixes of .*, got"),
        ({"suffixes": ".a"}, "expected a tuple of strings as suffixes of"),
    ],
)
def test_a_field_of_a_record_has_its_type(changes, said):
    given = {"name": "r", "target": "a:B", "summary": "s", "produces": "x", **changes}
    with pytest.raises(TypeError, match=said):
        with_checked_fields(Reader(**given))


def test_records_of_every_kind_are_checked_and_lists_become_tuples():
    values = {"str": "a", "bool": True, "tuple[str, ...]": [".a"], "Mapping[str, str]": {"a": "b"}}
    for record in KINDS.values():
        made = with_checked_fields(
            record(**{each.name: values[each.type] for each in fields(record)})
        )
        assert not any(isinstance(value, list) for value in vars(made).values())
    reader = Reader(name="r", target="a:B", summary="s", produces="x", suffixes=[".a", ".b"])
    assert with_checked_fields(reader).suffixes == (".a", ".b")
