"""Capturing: a replay is the function itself, gradients too, and what cannot be captured runs."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from replaying import Replaying
from torch import nn

from multiattn.engine.fast.gpu import graphs
from multiattn.engine.fast.gpu.graphs import Captured
from multiattn.engine.fast.gpu.recording import RecordingError

pytestmark = pytest.mark.usefixtures("double")


class Part(nn.Module):
    """A map with a parameter that is used, one that is not, and a count of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(3, 2), nn.Linear(1, 1)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, values, rows):
        self.calls += 1
        mapped = self.dropout(torch.tanh(self.used(values)))
        return {"mapped": mapped, "rows": (rows + 1, mapped.sum(1))}


def given(size: int = 4):
    return torch.randn(size, 3, requires_grad=True), torch.arange(size)


def results(part, run, inputs, seed: int = 0):
    """The outputs and the gradients of the differentiable input and of every parameter."""
    torch.manual_seed(seed)
    outputs = run(*inputs)
    loss = (outputs["mapped"] ** 2).sum() + outputs["rows"][1].sum()
    values, learning = inputs[0], list(part.parameters())
    gradients = torch.autograd.grad(loss, [values, *learning], allow_unused=True)
    return outputs["mapped"], outputs["rows"][0], outputs["rows"][1], *gradients


def same(ones, others) -> None:
    for one, other in zip(ones, others, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_every_call_gives_what_the_function_gives_to_the_last_bit():
    part, recorder = Part(), Replaying()
    captured = Captured("part", recorder)
    for call in range(5):
        inputs = given()
        found = results(part, lambda *each: captured(part, each, part), inputs, call)
        same(found, results(part, part, inputs, call))
    assert (recorder.recorded, recorder.replayed) == (2, 8)  # the first call runs as it is


def test_each_shape_and_key_has_a_recording_of_its_own():
    part, recorder = Part(), Replaying()
    captured = Captured("part", recorder)
    for size, key in ((4, "a"), (6, "a"), (4, "b"), (6, "a"), (4, "a"), (2, "a"), (4, "b")):
        inputs = given(size)
        run = lambda *each, key=key: captured(part, each, part, key)  # noqa: E731
        same(results(part, run, inputs), results(part, part, inputs))
    assert len(captured.recordings) == 3


def test_a_second_call_before_the_first_ones_backward_runs_as_it_is():
    part, recorder = Part(), Replaying()
    captured = Captured("part", recorder)
    for _ in range(2):
        results(part, lambda *each: captured(part, each, part), given())
    one, other = given(), given()
    part.eval()
    plain = [part(*each)["mapped"] for each in (one, other)]
    part.train()
    part.dropout.p = 0.0
    both = [captured(part, each, part)["mapped"] for each in (one, other)]
    replayed = recorder.replayed
    loss = sum((each**3).sum() for each in both)
    expected = torch.autograd.grad(sum((each**3).sum() for each in plain), part.used.weight)
    torch.testing.assert_close(torch.autograd.grad(loss, part.used.weight), expected)
    assert recorder.replayed == replayed + 1  # one backward; the other call was no replay


def test_a_call_whose_output_is_thrown_away_blocks_nothing():
    part, recorder = Part(), Replaying()
    captured = Captured("part", recorder)
    for _ in range(2):
        results(part, lambda *each: captured(part, each, part), given())
    for _ in range(3):
        before = recorder.replayed
        captured(part, given(), part)
        assert recorder.replayed == before + 1


def test_gradients_of_several_calls_add_up():
    part = Part()
    part.dropout.p = 0.0
    captured = Captured("part", Replaying())
    batches, sums = [given() for _ in range(4)], []
    for run in (part, lambda *each: captured(part, each, part)):
        for inputs in batches:
            run(*inputs)["mapped"].square().sum().backward()
        sums.append(part.used.weight.grad)
        part.zero_grad()
    same(sums[:1], sums[1:])


def test_recording_changes_neither_the_random_numbers_to_come_nor_the_buffers():
    part = Part()
    captured = Captured("part", Replaying())
    drawn = []
    for _ in range(3):
        torch.manual_seed(7)
        captured(part, given(), part)
        drawn.append(torch.rand(3))
    same(drawn[:2], drawn[1:])
    assert part.calls == 3


def test_without_gradients_nothing_is_recorded():
    part, recorder = Part(), Replaying()
    captured = Captured("part", recorder)
    for _ in range(3):
        with torch.no_grad():
            captured(part, given(), part)
    assert recorder.recorded == 0


def test_training_and_evaluation_mode_have_recordings_of_their_own():
    part = Part()
    captured = Captured("part", Replaying())
    for training in (True, True, False, False, True, False):
        part.train(training)
        inputs = given()
        found = results(part, lambda *each: captured(part, each, part), inputs)
        same(found, results(part, part, inputs))
    assert len(captured.recordings) == 2


def test_what_cannot_be_recorded_runs_as_it_is_and_that_is_said_once(caplog):
    part = Part()
    captured = Captured("the encoder of 'text'", Replaying(RuntimeError("reads a value\nat 3")))
    with caplog.at_level(logging.WARNING):
        for call in range(4):
            inputs = given(4 + call % 2)
            found = results(part, lambda *each: captured(part, each, part), inputs)
            same(found, results(part, part, inputs))
    assert [record.getMessage() for record in caplog.records] == [
        "the encoder of 'text' runs without CUDA graphs, which is slower: reads a value"
    ]


def test_a_recording_that_fails_once_is_made_again(caplog):
    part, recorder = Part(), Replaying()
    captured, record = Captured("part", recorder), recorder.record

    def record_at_the_second_try(function):
        recorder.record = record
        raise RecordingError("a library initialises itself")

    recorder.record = record_at_the_second_try
    for call in range(3):
        inputs = given()
        found = results(part, lambda *each: captured(part, each, part), inputs, call)
        same(found, results(part, part, inputs, call))
    assert (len(captured.recordings), recorder.recorded) == (1, 2)
    assert not caplog.text


def test_a_shape_too_large_to_capture_leaves_the_others_alone(caplog):
    part, recorder = Part(), Replaying(torch.OutOfMemoryError("too much"))
    captured = Captured("part", recorder)
    run = lambda *each: captured(part, each, part)  # noqa: E731
    for _ in range(2):
        results(part, run, given(8))
    recorder.refusal = None
    for _ in range(3):
        results(part, run, given(4))
    assert len(captured.recordings) == 1
    assert "(8, 3)" in caplog.text
    recorder.refusal = torch.OutOfMemoryError("too much again")
    for _ in range(3):
        inputs = given(8)
        same(results(part, run, inputs), results(part, part, inputs))
    assert len(caplog.records) == 1  # said once, and not tried again


def test_recordings_beyond_the_most_are_dropped_the_oldest_first(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    part = Part()
    captured = Captured("part", Replaying())
    for size in (2, 2, 4, 4, 2, 6, 6):
        results(part, lambda *each: captured(part, each, part), given(size))
    assert [key[0][0][0][0] for key in captured.recordings] == [2, 6]


def test_a_copy_of_a_model_starts_without_recordings():
    part = Part()
    part.captured = Captured("part", Replaying())
    for _ in range(2):
        results(part, lambda *each: part.captured(part, each, part), given())
    assert part.captured.recordings
    assert not copy.deepcopy(part).captured.recordings


def test_under_autocast_a_recording_gives_what_the_function_gives():
    part, recorder = Part().float(), Replaying()
    captured = Captured("part", recorder)

    def under_autocast(run):
        def rounded(*inputs):
            with torch.autocast("cpu", torch.bfloat16):
                return run(*inputs)

        return rounded

    quick = under_autocast(lambda *each: captured(part, each, part))
    for call in range(4):
        inputs = torch.randn(4, 3, dtype=torch.float32, requires_grad=True), torch.arange(4)
        found = results(part, quick, inputs, call)
        assert found[0].dtype == torch.bfloat16
        same(found, results(part, under_autocast(part), inputs, call))
    assert recorder.replayed
