"""The loop: a step is the same however it is cut, and learns what it should at the right rate."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys

import pytest
import tiny_plugin
import tiny_runs
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from multiattn.engine.batch import out_of_memory_as_user_error
from multiattn.errors import UserError
from multiattn.recipe.settings import ScheduledSamplingSettings, TrainingSettings
from multiattn.training.loss import Window
from multiattn.training.optimizer import (
    build_optimizer,
    learning_rate_factor,
    sampling_rate,
    set_learning_rate,
)

STILL = ["decoder.dropout=0", "sources.letters.encoder.dropout=0"]


def losses(log):
    return [line["loss"] for line in log if "loss" in line]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The curve of one process without dropout."""
    started = tiny_runs.start(tmp_path_factory.mktemp("alone"), STILL)
    return losses(tiny_runs.log_of(tiny_runs.trained(started)))


def test_the_loss_falls(alone):
    assert alone[-1] < alone[0] - 0.1


def test_a_step_cut_into_parts_is_the_same_step(alone, tmp_path):
    cut = tiny_runs.start(tmp_path, [*STILL, "training.accumulate=3"])
    assert losses(tiny_runs.log_of(tiny_runs.trained(cut))) == pytest.approx(alone, rel=1e-5)


def test_two_processes_give_the_curve_of_one(alone, tmp_path):
    tiny_runs.start(tmp_path)  # the corpus, once
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, tiny_runs.__file__, str(tmp_path), *STILL],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = tiny_runs.log_of(tiny_runs.RunFolder(tmp_path / "run"))
    assert log[0] == {"kind": "start", "step": 0, "device": "cpu", "processes": 2}
    assert losses(log) == pytest.approx(alone, rel=1e-5)


def test_several_objectives_are_logged_with_their_weighted_sum(tmp_path):
    objectives = ["cross-entropy", {"name": "coverage", "weight": 0.5}]
    started = tiny_runs.start(tmp_path, ["training.steps=2"], objectives=objectives)
    line = next(row for row in tiny_runs.log_of(tiny_runs.trained(started)) if "loss" in row)
    assert line["loss"] == pytest.approx(line["cross-entropy"] + 0.5 * line["coverage"])


@pytest.mark.parametrize("objective", ["doubly-stochastic", "ctc"])
def test_a_step_cut_into_parts_is_the_same_step_for_other_means(tmp_path, objective):
    objectives = ["cross-entropy", {"name": objective, "weight": 0.3}]
    tiny_runs.start(tmp_path)  # the corpus, without what needs more slots than letters
    for file in (tmp_path / "pairs").glob("*.tsv"):
        lines = [line for line in file.read_text().splitlines() if not re.search(r"(.)\1", line)]
        file.write_text("\n".join(lines) + "\n")
    curves = []
    for parts in (1, 3):
        overrides = [*STILL, f"training.accumulate={parts}", "training.steps=4"]
        started = tiny_runs.start(tmp_path, overrides, f"cut-{parts}", objectives=objectives)
        curves.append(losses(tiny_runs.log_of(tiny_runs.trained(started))))
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def test_an_objective_that_cannot_say_its_count_is_not_cut(tmp_path, monkeypatch):
    # Python remembers which classes satisfy a protocol, so a deleted method would not be noticed.
    monkeypatch.setattr("multiattn.training.loss.CountedObjective", type("Nothing", (), {}))
    objectives = ["cross-entropy", {"name": "doubly-stochastic", "weight": 0.1}]
    whole = tiny_runs.start(tmp_path, ["training.steps=2"], objectives=objectives)
    line = next(row for row in tiny_runs.log_of(tiny_runs.trained(whole)) if "loss" in row)
    assert line["loss"] == pytest.approx(line["cross-entropy"] + 0.1 * line["doubly-stochastic"])
    overrides = ["training.steps=2", "training.accumulate=2"]
    cut = tiny_runs.start(tmp_path, overrides, "cut", objectives=objectives)
    with pytest.raises(UserError, match=r"doubly-stochastic.*set training\.accumulate=1"):
        tiny_runs.trained(cut)


def test_training_stops_when_patience_ends(tmp_path):
    patience = ["training.patience=2", "training.learning_rate=1e-9", "training.steps=40"]
    log = tiny_runs.log_of(tiny_runs.trained(tiny_runs.start(tmp_path, patience)))
    assert [line["step"] for line in log if line["kind"] == "validation"] == [4, 8, 12]


def test_a_loss_that_is_no_number_is_refused():
    window = Window(["cross-entropy"], torch.ones(1))
    window.add(torch.tensor([6.0, 3.0, 3.0]), torch.tensor(1.0))
    assert window.figures() == {"loss": 2.0, "gradient_norm": 1.0}
    window.add(torch.tensor([torch.nan, 3.0, 3.0]), torch.tensor(1.0))
    with pytest.raises(UserError, match=r"finite loss.*training\.learning_rate"):
        window.figures()


def test_observers_are_told(tmp_path):
    tiny_plugin.TOLD.clear()
    run = tiny_runs.trained(tiny_runs.start(tmp_path))
    *told, (last, _) = tiny_plugin.TOLD
    assert told == [("started", run.path), ("epoch", 0), ("epoch", 1)]
    assert last == "finished"
    assert tiny_plugin.TOLD[-1][1].keys() >= {"loss", "perplexity", "tiny-accuracy"}


def test_a_selected_metric_must_be_known(tmp_path):
    with pytest.raises(UserError, match=r"tiny-accuracy, loss, perplexity, got 'blue'"):
        tiny_runs.trained(tiny_runs.start(tmp_path, ["evaluation.select=blue"]))


def test_a_missing_corpus_is_named(tmp_path):
    with pytest.raises(UserError, match=r"elsewhere.*--data"):
        tiny_runs.trained(tiny_runs.start(tmp_path, ["corpus.folder=elsewhere"]))


def test_out_of_memory_names_the_batch_and_the_setting():
    class Batch:
        def describe(self):
            return "12 examples (a … b)"

    def fail(error):
        with out_of_memory_as_user_error(Batch(), "lower training.batch_tokens"):
            raise error

    with pytest.raises(UserError, match=r"12 examples.*lower training\.batch_tokens"):
        fail(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError, match="shapes"):
        fail(RuntimeError("shapes differ"))


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("constant", lambda step: 1.0),
        ("linear", lambda step: (100 - (step - 1)) / 90),
        ("cosine", lambda step: (1 + math.cos(math.pi * (step - 1 - 10) / 90)) / 2),
        ("inverse-sqrt", lambda step: math.sqrt(10 / step)),
    ],
)
def test_the_learning_rate_warms_up_and_follows_its_schedule(schedule, formula):
    settings = TrainingSettings(steps=100, warmup_steps=10, schedule=schedule)
    factors = [learning_rate_factor(settings, step) for step in range(1, 101)]
    assert factors[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert factors[10:] == pytest.approx([formula(step) for step in range(11, 101)])


def test_without_warm_up_the_first_step_is_the_largest():
    for schedule in ("constant", "linear", "cosine", "inverse-sqrt"):
        settings = TrainingSettings(steps=7, schedule=schedule)
        factors = [learning_rate_factor(settings, step) for step in range(1, 8)]
        assert factors[0] == 1.0
        assert all(0 < later <= 1 for later in factors)


def test_scheduled_sampling_rises_linearly_and_stays():
    settings = ScheduledSamplingSettings(start=0.1, end=0.3, over_steps=10)
    rates = [sampling_rate(settings, step) for step in (1, 6, 11, 50)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.3])
    assert sampling_rate(None, 5) == 0


def test_parameter_groups_are_chosen_by_the_first_pattern_that_is_found():
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})
    settings = TrainingSettings(
        learning_rate=0.1,
        weight_decay=0.5,
        groups=(
            {"pattern": "^encoder.*bias$", "frozen": True},
            {"pattern": "^encoder", "learning_rate_factor": 0.1, "weight_decay": 0.0},
        ),
    )
    optimizer = build_optimizer(model, settings)
    assert not model["encoder"].bias.requires_grad
    encoder, rest = optimizer.param_groups
    assert encoder["params"] == [model["encoder"].weight]
    assert (encoder["lr"], encoder["weight_decay"]) == (pytest.approx(0.01), 0.0)
    assert (rest["lr"], rest["weight_decay"]) == (0.1, 0.5)
    set_learning_rate(optimizer, 0.5)
    assert (encoder["lr"], rest["lr"]) == (pytest.approx(0.005), 0.05)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("^enc0der", "matches, got '.enc0der'"), ("(", "expected a regular expression")],
)
def test_a_pattern_that_finds_nothing_is_a_mistake(pattern, sentence):
    with pytest.raises(UserError, match=sentence):
        build_optimizer(nn.Linear(2, 2), TrainingSettings(groups=({"pattern": pattern},)))


def test_frozen_parameters_stay_as_they_began(tmp_path):
    frozen = [{"pattern": "^encoders", "frozen": True}]
    overrides = [f"training.groups={json.dumps(frozen)}", "training.steps=2"]
    first = tiny_runs.trained(tiny_runs.start(tmp_path, overrides, run="short"))
    later = tiny_runs.trained(tiny_runs.start(tmp_path, [*overrides, "training.steps=6"], "long"))
    from safetensors.torch import load_file

    short, long = load_file(first.weights), load_file(later.weights)
    same = {name for name, tensor in short.items() if torch.equal(tensor, long[name])}
    assert {name for name in short if name.startswith("encoders")} == same


def test_every_group_s_learning_rate_is_logged_under_its_pattern(tmp_path):
    groups = [
        {"pattern": "^encoders.letters", "learning_rate_factor": 0.1},
        {"pattern": "bias$", "learning_rate_factor": 2},
        {"pattern": "output", "frozen": True},
    ]
    overrides = [f"training.groups={json.dumps(groups)}", "training.steps=4"]
    run = tiny_runs.trained(tiny_runs.start(tmp_path, overrides))
    logged = [line for line in tiny_runs.log_of(run) if line["kind"] == "training"]
    of_recipe = [0.02 * 2 / 3, 0.02]  # steps 2 and 4; the warm-up takes 3
    assert [line["learning_rate"] for line in logged] == pytest.approx(of_recipe)
    for name, factor in (("^encoders.letters", 0.1), ("bias$", 2)):
        rates = [line[f"learning_rate/{name}"] for line in logged]
        assert rates == pytest.approx([factor * rate for rate in of_recipe])
    assert not any("learning_rate/output" in line for line in logged)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if "learning_rate" in tag]
    assert len(tags) == 3
    assert "training/learning_rate" in tags
