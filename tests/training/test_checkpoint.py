"""Nothing is lost: a run that is killed anywhere ends as if it had not been."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import tiny_runs
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from multiattn import files
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.files import append_line, atomic_replace, truncate, write_bytes
from multiattn.run_folder import RunFolder
from multiattn.runs.build import build_training
from multiattn.runs.log import read_log
from multiattn.runs.processors import Processors
from multiattn.runs.system import open_system
from multiattn.runs.transfer import _learned_files, transfer_weights
from multiattn.training import checkpoint


class Killed(BaseException):
    """As sudden as kill -9: nobody catches it, nothing is tidied up."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("undisturbed")))


@pytest.fixture
def finished(undisturbed, tmp_path):
    """The same run once more, to be damaged."""
    shutil.copytree(undisturbed.path.parent, tmp_path, dirs_exist_ok=True)
    return tiny_runs.start(tmp_path)


def same(run: RunFolder, other: RunFolder) -> bool:
    weights = run.weights.read_bytes() == other.weights.read_bytes()
    return weights and tiny_runs.log_of(run) == tiny_runs.log_of(other)


def disk_operations(monkeypatch, die_at: int | None) -> list[str]:
    """Count what is flushed or renamed; be killed instead of doing the ``die_at``-th."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def counted(name, operation):
        def call(*arguments):
            if len(done) == die_at:
                raise Killed
            done.append(f"{name} {arguments[0]}")
            return operation(*arguments)

        return call

    monkeypatch.setattr(files.os, "fsync", counted("flush", fsync))
    monkeypatch.setattr(Path, "replace", counted("rename", replace))
    return done


def test_a_run_killed_at_any_touch_of_the_disk_ends_as_if_it_had_not_been(
    undisturbed, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        done = disk_operations(patch, None)
        counted = tiny_runs.start(tmp_path)
        assert same(tiny_runs.trained(counted), undisturbed)
    commits = [place for place, what in enumerate(done) if what.endswith(".pt.partial")]
    first_checkpoint = range(commits[0] - 6, commits[0] + 7)
    assert any(done[place].endswith("model.safetensors.partial") for place in first_checkpoint)
    for number in sorted({*first_checkpoint, *range(0, len(done), 11)}):
        started = tiny_runs.start(tmp_path, run=f"killed-{number}")
        with monkeypatch.context() as patch:
            disk_operations(patch, number)
            with pytest.raises(Killed):
                tiny_runs.trained(started)
        assert same(tiny_runs.trained(started), undisturbed), f"killed at {number} of {len(done)}"


def test_a_process_that_is_gone_in_the_middle_of_a_checkpoint_is_continued(undisturbed, tmp_path):
    command = [sys.executable, tiny_runs.__file__, str(tmp_path)]
    environment = {**os.environ, "KILL": "30"}
    gone = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert gone.returncode == 9, gone.stderr.decode()
    time.sleep(1.1)  # TensorBoard puts the files of a folder in order by the second in their names
    started = tiny_runs.start(tmp_path)
    assert started.run.has_checkpoint
    assert list(started.run.path.rglob("*.partial"))
    assert same(tiny_runs.trained(started), undisturbed)
    assert not list(started.run.path.rglob("*.partial"))
    events = EventAccumulator(str(started.run.path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [2, 4, 6, 8, 10, 12]


def test_more_steps_continue_a_finished_run(finished):
    longer = tiny_runs.start(finished.run.path.parent, ["training.steps=15"])
    log = tiny_runs.log_of(tiny_runs.trained(longer))
    assert log[-1]["step"] == 15
    assert [line["step"] for line in log] == sorted(line["step"] for line in log)


def test_a_finished_run_is_left_alone(finished):
    before = {path: path.read_bytes() for path in finished.run.checkpoints.iterdir()}
    log, learned = finished.run.log.read_bytes(), finished.run.tokenizer.stat().st_mtime_ns
    tiny_runs.trained(finished)
    assert {path: path.read_bytes() for path in finished.run.checkpoints.iterdir()} == before
    assert finished.run.log.read_bytes() == log
    assert finished.run.tokenizer.stat().st_mtime_ns == learned


def test_a_run_whose_disk_was_full_at_its_first_checkpoint_is_continued(
    undisturbed, tmp_path, monkeypatch
):
    started = tiny_runs.start(tmp_path)
    replace = Path.replace

    def full(path, target):
        if path.name.endswith(".pt.partial"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UserError, match="No space left on device"):
            tiny_runs.trained(started)
    assert same(tiny_runs.trained(started), undisturbed)


def test_a_run_that_continues_learns_from_the_examples_that_it_began_with(finished, tmp_path):
    run, corpus = finished.run, tmp_path / "pairs"
    longer = tiny_runs.start(tmp_path, ["training.steps=15"])
    for split in ("train", "validation"):
        text = (corpus / f"{split}.tsv").read_text()
        (corpus / f"{split}.tsv").write_text("".join(reversed(text.splitlines(keepends=True))))
        before = run.start.read_bytes()
        with pytest.raises(UserError, match=f"got others in {split}; .*another --out"):
            tiny_runs.trained(longer)
        assert run.start.read_bytes() == before
        (corpus / f"{split}.tsv").write_text(text)
    elsewhere = shutil.copytree(corpus, tmp_path / "elsewhere" / "pairs")
    tiny_runs.trained(dataclasses.replace(longer, data_root=elsewhere.parent))
    assert run.read_start()["data"] == elsewhere.parent


def test_a_continued_run_with_another_batch_size_is_refused_by_name(finished):
    recipe = finished.run.recipe.read_bytes()
    other = tiny_runs.start(finished.run.path.parent, ["training.batch_tokens=99", "seed=2"])
    with pytest.raises(UserError, match=r"other values of seed, training\.batch_tokens"):
        tiny_runs.trained(other)
    assert finished.run.recipe.read_bytes() == recipe


def test_a_run_that_ended_before_its_first_checkpoint_may_change(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        disk_operations(patch, 12)
        with pytest.raises(Killed):
            tiny_runs.trained(tiny_runs.start(tmp_path))
    changed = tiny_runs.start(tmp_path, ["target.tokenizer.kind=word", "training.steps=1"])
    assert "word" in tiny_runs.trained(changed).tokenizer.read_text()


def test_a_run_that_changes_before_its_first_checkpoint_keeps_its_lock_and_what_else_is_there(
    tmp_path, monkeypatch
):
    started = tiny_runs.start(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", mock.Mock(side_effect=Killed))
        with pytest.raises(Killed):
            tiny_runs.trained(started)
    (started.run.path / "notes.txt").write_text("precious")
    changed = tiny_runs.start(tmp_path, ["target.tokenizer.kind=word", "training.steps=1"])
    again = tiny_runs.start(tmp_path, ["target.tokenizer.kind=word", "training.steps=1"], "new")
    for number in (0, 1, 2, 5):
        with monkeypatch.context() as patch:
            disk_operations(patch, number)
            with pytest.raises(Killed):
                tiny_runs.trained(changed)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load", _refused_if_started_twice(changed.run))
        tiny_runs.trained(changed)
    assert (started.run.path / "notes.txt").read_text() == "precious"
    assert same(changed.run, tiny_runs.trained(again))


def _refused_if_started_twice(run):
    load = checkpoint.load

    def checked(*arguments):
        with pytest.raises(UserError, match="another process is training"), run.locked():
            pass
        return load(*arguments)

    return checked


def test_one_changed_bit_of_the_weights_is_noticed(finished):
    content = bytearray(finished.run.weights.read_bytes())
    content[-5] ^= 1
    finished.run.weights.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors, got others, as their checksum shows"):
        open_system(finished.run, tiny_runs.host())


def test_weights_without_a_checksum_are_read(finished):
    """Those of earlier versions, and of other programs."""
    save_file(load_file(finished.run.weights), finished.run.weights)
    open_system(finished.run, tiny_runs.host())


@pytest.mark.parametrize("damage", [lambda file: file.write_text("abd"), Path.unlink])
@pytest.mark.parametrize(
    "use", [lambda start: open_system(start.run, tiny_runs.host()), tiny_runs.trained]
)
def test_another_state_of_a_reader_is_noticed(finished, use, damage):
    damage(finished.run.source("letters") / "letters.txt")
    with pytest.raises(UserError, match=r"got another sources/letters/letters\.txt, or none"):
        use(finished)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_truncated_checkpoint_is_named(finished, suffix):
    file = max(finished.run.checkpoints.glob(f"*{suffix}"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=file.name):
        tiny_runs.trained(finished)


@pytest.mark.parametrize(
    "content", ["hello", [1, 2], {}, {"progress": {"step": 3}}, {"progress": 3, "optimizer": {}}]
)
def test_a_checkpoint_that_says_something_else_is_named(finished, content):
    file = max(finished.run.checkpoints.glob("*.pt"))
    file.write_text(content) if isinstance(content, str) else torch.save(content, file)
    with pytest.raises(UserError, match=file.name):
        tiny_runs.trained(finished)


@pytest.mark.parametrize("content", ["{}", '{"data": 3}', "[", '"data"'])
def test_a_run_that_does_not_say_how_it_was_started_is_refused(finished, content):
    finished.run.start.write_text(content)
    with pytest.raises(UserError, match=r"how the run was started in .*run\.json"):
        finished.run.read_start()


@pytest.mark.parametrize("content", [b"\xff\n", b"3\n", b"{}\n", b"[\n"])
def test_a_log_that_is_none_is_named(finished, content):
    finished.run.log.write_bytes(content)
    with pytest.raises(UserError, match=r"a JSON object per line in .*log\.jsonl"):
        read_log(finished.run)


def test_a_folder_with_other_files_is_not_taken_for_a_run(tmp_path):
    started = tiny_runs.start(tmp_path)
    started.run.path.mkdir()
    (started.run.path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        tiny_runs.trained(started)
    assert [file.name for file in started.run.path.glob("[!.]*")] == ["thesis.txt"]


def test_two_processes_do_not_train_one_run(tmp_path):
    started = tiny_runs.start(tmp_path)
    with started.run.locked(), pytest.raises(UserError, match="another process"):
        tiny_runs.trained(started)


def test_a_full_disk_overwrites_nothing(finished):
    weights, step = finished.run.weights.read_bytes(), finished.settings.training.steps
    longer = tiny_runs.start(finished.run.path.parent, [f"training.steps={step + 4}"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(weights) - 1, hard))  # files end here
    try:
        with pytest.raises(UserError, match=r"could not write .* nothing was overwritten"):
            tiny_runs.trained(longer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert finished.run.weights.read_bytes() == weights
    assert not list(finished.run.path.rglob("*.partial"))
    assert tiny_runs.log_of(tiny_runs.trained(longer))[-1]["step"] == step + 4


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def write(target):
        with atomic_replace(target) as beside:
            beside.write_bytes(b"ne")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space"):
        write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_log_is_cut_back(tmp_path):
    run = RunFolder(tmp_path)
    append_line(run.log, '{"kind": "a", "step": 1}')
    size = run.log.stat().st_size
    append_line(run.log, '{"kind": "a", "step": 2}')
    run.log.write_text(run.log.read_text() + '{"torn')
    assert [line["step"] for line in read_log(run)] == [1, 2]
    truncate(run.log, size)
    assert run.log.read_text() == '{"kind": "a", "step": 1}\n'


def test_a_reader_that_learns_nothing_has_no_vocabulary_to_share(finished):
    tokenizer = Tokenizer.load(finished.run.tokenizer)
    assert _learned_files(Processors(tokenizer, {"photo": object()}), "photo") == {}


def test_averaging_checkpoints_is_their_mean(tmp_path):
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    drawn = [torch.randn(4, 3) for _ in files]
    for file, tensor in zip(files, drawn, strict=True):
        save_file({"weight": tensor, "seen": torch.tensor(len(file.name))}, file)
    mean = checkpoint.average_weights(files)
    expected = (drawn[0].double() + drawn[1].double() + drawn[2].double()) / 3
    assert torch.equal(mean["weight"], expected.float())
    assert mean["seen"].dtype == torch.int64


def test_the_weights_of_a_run_are_the_mean_of_its_best(undisturbed):
    validations = [line for line in tiny_runs.log_of(undisturbed) if line["kind"] == "validation"]
    best = sorted(validations, key=lambda line: (-line["tiny-accuracy"], -line["step"]))[:2]
    files = [undisturbed.checkpoints / f"step-{line['step']:08d}.safetensors" for line in best]
    first, second, mean = map(load_file, (*files, undisturbed.weights))
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)


@pytest.mark.parametrize(
    ("higher_is_better", "expected"), [(True, ((4, 0.9), (3, 0.9))), (False, ((1, 0.1), (2, 0.5)))]
)
def test_the_best_are_kept_and_of_equals_the_later(higher_is_better, expected):
    best = ()
    for step, score in [(1, 0.1), (2, 0.5), (3, 0.9), (4, 0.9)]:
        best = checkpoint.rank_checkpoints(best, step, score, 2, higher_is_better)
    assert best == expected


def test_a_new_run_starts_from_the_weights_of_another(finished, tmp_path):
    again = dataclasses.replace(
        tiny_runs.start(tmp_path, ["training.steps=1", "training.learning_rate=1e-9"], run="next"),
        init=finished.run,
    )
    begun, given = load_file(tiny_runs.trained(again).weights), load_file(finished.run.weights)
    for name, tensor in given.items():
        torch.testing.assert_close(begun[name], tensor, atol=1e-7, rtol=0)


def test_how_much_comes_from_another_run_is_said(finished, tmp_path):
    said = []
    for run, changed in (("same", []), ("wider", ["decoder.hidden_dim=13"])):
        started = tiny_runs.start(tmp_path, ["training.steps=1", *changed], run=run)
        log = tiny_runs.log_of(tiny_runs.trained(dataclasses.replace(started, init=finished.run)))
        said += [line["taken"] for line in log if line["kind"] == "init"]
    assert said[0] == f"100% of the weights from the run {finished.run.path.name}"
    assert re.match(
        r"\d\d?% of the weights from .*; \d+ tensors keep their initial values: ", said[1]
    )


def test_with_another_vocabulary_only_the_copied_rows_count_and_the_known_pieces_are_said(
    finished, tmp_path
):
    folder = tmp_path / "others"
    shutil.copytree(finished.data_root / "pairs", folder / "pairs")
    for file in (folder / "pairs").iterdir():  # most letters of the targets are other ones
        file.write_text(file.read_text().translate(str.maketrans("BCDEFGH", "ЖЗИЙКЛМ")))
    request = dataclasses.replace(tiny_runs.start(folder), init=finished.run)
    setup = build_training(request, tiny_runs.host(), tiny_runs.splits_of(request), None)
    own, given = setup.processors.tokenizer.vocabulary, pieces_of(finished.run)
    known = [piece for piece in own if piece in given]
    assert f"it knows {len(known)} of {len(own)} pieces of the target" in setup.initial_weights
    theirs = load_file(finished.run.weights)
    copied = total = 0
    for name, leaf in setup.model.named_parameters():
        total += leaf.numel()
        if name.startswith(("decoder.embedding.", "decoder.output.vocabulary.")):
            for piece in known:
                row = leaf[own.index(piece)]
                assert row.equal(theirs[name][given.index(piece)])
                copied += row.numel()
        elif leaf.equal(theirs[name]):
            copied += leaf.numel()
    assert len(known) < len(own) / 2
    assert setup.initial_weights.startswith(f"{100 * copied // total}% of the weights from ")
    assert copied < total


def test_constants_that_every_run_has_are_no_weights(finished):
    other = open_system(finished.run, tiny_runs.host())
    other.model.register_buffer("constant", torch.zeros(2))
    model = torch.nn.Linear(2, 3)
    model.register_buffer("constant", torch.ones(2))
    with pytest.raises(UserError, match="got none of the same name and shape"):
        transfer_weights(model, other.processors, other)


def test_rows_of_a_vocabulary_are_taken_by_token(finished, tmp_path):
    pairs = tmp_path / "pairs" / "train.tsv"
    pairs.write_text(pairs.read_text() + "aaaa\t" + "AAA!" * 40 + "\n")  # one more letter, frequent
    overrides = ["training.steps=1", "training.learning_rate=1e-9", "training.batch_tokens=400"]
    again = dataclasses.replace(tiny_runs.start(tmp_path, overrides, "next"), init=finished.run)
    run = tiny_runs.trained(again)
    pieces = [pieces_of(place) for place in (finished.run, run)]
    assert pieces[0] != pieces[1]
    old, new = load_file(finished.run.weights), load_file(run.weights)
    for name in ("decoder.embedding.weight", "decoder.output.vocabulary.bias"):
        for row, piece in enumerate(pieces[0]):
            given = new[name][pieces[1].index(piece)]
            torch.testing.assert_close(given, old[name][row], atol=1e-7, rtol=0)


def pieces_of(run: RunFolder) -> tuple[str, ...]:
    return Tokenizer.load(run.tokenizer).vocabulary
