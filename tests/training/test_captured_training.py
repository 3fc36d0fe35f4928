"""Training as on a GPU, with a stand-in for graphs: the same bits, whenever a shape is captured."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from replaying import Replaying
from tiny_runs import log_of, start, trained

from multiattn.engine.fast.gpu import graphs


def run(folder: Path, name: str, steps: int, precision: str):
    """The weights and the log of a tiny run."""
    settings = [f"steps={steps}", f"precision={precision}", "schedule=constant", "log_every=5"]
    AcceleratorState._reset_state(reset_partial_state=True)  # it holds the precision
    finished = trained(start(folder, [f"training.{each}" for each in settings], name))
    AcceleratorState._reset_state(reset_partial_state=True)
    return finished.weights.read_bytes(), log_of(finished)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_resumed_run_agrees_to_the_last_bit_although_it_captures_other_steps(
    precision, tmp_path, monkeypatch
):
    recorders = []

    def recorder() -> Replaying:
        recorders.append(Replaying())
        return recorders[-1]

    monkeypatch.setattr(graphs, "CUDARecorder", recorder)
    whole = run(tmp_path, "one", 36, precision)
    assert sum(each.replayed for each in recorders) > 36
    run(tmp_path, "resumed", 20, precision)
    assert run(tmp_path, "resumed", 36, precision) == whole
