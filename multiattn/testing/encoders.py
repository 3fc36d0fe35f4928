"""Conformance checks of encoders: a memory depends on its own input and on nothing else.

An encoder is tested on its own ``example_inputs()``. Its spec is made from the type of its
``input_spec``: that type's defaults, and a small number for a size without a default. If all
example inputs have the same length, the encoder does not support padding and is tested without it.

Letters: B batch, L input length, S slots, D memory width.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Sequence
from typing import Any, get_type_hints
from unittest import SkipTest

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.model import Model
from multiattn.registry.host import Component, Host
from multiattn.registry.schema import signature_of
from multiattn.testing.fixtures import (
    VOCABULARY,
    WIDTH,
    Subject,
    build,
    expect,
    expect_close,
    expect_gradients,
    expect_overfitting,
    expect_round_trip,
    negative_log_likelihood,
    targets_of,
)

FIRST = torch.tensor([0])
SIZE = 16  # for integer fields of a spec without a default


def spec_of(host: Host, row: Component) -> Any:
    """Make a spec of the type that the encoder's ``input_spec`` is annotated with."""
    target = host.target("encoder", row.full_name)
    parameter = signature_of(target).parameters.get("input_spec")
    spec = inspect.Parameter.empty if parameter is None else parameter.annotation
    if not (inspect.isclass(spec) and dataclasses.is_dataclass(spec)):
        given = "none" if spec is inspect.Parameter.empty else repr(spec)
        name = _spec_name(target, row)
        raise AssertionError(
            f"expected a dataclass as the type of input_spec of {row.record.target}, got {given}; "
            f"write `def __init__(self, input_spec: {name}, ...)`, where {name} is a dataclass of "
            "what the encoder reads of its reader's `spec`"
        )
    hints = get_type_hints(spec)
    sizes = {
        field.name: SIZE
        for field in dataclasses.fields(spec)
        if hints[field.name] is int and field.default is dataclasses.MISSING
    }
    try:
        return spec(**sizes)
    except TypeError as error:
        raise AssertionError(f"expected defaults in {spec.__name__}, got {error}") from error


def _spec_name(target: Any, row: Component) -> str:
    """The spec that the encoder's module defines, or else a name that one might have."""
    consumes = getattr(row.record, "consumes", "input")
    defined = [
        name
        for name, value in vars(sys.modules[target.__module__]).items()
        if name.endswith("Spec")
        and dataclasses.is_dataclass(value)
        and value.__module__ == target.__module__
    ]
    return defined[0] if defined else f"{consumes.title().replace('-', '')}Spec"


def spec_can_be_made_from_its_type(host: Host, row: Component) -> None:
    """``input_spec`` has a type, of which the suite can make an example."""
    spec_of(host, row)


def encoder_of(host: Host, row: Component, seed: int = 0) -> Any:
    """Build the encoder for its example spec."""
    return build(host, "encoder", row.full_name, spec_of(host, row), seed=seed)


def example_of(encoder: Any) -> tuple[Tensor, Tensor]:
    """Its example inputs (B, L, …) and lengths (B,), the same every time; floats as float64."""
    torch.manual_seed(3)
    inputs, lengths = encoder.example_inputs()
    return inputs.double() if inputs.is_floating_point() else inputs, lengths


def parts(memory: Memory) -> tuple[Tensor, ...]:
    """The floating-point tensors of a memory."""
    return (memory.values,) if memory.summary is None else (memory.values, memory.summary)


def memory_has_the_declared_width(host: Host, row: Component) -> None:
    """``out_dim`` and ``summary_dim`` are correct; decoders are built from them."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    memory: Memory = encoder(inputs, lengths)
    shape = tuple(memory.values.shape)
    expect(shape[::2] == (len(lengths), encoder.out_dim), f"expected (B, S, out_dim), got {shape}")
    expect(
        tuple(memory.mask.shape) == shape[:2] and memory.mask.dtype == torch.bool,
        f"expected a bool mask {shape[:2]}, got {memory.mask.dtype} {tuple(memory.mask.shape)}",
    )
    width = 0 if memory.summary is None else memory.summary.size(1)
    declared = getattr(encoder, "summary_dim", 0)
    expect(width == declared, f"expected a summary of width summary_dim {declared}, got {width}")
    expect(bool(memory.mask.any(1).all()), "expected a real slot for every input")
    expect(bool(memory.layout.kind), "expected a layout with a kind")


def padded_slots_are_zero(host: Host, row: Component) -> None:
    """A weight of 0 alone does not mask a padded slot, because 0 × NaN is NaN."""
    encoder = encoder_of(host, row)
    memory: Memory = encoder(*example_of(encoder))
    expect(not memory.values[~memory.mask].any(), "expected zeros in slots that are not real")


def padding_changes_no_memory(host: Host, row: Component) -> None:
    """Longer inputs in the same batch have no influence."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    if _of_one_length(lengths):
        return
    more = torch.cat([inputs, torch.zeros_like(inputs[:, :3])], 1)  # (B, L + 3, …)
    memory, wanted = encoder(more, lengths), encoder(inputs, lengths)
    slots = wanted.values.size(1)
    expect(not memory.mask[:, slots:].any(), "expected no real slots from padding")
    expect_close(memory.values[:, :slots], wanted.values, "expected padding to change no slot")
    if wanted.summary is not None:
        expect_close(memory.summary, wanted.summary, "expected padding to change no summary")


def batch_order_changes_no_memory(host: Host, row: Component) -> None:
    """Each input is encoded independently."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    turned = encoder(inputs.flip(0), lengths.flip(0))
    _expect_same(turned, encoder(inputs, lengths), range(len(lengths))[::-1])


def batching_changes_no_memory(host: Host, row: Component) -> None:
    """The other inputs of a batch and their lengths do not matter."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    together: Memory = encoder(inputs, lengths)
    one_length = _of_one_length(lengths)
    for index, length in enumerate(lengths.tolist()):
        own = inputs[[index]] if one_length else inputs[[index], :length]
        _expect_same(encoder(own, lengths[[index]]), together, [index])


def _of_one_length(lengths: Tensor) -> bool:
    return bool((lengths == lengths[0]).all())


def _expect_same(memory: Memory, together: Memory, indices: Sequence[int]) -> None:
    """Row i of ``memory`` is row ``indices[i]`` of ``together``, real slots only."""
    for row, index in enumerate(indices):
        actual, wanted = memory.values[row], together.values[index]
        expect_close(
            actual[memory.mask[row]],
            wanted[together.mask[index]],
            "expected an input's slots not to depend on the rest of its batch",
        )
        if memory.summary is not None and together.summary is not None:
            expect_close(memory.summary[row], together.summary[index], "expected the same summary")


def training_mixes_no_inputs(host: Host, row: Component) -> None:
    """In training too, a memory depends on its own input: so a step can be cut into shards."""
    encoder = encoder_of(host, row).train()
    inputs, lengths = example_of(encoder)
    others = torch.cat([inputs[:1], inputs[1:].flip(1)])  # the first input is the same
    first, second = (_encoded_in_training(encoder, each, lengths) for each in (inputs, others))
    try:
        _expect_same(first.select(FIRST), second, [0])
    except AssertionError as error:
        if first.mask.shape != second.mask.shape:  # other shapes draw other dropout
            raise SkipTest("the length of a memory depends on the values of its input") from error
        raise AssertionError(
            f"{error}, in training mode; normalise by layer or group instead of by batch, or keep "
            "the statistics frozen"
        ) from error


def _encoded_in_training(encoder: Any, inputs: Tensor, lengths: Tensor) -> Memory:
    """The memory, with the same random numbers at every call."""
    torch.manual_seed(4)
    with torch.no_grad():
        memory: Memory = encoder(inputs, lengths)
    return memory


def every_encoder_parameter_gets_a_gradient(host: Host, row: Component) -> None:
    """Gradients of slots and summary together; frozen parameters need none."""
    expect_gradients(_subject(host, row))


def encoder_state_dict_is_complete(host: Host, row: Component) -> None:
    """Another instance computes the same after loading the state dict."""
    expect_round_trip(_subject(host, row))


def _subject(host: Host, row: Component) -> Subject:
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    return Subject(
        encoder,
        functools.partial(encoder_of, host, row, seed=1),
        lambda module: parts(module(inputs, lengths)),
    )


def decoder_overfits_one_batch_through_it(host: Host, row: Component) -> None:
    """A decoder on top of the encoder can memorise a target for each input."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    memories = {"source": MemorySpec(encoder.out_dim, getattr(encoder, "summary_dim", 0))}
    small = {"embedding_dim": WIDTH, "hidden_dim": 4 * WIDTH}
    decoder: nn.Module = build(host, "decoder", "multiattn/lstm", VOCABULARY, memories, **small)
    model = Model({"source": encoder}, decoder, {})
    targets = targets_of([4 + index % 3 for index in range(len(lengths))])

    def loss() -> Tensor:
        output = decoder(targets, {"source": encoder(inputs, lengths)})
        return negative_log_likelihood(output, targets)

    expect_overfitting(model, loss)


CHECKS = (
    memory_has_the_declared_width,
    padded_slots_are_zero,
    padding_changes_no_memory,
    batch_order_changes_no_memory,
    batching_changes_no_memory,
    training_mixes_no_inputs,
    every_encoder_parameter_gets_a_gradient,
    encoder_state_dict_is_complete,
    decoder_overfits_one_batch_through_it,
)
