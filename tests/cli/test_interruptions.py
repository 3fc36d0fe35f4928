"""A kill, a full disk or a second start after training: nothing is lost, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_runs
from click.testing import CliRunner
from tensorboard.summary.writer.record_writer import RecordWriter

from multiattn import files
from multiattn.cli import app
from multiattn.errors import UserError
from multiattn.run_folder import RunFolder
from multiattn.runs import evaluate as evaluation
from multiattn.runs.system import open_system
from multiattn.scoring.system_outputs import hypotheses_file
from multiattn.training.accelerator import start_accelerator

UNLIKE = (".pt", ".lock")  # files that hold how long the training took, or nothing


class Killed(BaseException):
    """As sudden as kill -9: nobody catches it, nothing is tidied up."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from training to report that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_runs.start(folder)
    done = call(folder, "run")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def trained(whole, tmp_path):
    """The same run before its evaluation."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "run" / "results")
    (tmp_path / "run" / "report.html").unlink()
    return tmp_path


def call(folder, command):
    run = str(folder / "run")
    recipe = [str(folder / "tiny.yaml"), "--data", str(folder), "--out", run]
    arguments = recipe if command in ("run", "train") else [run]
    return CliRunner().invoke(app, ["--plugin", str(tiny_runs.PLUGIN), command, *arguments])


def contents(folder):
    """Every file of a run, without times and folders, and whether there is a report."""
    run = RunFolder(folder / "run")
    found = {}
    for path in run.path.rglob("*"):
        name = str(path.relative_to(run.path))
        if path.is_file() and not name.startswith("tensorboard") and not path.name.endswith(UNLIKE):
            found[name] = path.read_bytes()
        if name in ("run.json", "report.html"):
            found[name] = run.read_start()["fitted"]
        if path.name == "scores.json":
            found[name] = json.loads(path.read_text())
            del found[name]["decoding"]["seconds"]
    return {**found, "log.jsonl": tiny_runs.log_of(run)}


def touches_of_the_disk(monkeypatch, die_at=None):
    """Count what is flushed or renamed; be killed instead of doing the ``die_at``-th."""
    done: list[str] = []

    def counted(operation):
        def touch(*arguments):
            if len(done) == die_at:
                raise Killed
            done.append(str(arguments[0]))
            return operation(*arguments)

        return touch

    monkeypatch.setattr(files.os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    return done


def test_a_run_killed_while_it_is_recorded_evaluated_or_reported_ends_as_if_it_had_not_been(
    whole, trained, monkeypatch
):
    killed = place = 0
    while True:
        with monkeypatch.context() as patch:
            done = touches_of_the_disk(patch, place)
            try:
                ended = call(trained, "run")
            except Killed:
                killed, place = killed + 1, place + 3
                continue
        break
    assert ended.exit_code == 0, ended.output
    assert killed >= 5, done
    assert contents(trained) == contents(whole)


@contextmanager
def file_size_limit(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_space_to_replace(name):
    replace = Path.replace

    def full(path, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", full)
        yield


@pytest.mark.parametrize(
    ("command", "disk", "written"),
    [
        ("run", lambda: file_size_limit(500), "recipe.yaml"),
        ("run", lambda: no_space_to_replace("run.json"), "run.json"),
        ("run", lambda: no_space_to_replace("test"), "results/test"),
        ("run", lambda: no_space_to_replace("report.html"), "report.html"),
        ("evaluate", lambda: file_size_limit(200), "results/test"),
        ("report", lambda: file_size_limit(4000), "report.html"),
    ],
)
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    whole, trained, command, disk, written
):
    before = contents(trained)
    with disk():
        full = call(trained, command)
    assert full.exit_code == 2, full.output
    (sentence,) = full.stderr.splitlines()
    assert sentence.startswith(f"error: could not write {trained / 'run' / written}: ")
    after = contents(trained)
    assert before.items() <= after.items() <= contents(whole).items()
    again = call(trained, command)
    assert again.exit_code == 0, again.output
    assert (trained / "run" / written).exists()
    assert contents(trained).items() <= contents(whole).items()


def test_a_disk_that_is_full_for_the_curves_is_one_sentence(whole, tmp_path, monkeypatch):
    tiny_runs.start(tmp_path)
    write, written, printed = RecordWriter.write, [], []

    def full(writer, data):
        written.append(len(data))
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, data)

    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", full)
        patch.setattr(threading, "excepthook", printed.append)
        failed = call(tmp_path, "train")
    assert failed.exit_code == 2, failed.output
    (sentence,) = failed.stderr.splitlines()
    assert sentence.startswith(f"error: could not write {tmp_path / 'run' / 'tensorboard'}: No sp")
    assert not printed
    assert call(tmp_path, "run").exit_code == 0
    assert contents(tmp_path) == contents(whole)


def test_of_two_evaluations_of_one_split_the_second_is_refused(whole, trained):
    run = RunFolder(trained / "run")
    with run.results_locked(run.results("test")):
        for command in ("run", "evaluate"):
            refused = call(trained, command)
            assert refused.exit_code == 2
            assert refused.stderr == (
                f"error: another process is writing {run.results('test')}; wait for it, or stop "
                "it first\n"
            )
        assert not run.results("test").exists()
    assert call(trained, "run").exit_code == 0
    assert contents(trained) == contents(whole)
    with run.results_locked(run.results("test")):
        assert call(trained, "evaluate").exit_code == 0  # these are there and only shown


def test_two_evaluations_at_once_write_whole_results(whole, trained):
    started, outcomes = tiny_runs.start(trained), []
    accelerator = start_accelerator(started.settings, started.run)
    systems = [open_system(started.run, tiny_runs.host()) for _ in range(3)]
    together = threading.Barrier(len(systems))

    def evaluate(system):
        together.wait()
        try:
            splits = tiny_runs.splits_of(started)
            outcomes.append(evaluation.evaluate(system, "test", "", splits, accelerator))
        except UserError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=evaluate, args=[system]) for system in systems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert all("another process" in outcome for outcome in outcomes if outcome not in written)
    assert written
    found, complete = contents(trained), contents(whole)
    results = {name: complete[name] for name in complete if name.startswith("results/test/")}
    assert {name: found[name] for name in found if name.startswith("results")} == results


def test_results_name_the_weights_that_were_opened_even_if_training_goes_on(trained):
    started = tiny_runs.start(trained, ["training.steps=16"])
    accelerator = start_accelerator(started.settings, started.run)
    before = open_system(started.run, tiny_runs.host())
    tiny_runs.trained(started)
    after = open_system(started.run, tiny_runs.host())
    splits = tiny_runs.splits_of(started)
    evaluation.evaluate(before, "test", "", splits, accelerator)
    evaluation.evaluate(after, "test", "", splits, accelerator)
    digests = {
        folder.name: json.loads((folder / "scores.json").read_text())["decoding"]["weights"]
        for folder in (started.run.path / "results").iterdir()
    }
    assert digests == {"test": after.digest, f"test@weights-{before.digest[:8]}": before.digest}


def test_an_ensemble_that_changes_meanwhile_is_refused(trained, monkeypatch):
    started = tiny_runs.start(trained)
    other = shutil.copytree(started.run.path, trained / "other")
    accelerator = start_accelerator(started.settings, started.run)
    system = open_system(
        started.run, tiny_runs.host(), [f"search.ensemble={json.dumps([str(other)])}"]
    )
    evaluate = evaluation._evaluate_outputs

    def trained_meanwhile(*arguments):
        shutil.copy(min(started.run.checkpoints.glob("*.safetensors")), other / "model.safetensors")
        return evaluate(*arguments)

    monkeypatch.setattr(evaluation, "_evaluate_outputs", trained_meanwhile)
    with pytest.raises(UserError, match="got other weights meanwhile; repeat the command"):
        evaluation.evaluate(system, "test", "", tiny_runs.splits_of(started), accelerator)
    assert not started.run.results("test").exists()


def test_what_a_killed_evaluation_left_behind_is_no_result(whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    results = tmp_path / "run" / "results"
    shutil.rmtree(results / "validation")
    shutil.copytree(results / "test", results / ".validation.partial")
    (results / ".validation.partial" / "scores.json").write_text("{")
    assert hypotheses_file(tmp_path / "run") == results / "test" / "hypotheses.jsonl"
    assert call(tmp_path, "report").exit_code == 0
    assert "validation.partial" not in (tmp_path / "run" / "report.html").read_text()
