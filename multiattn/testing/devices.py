"""Checks of models on a device that computes nothing: shapes alone, by torch's FakeTensorMode.

The device is ``meta``, which every machine has. A model that makes a tensor on the CPU meets one of
another device there, as it would on a GPU.

Letters: B inputs, N hypotheses.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import SkipTest, mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from multiattn.engine.trees import tree_map
from multiattn.registry.host import Component, Host
from multiattn.testing.decoders import LENGTHS, decoder_of, memories_of
from multiattn.testing.encoders import encoder_of, example_of

DEVICE = "meta"
Work = Callable[[], None]
READS_VALUES = (DataDependentOutputException, DynamicOutputShapeException)


def encoder_works_on_any_device(host: Host, row: Component) -> None:
    """Every tensor that it makes is on the device of its inputs, every constant is a buffer."""
    _on_another_device(_error(_encode, host, row))


def encoder_fits_a_gpu_graph(host: Host, row: Component) -> None:
    """Informative: skipped, with the line, for one that reads values of tensors on the way."""
    _in_a_graph(_error(_encode, host, row))


def decoder_works_on_any_device(host: Host, row: Component) -> None:
    """As for an encoder: ``begin`` and one ``step``."""
    _on_another_device(_error(_decode, host, row))


def decoder_step_fits_a_gpu_graph(host: Host, row: Component) -> None:
    """Informative: skipped, with the line, for one that reads values of tensors on the way."""
    _in_a_graph(_error(_decode, host, row))


@functools.lru_cache(maxsize=1)
def _error(
    prepare: Callable[[Host, Component], Work], host: Host, row: Component
) -> Exception | None:
    """What a model raises on the other device, if anything; the second check of it asks again.

    What it raises on the CPU is raised here.
    """
    work = prepare(host, row)
    try:
        work()
    except Exception as error:
        return error
    return None


def _encode(host: Host, row: Component) -> Work:
    """Encode on the CPU; return how to do so on the other device."""
    encoder = encoder_of(host, row)
    inputs, lengths = example_of(encoder)
    with torch.no_grad():
        encoder(inputs, lengths)

    def work() -> None:
        with _fake_device() as moved:
            _move_parameters(encoder, moved)
            encoder(moved(inputs), moved(lengths))

    return work


def _decode(host: Host, row: Component) -> Work:
    """Begin on the CPU; return how to begin and take a step on the other device."""
    decoder, memories = decoder_of(host, row), memories_of()
    with torch.no_grad():
        decoder.begin(memories, len(LENGTHS))

    def work() -> None:
        with _fake_device() as moved:
            _move_parameters(decoder, moved)
            shared, state = decoder.begin(tree_map(moved, memories), len(LENGTHS))
            tokens = torch.full((len(LENGTHS), 1), 4, device=DEVICE)  # (B, N)
            decoder.step(tokens, state, shared)

    return work


@contextmanager
def _fake_device() -> Iterator[Callable[[Tensor], Tensor]]:
    """Compute shapes only; gives a function that moves a tensor to the device."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    begin = torch.autocast.__init__

    def on_cpu(self: Any, device_type: str, *arguments: Any, **options: Any) -> None:
        begin(self, "cpu" if device_type == DEVICE else device_type, *arguments, **options)

    with mock.patch.object(torch.autocast, "__init__", on_cpu), torch.no_grad(), mode:
        yield lambda tensor: mode.from_tensor(tensor.detach()).to(DEVICE)


def _move_parameters(module: nn.Module, moved: Callable[[Tensor], Tensor]) -> None:
    """Replace every parameter and buffer; what is neither stays on the CPU, as with ``to``."""
    for each in module.modules():
        for name, parameter in each.named_parameters(recurse=False):
            setattr(each, name, nn.Parameter(moved(parameter), requires_grad=False))
        for name, buffer in each.named_buffers(recurse=False):
            setattr(each, name, moved(buffer))


def _on_another_device(error: Exception | None) -> None:
    if error is None:
        return
    if isinstance(error, READS_VALUES):
        raise SkipTest(f"cannot be tried on another device, as it {_where(error)}") from error
    sentence = " ".join(str(error).split())
    if "device" not in sentence:
        raise SkipTest(f"cannot be tried on another device: {sentence[:200]}") from error
    raise AssertionError(
        "expected every tensor on the device of the inputs, got "
        f"{sentence.partition(', found ')[2] or sentence} where it {_where(error)}; make "
        "tensors with device=inputs.device, and constants with register_buffer"
    ) from error


def _in_a_graph(error: Exception | None) -> None:
    if error is None:
        return
    if isinstance(error, READS_VALUES):
        raise SkipTest(f"a GPU graph cannot hold it, as it {_where(error)}") from error
    sentence = " ".join(str(error).split())
    raise SkipTest(f"whether a GPU graph can hold it is not known: {sentence[:200]}") from error


def _where(error: Exception) -> str:
    """The innermost line outside of torch that led to the error."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename.replace("\\", "/")
    ]
    last = frames[-1]
    file = last.filename.replace("\\", "/").rpartition("/")[2]
    does = "reads values of tensors in" if isinstance(error, READS_VALUES) else "runs"
    return f"{does} {file}, line {last.lineno} (`{last.line}`)"


ENCODER_CHECKS = (encoder_works_on_any_device, encoder_fits_a_gpu_graph)
DECODER_CHECKS = (decoder_works_on_any_device, decoder_step_fits_a_gpu_graph)
