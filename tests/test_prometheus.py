"""The example observer, in a run with ``--plugin``; its file is read as Prometheus does."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import tiny_runs
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.registry.host import load_host

OBSERVER = Path(__file__).parents[1] / "plugins" / "prometheus.py"
# The text exposition format, version 0.0.4.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (\S+)")
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def read(path):
    """Values by name and labels; every line is a comment of a known form or a sample."""
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    values, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("#"):
            kind, name, rest = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line).groups()
            assert kind == "HELP" or rest == "gauge"
            typed |= {name} if kind == "TYPE" else set()
            continue
        found = SAMPLE.fullmatch(line)
        assert found is not None, line
        assert found[1] in typed
        labels = {
            name: re.sub(r"\\.", lambda match: ESCAPES[match[0]], value)
            for name, value in re.findall(LABEL, found[2])
        }
        key = (found[1], *sorted(labels.items()))
        assert key not in values
        values[key] = float(found[len(found.groups())])
    return values


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "multiattn")
    monkeypatch.delenv("PROMETHEUS_TEXTFILE_DIRECTORY", raising=False)
    return load_host([OBSERVER])


def test_a_run_leaves_its_last_figures_for_prometheus(tmp_path, host):
    tiny_runs.start(tmp_path)
    plugins = ("--plugin", tiny_runs.PLUGIN, "--plugin", OBSERVER)
    arguments = ("train", tmp_path / "tiny.yaml", "--data", tmp_path, "--out", tmp_path / "run")
    done = CliRunner().invoke(app, [str(each) for each in (*plugins, *arguments)])
    assert done.exit_code == 0, done.output
    assert "observer" not in done.stderr
    values = read(tmp_path / "run" / "multiattn.prom")
    labels = (("recipe", str(tmp_path / "tiny.yaml")), ("run", str(tmp_path / "run")))
    assert values["multiattn_run_active", *labels] == 0
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    accuracy = [line["tiny-accuracy"] for line in log if line["kind"] == "validation"][-1]
    assert values["multiattn_run_figure", ("figure", "tiny-accuracy"), *labels] == accuracy
    assert values["multiattn_run_epoch", *labels] >= 0
    assert [file.name for file in (tmp_path / "run").glob("multiattn*")] == ["multiattn.prom"]


def test_odd_names_and_numbers_are_written_as_the_format_says(tmp_path, host):
    (tmp_path / "run.json").write_text(json.dumps({"recipe": 'a "b"\\c\nd'}))
    host.run_started(tmp_path)
    assert read(tmp_path / "multiattn.prom")[
        "multiattn_run_active", ("recipe", 'a "b"\\c\nd'), ("run", str(tmp_path))
    ]
    host.epoch_finished(tmp_path, 2, {"loss": math.nan, "perplexity": math.inf})
    values = read(tmp_path / "multiattn.prom").values()
    assert math.inf in values
    assert any(map(math.isnan, values))


def test_runs_share_a_collector_s_folder(tmp_path, host, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_TEXTFILE_DIRECTORY", str(tmp_path / "collected"))
    (tmp_path / "collected").mkdir()
    for name in ("a/run", "b/run"):
        run = tmp_path / name
        run.mkdir(parents=True)
        (run / "run.json").write_text('{"recipe": "asr"}')
        host.run_started(run)
    first, second = sorted((tmp_path / "collected").iterdir())
    assert first.suffix == second.suffix == ".prom"
    assert {dict(key[1:])["run"] for key in read(first) | read(second)} == {
        str(tmp_path / "a" / "run"),
        str(tmp_path / "b" / "run"),
    }


def test_a_run_goes_on_when_the_file_cannot_be_written(tmp_path, host, caplog):
    for epoch in range(2):
        host.epoch_finished(tmp_path / "gone", epoch, {})
    (record,) = caplog.records
    assert "observer prometheus/file failed in multiattn_epoch_finished" in record.getMessage()


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_folder_that_cannot_be_written_into_is_said_once_without_a_traceback(
    tmp_path, host, monkeypatch, caplog, place
):
    (tmp_path / "file").touch()
    (tmp_path / "run.json").write_text('{"recipe": "asr"}')
    monkeypatch.setenv("PROMETHEUS_TEXTFILE_DIRECTORY", str(tmp_path / place))
    host.run_started(tmp_path)
    host.run_finished(tmp_path, {})
    (record,) = caplog.records
    assert re.search(rf"got {tmp_path / place} \((No|Not)", record.getMessage())
    assert record.getMessage().endswith("the run goes on without this file")
    assert record.exc_info is None
