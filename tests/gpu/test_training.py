"""Training on a GPU: the CPU's numbers, captured or named, and the same bits every time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from tiny_runs import RECIPE, log_of, start, trained

from multiattn.engine.attention import Additive, Dot, Multiplicative, ScaledDot
from multiattn.engine.attention_wrappers import Coverage, Gated, Location, MultiHead
from multiattn.engine.batch import Targets
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.memory import MemorySpec
from multiattn.engine.output_layer import Copy, Linear
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Adaptive, Conditional
from multiattn.engine.trees import tree_map

additive = partial(Additive, dim=32)
RECURRENCES = {
    "bahdanau": Bahdanau,
    "luong": Luong,
    "input feeding": InputFeeding,
    "input feeding, two layers": partial(InputFeeding, layers=2),
    "conditional": Conditional,
    "adaptive": partial(Adaptive, dim=32),
}
ATTENTIONS = {
    "additive": additive,
    "multiplicative": Multiplicative,
    "dot": Dot,
    "scaled dot": partial(ScaledDot, dim=32),
    "location": partial(Location, of=additive, filters=4, width=7),
    "coverage": partial(Coverage, of=additive),
    "gated": partial(Gated, of=additive),
    "heads": partial(MultiHead, of=ScaledDot, heads=2),
}
DECODER = {**RECIPE["decoder"], "attention": {"name": "additive", "dim": 32}}
LENGTHS, WORDS = [11, 3, 7, 1, 9], [6, 2, 9, 1, 5]


def batch(memory_of):
    lengths = torch.tensor(WORDS)
    tokens = torch.randint(4, 50, (len(WORDS), max(WORDS)))
    tokens[torch.arange(max(WORDS)) >= lengths.unsqueeze(1)] = 0
    return Targets(tokens, lengths), {"text": memory_of(LENGTHS, 48, summary=16)}


def results(decoder, targets, memories):
    """Scores, weights, and the gradients of parameters and values."""
    output = decoder(targets, memories, keep=("weights",))
    loss = output.scores.log_softmax(-1).square().mean()
    for weights in output.kept["weights"].values():
        loss = loss + (weights * torch.linspace(0, 1, weights.shape[2]).to(weights)).mean()
    leaves = [*decoder.parameters(), *(memory.values for memory in memories.values())]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [output.scores, *output.kept["weights"].values(), *gradients]


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)
@pytest.mark.parametrize("recurrence", RECURRENCES.values(), ids=RECURRENCES)
def test_every_recurrence_and_attention_is_captured_and_gives_the_cpus_numbers(
    recurrence, attention, memory_of
):
    torch.manual_seed(1)
    decoder = LSTMDecoder(
        50,
        {"text": MemorySpec(48, 16)},
        embedding_dim=32,
        hidden_dim=48,
        recurrence=recurrence,
        attention=attention,
        output=Copy if attention is additive else Linear,
    )
    targets, memories = batch(memory_of)
    memories["text"].values.requires_grad_()
    expected = results(decoder, targets, memories)
    there = partial(tree_map, lambda leaf: leaf.detach().cuda().requires_grad_(leaf.requires_grad))
    decoder.cuda()
    for _ in range(3):
        found = results(decoder, there(targets.packed()), there(memories))
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one.cpu(), other, rtol=2e-3, atol=2e-4)
    assert decoder.captured.refused is None
    assert len(decoder.captured.recordings) == 1


WIDE = ("decoder.hidden_dim=32", "decoder.attention.dim=32", "training.log_every=5")


def run(folder: Path, name: str, steps: int, precision: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The weights and the log of a tiny run whose sizes suit the kernels."""
    settings = [f"training.steps={steps}", f"training.precision={precision}", *WIDE]
    overrides = [*settings, "training.schedule=constant", "training.validate_every=20"]
    AcceleratorState._reset_state(reset_partial_state=True)  # it holds the precision
    finished = trained(start(folder, overrides, name, decoder=DECODER))
    log = log_of(finished)
    assert log[0]["device"] == "cuda"
    return finished.weights.read_bytes(), log


@pytest.mark.parametrize("precision", ["no", "tf32", "bf16", "fp16"])
def test_two_runs_and_a_resumed_one_agree_to_the_last_bit(precision, tmp_path):
    whole = run(tmp_path, "one", 60, precision)
    assert run(tmp_path, "other", 60, precision) == whole
    run(tmp_path, "resumed", 40, precision)
    assert run(tmp_path, "resumed", 60, precision) == whole
