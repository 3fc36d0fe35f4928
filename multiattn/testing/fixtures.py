"""Helpers of the checks: small memories, targets, building components, comparing tensors.

Letters: B batch, S slots, D memory width, T target steps, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor, nn

from multiattn.engine.batch import Targets
from multiattn.engine.decoder import DecoderOutput
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, length_mask
from multiattn.engine.trees import tree_map
from multiattn.errors import UserError
from multiattn.registry.host import Host
from multiattn.registry.schema import Named
from multiattn.symbols import EOS, PAD, UNK

WIDTH = 64  # of queries and memories; equal because dot attention requires it
VOCABULARY = 11
TOLERANCE = 1e-9  # in float64: allows only for a different order of operations


def expect(condition: bool, sentence: str) -> None:
    """Raise an AssertionError with the sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def expect_close(
    actual: Tensor, wanted: Tensor, sentence: str, tolerance: float = TOLERANCE
) -> None:
    """Raise an AssertionError, with the greatest difference, if two tensors are not close."""

    def said(detail: str) -> str:
        greatest = re.search(r"Greatest absolute (difference: .*?) \(up to", detail)
        figures = greatest.group(1) if greatest else " ".join(detail.split())
        return f"{sentence}, got {figures.replace('difference:', 'a difference of')}"

    torch.testing.assert_close(actual, wanted, rtol=tolerance, atol=tolerance, msg=said)


def build(host: Host, kind: str, name: str, *supplied: object, seed: int = 0, **given: Any) -> Any:
    """Build a component with the given settings, else defaults; modules in float64 and eval."""
    named = Named.model_validate({**given, "name": name})
    mistakes = host.mistakes(kind, named, name)
    if mistakes and all("got none; give one" in mistake.sentence for mistake in mistakes):
        keys = [mistake.key.rpartition("/")[2] for mistake in mistakes]
        raise SkipTest(
            f"expected values of {', '.join(keys)}, which have no defaults, got none; run "
            f"`multiattn check` with {' '.join(f'--set {key}=VALUE' for key in keys)}"
        )
    torch.manual_seed(seed)
    try:
        built = host.build(kind, named, *supplied)
    except UserError as error:
        raise AssertionError(f"expected {name} to build with its defaults, got: {error}") from error
    return built.double().eval() if isinstance(built, nn.Module) else built


def memory_of(lengths: Sequence[int], *, seed: int = 0, symbols: bool = False) -> Memory:
    """Make a memory (B, S, D) of random slots; padded ones are zero, a length may be 0."""
    generator = torch.Generator().manual_seed(seed)
    slots = max(lengths)
    mask = length_mask(torch.tensor(lengths), slots)  # (B, S)
    shape = (len(lengths), slots)
    values = torch.randn(*shape, WIDTH, generator=generator, dtype=torch.float64)
    summary = torch.randn(len(lengths), WIDTH, generator=generator, dtype=torch.float64)
    ids = torch.randint(UNK, VOCABULARY, shape, generator=generator)
    return Memory(
        values * mask.unsqueeze(2),
        mask,
        Tokens(),
        summary * mask.any(1, keepdim=True),
        ids.masked_fill(~mask, -1) if symbols else None,
    )


def padded(memory: Memory, more: int) -> Memory:
    """The same memory with more padded slots."""
    return replace(
        memory,
        values=nn.functional.pad(memory.values, (0, 0, 0, more)),
        mask=nn.functional.pad(memory.mask, (0, more)),
        symbols=None
        if memory.symbols is None
        else nn.functional.pad(memory.symbols, (0, more), value=-1),
    )


def single(memory: Memory, row: int) -> Memory:
    """One row of a memory, cut to its real slots (or to one padded slot if it has none)."""
    slots = max(int(memory.mask[row].sum()), 1)
    alone = memory.select(torch.tensor([row]))
    return replace(
        alone,
        values=alone.values[:, :slots],
        mask=alone.mask[:, :slots],
        symbols=None if alone.symbols is None else alone.symbols[:, :slots],
    )


def targets_of(lengths: Sequence[int], *, seed: int = 0) -> Targets:
    """Make targets (B, T) of random words, each ending in EOS."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(UNK + 1, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    ends = torch.tensor(lengths)
    tokens = tokens.masked_fill(~length_mask(ends, max(lengths)), PAD)
    tokens[torch.arange(len(lengths)), ends - 1] = EOS
    return Targets(tokens, ends)


def log_probabilities(output: DecoderOutput, targets: Targets) -> Tensor:
    """Spread packed scores (M, V) over (B, T, V) log-probabilities, zero past each end."""
    spread = output.scores.new_zeros(*targets.tokens.shape, output.scores.size(-1))
    return spread.index_put((output.rows, output.steps), output.scores.log_softmax(-1))


def negative_log_likelihood(output: DecoderOutput, targets: Targets) -> Tensor:
    """The mean over real target tokens."""
    gold = targets.tokens[output.rows, output.steps]  # (M,)
    return nn.functional.nll_loss(output.scores.log_softmax(-1), gold)


def first_row_of(memories: Mapping[str, Memory], row: int) -> dict[str, Memory]:
    """The memories of one input alone."""
    return {name: single(memory, row) for name, memory in memories.items()}


def select(tree: Any, rows: Sequence[int]) -> Any:
    """Index the first dimension of every tensor of a tree."""
    return tree_map(lambda leaf: leaf[torch.tensor(rows)], tree)


@dataclass(frozen=True)
class Subject:
    """A module, a way to make another with different weights, and a function of its outputs."""

    module: nn.Module
    another: Callable[[], nn.Module]
    outputs: Callable[[nn.Module], Sequence[Tensor]]


def expect_gradients(subject: Subject) -> None:
    """Every parameter that needs a gradient gets one from the outputs."""
    parameters = {
        name: leaf for name, leaf in subject.module.named_parameters() if leaf.requires_grad
    }
    if not parameters:
        return
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64)
    for leaf in subject.outputs(subject.module):
        total = total + (leaf * torch.randn(leaf.shape, generator=generator)).sum()
    total.backward()  # type: ignore[no-untyped-call]
    missing = [name for name, leaf in parameters.items() if leaf.grad is None]
    expect(not missing, f"expected a gradient for every parameter, got none for {missing}")


def expect_round_trip(subject: Subject) -> None:
    """A module with different weights computes the same after loading the state dict."""
    another = subject.another()
    another.load_state_dict(subject.module.state_dict())
    pairs = zip(subject.outputs(another), subject.outputs(subject.module), strict=True)
    for actual, wanted in pairs:
        expect_close(
            actual, wanted, "expected the state dict to hold everything that outputs depend on"
        )


def expect_overfitting(module: nn.Module, loss: Callable[[], Tensor], steps: int = 300) -> None:
    """Training on one batch brings its loss below a tenth of a nat per token."""
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if value.item() < 0.1:
            return
    raise AssertionError(
        f"expected one batch to be memorised in {steps} steps, got a loss of {value:.3f}"
    )
