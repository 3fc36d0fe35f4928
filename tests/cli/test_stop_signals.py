"""SIGTERM and SIGUSR1, the notice of a queue: no step is lost, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tiny_plugin
import tiny_runs
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from multiattn import stop_signals
from multiattn.cli import app
from multiattn.run_folder import RunFolder
from multiattn.runs import evaluate as evaluation
from multiattn.runs import validation
from multiattn.search.sequence_generator import SequenceGenerator
from multiattn.training import checkpoint
from multiattn.training.trainer import Trainer

LONG = ["training.steps=320", "training.validate_every=100", "training.checkpoint_every=1000"]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ACCELERATE_USE_CPU": "1",
    "PYTHONPATH": str(tiny_runs.PLUGIN.parent),
}
SHORT = ["training.checkpoint_every=1000", "training.validate_every=5"]


def arguments(folder, overrides=(), command="run"):
    options = ["--data", folder, "--out", folder / "run"]
    settings = [part for override in overrides for part in ("--set", override)]
    given = ["--plugin", tiny_runs.PLUGIN, command, folder / "tiny.yaml", *options, *settings]
    return list(map(str, given))


def call(folder, overrides=(), command="run"):
    return CliRunner().invoke(app, arguments(folder, overrides, command))


def contents(folder):
    """The log without times, and weights and outputs to the bit."""
    run = RunFolder(folder / "run")
    outputs = {path: path.read_text() for path in run.path.glob("results/*/hypotheses.jsonl")}
    by_name = {path.parent.name: text for path, text in outputs.items()}
    return {"log": tiny_runs.log_of(run), "weights": run.weights.read_bytes(), **by_name}


def uninterrupted(folder, overrides):
    tiny_runs.start(folder)
    done = call(folder, overrides)
    assert done.exit_code == 0, done.output
    return contents(folder)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return uninterrupted(tmp_path_factory.mktemp("long"), LONG)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return uninterrupted(tmp_path_factory.mktemp("short"), SHORT)


def saved_step(folder):
    (file,) = (folder / "run" / "checkpoints").glob("*.pt")
    return int(file.stem.partition("-")[2])


def test_a_signal_to_every_process_in_the_middle_of_a_long_run_loses_no_step(long, tmp_path):
    tiny_runs.start(tmp_path)
    given = arguments(tmp_path, [*LONG, "training.workers=2"])
    command = [sys.executable, "-m", "multiattn", *given]
    options = {"env": ENVIRONMENT, "stderr": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        log = tmp_path / "run" / "log.jsonl"
        while not (log.exists() and '"step": 150,' in log.read_text()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 143, said.decode()
    step = saved_step(tmp_path)
    assert 150 <= step < 320
    assert said.decode() == (
        f"stopped by SIGTERM after step {step}; the same command continues from this step\n"
    )
    last = tiny_runs.log_of(RunFolder(tmp_path / "run"))[-1]["step"]
    assert step - 2 < last <= step  # it logs every second step
    assert call(tmp_path, LONG).exit_code == 0
    assert contents(tmp_path) == long
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    for kind, steps in (("training", range(2, 321, 2)), ("validation", [100, 200, 300, 320])):
        assert [event.step for event in events.Scalars(f"{kind}/loss")] == list(steps)


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def during(owner, name, wanted, action=send):
    """Replace a function by one that does something before its ``wanted``-th call."""
    function, calls = getattr(owner, name), iter(range(1, 10**6))

    def replacement(*given, **named):
        if next(calls) == wanted:
            action()
        return function(*given, **named)

    return owner, name, replacement


@pytest.mark.parametrize(
    ("place", "step"),
    [
        (during(Trainer, "_train", 3), 3),
        (during(Trainer, "_train", 5), 5),  # a validation is due
        (during(Trainer, "_train", 12), 12),  # the last
        (during(Trainer, "_log_window", 2), 4),
        (during(validation, "measure", 1), 5),
        (during(validation, "decode", 2), 10),
        (during(SequenceGenerator, "search", 2), 5),
        (during(checkpoint, "save", 1), 6),  # it has been written, so the next step stops
        (during(stop_signals, "deferred", 1), None),  # before the loop
        (during(evaluation, "decode", 1), None),
        (during(evaluation, "decode", 2), None),
    ],
)
def test_a_signal_in_any_phase_ends_the_run_early_and_changes_nothing(
    short, tmp_path, monkeypatch, place, step
):
    tiny_runs.start(tmp_path)
    tiny_plugin.TOLD.clear()
    with monkeypatch.context() as patch:
        patch.setattr(*place)
        stopped = call(tmp_path, SHORT)
    assert stopped.exit_code == 143, stopped.output
    (sentence,) = stopped.stderr.splitlines()
    where = f"after step {step}; the same command continues from this step"
    otherwise = "; the same command continues from the last checkpoint"
    assert sentence == f"stopped by SIGTERM{f' {where}' if step else otherwise}"
    if step:
        assert max((tmp_path / "run" / "checkpoints").glob("*.pt")).stem == f"step-{step:08d}"
    continued = call(tmp_path, SHORT)
    assert continued.exit_code == 0, continued.output
    assert contents(tmp_path) == short
    epochs = [value for what, value in tiny_plugin.TOLD if what == "epoch"]
    assert epochs == sorted(set(epochs))


def test_of_several_signals_the_first_counts(tmp_path, monkeypatch):
    tiny_runs.start(tmp_path)

    def send_three():
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            send(number)

    monkeypatch.setattr(*during(Trainer, "_train", 3, send_three))
    stopped = call(tmp_path, SHORT)
    assert stopped.exit_code == 128 + signal.SIGUSR1
    assert stopped.stderr.startswith("stopped by SIGUSR1 after step 3;")


def test_an_interrupt_still_ends_at_once(tmp_path, monkeypatch):
    tiny_runs.start(tmp_path)
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a background job
    monkeypatch.setattr(*during(Trainer, "_train", 3, lambda: send(signal.SIGINT)))
    try:
        stopped = call(tmp_path, SHORT)
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert stopped.exit_code == 130
    assert not list((tmp_path / "run").glob("checkpoints/*.pt"))


def test_after_a_run_the_signals_mean_what_they_meant_before(short, tmp_path):
    before = [signal.getsignal(number) for number in stop_signals.SIGNALS]
    uninterrupted(tmp_path, ["training.steps=2"])
    assert [signal.getsignal(number) for number in stop_signals.SIGNALS] == before


SIGNALLED = """
import os, signal
from multiattn.cli import main
from multiattn.training import stop_agreement
from multiattn.training.trainer import Trainer

train = Trainer._train

def signalled(self, number, batches):
    train(self, number, batches)
    if number == 3 and self.accelerator.process_index == 1:
        os.kill(os.getpid(), signal.SIGTERM)

stop_agreement.INTERVAL_SECONDS = 0.05
if "SIGNALLED" in os.environ:
    Trainer._train = signalled
main()
"""


def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_step(tmp_path):
    steps = ["training.steps=80", "training.validate_every=100", "decoder.dropout=0"]
    settings = [*steps, "sources.letters.encoder.dropout=0"]
    alone, together = tmp_path / "alone", tmp_path / "together"
    tiny_runs.start(tmp_path)
    for folder in (alone, together):
        shutil.copytree(tmp_path / "pairs", folder / "pairs")
        shutil.copy(tmp_path / "tiny.yaml", folder)
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    script = [str(tmp_path / "signalled.py"), *arguments(together, settings, "train")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]

    def launch(**environment):
        options = {"capture_output": True, "text": True, "check": False}
        environment = {**ENVIRONMENT, **environment}
        return subprocess.run([*launcher, *script], env=environment, **options)

    stopped = launch(SIGNALLED="1")
    assert "exitcode  : 143" in stopped.stderr
    assert stopped.stderr.count("stopped by SIGTERM after step") == 1
    assert 3 <= saved_step(together) < 80
    continued = launch()
    assert continued.returncode == 0, continued.stderr
    assert call(alone, settings, "train").exit_code == 0
    logs = [tiny_runs.log_of(RunFolder(folder / "run")) for folder in (alone, together)]
    curves = [{line["step"]: line["loss"] for line in log if "loss" in line} for log in logs]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
