"""Run part of a model, forward and backward, as CUDA graphs: one pair per shape of its inputs.

    captured = Captured("the decoder")
    outputs = captured(function, inputs, module, key)        the same as function(*inputs)

A kernel costs the host several microseconds to launch, and a step of training takes thousands; a
graph replays them all at once. A shape runs as it is when it is met first, and is captured when it
is met again. What cannot be captured runs as it is for good, which is logged once: a function that
reads a value back from the device, or a shape that is too large for the memory.

All graphs of a ``Captured`` share their memory, so only one call can be between its forward and its
backward at a time; a second one meanwhile runs as it is.
"""

from __future__ import annotations

import logging
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.fast.gpu.recording import (
    Buffers,
    CUDARecorder,
    Function,
    Recorder,
    Recording,
    copy_all,
    record,
)
from multiattn.engine.trees import tree_map, with_leaves

log = logging.getLogger("multiattn.engine.fast.gpu.graphs")

MOST_GRAPHS = 128  # of one ``Captured``; the one not used for longest is dropped


class Captured:
    """A part of a model that runs as CUDA graphs where it can. A copy starts without any.

    refused: why it cannot, once that is known.
    """

    def __init__(self, name: str, recorder: Recorder | None = None) -> None:
        self.name = name
        self.refused: str | None = None
        self.recorder: Recorder = CUDARecorder() if recorder is None else recorder
        self.recordings: OrderedDict[Any, Recording] = OrderedDict()
        self._met: set[Any] = set()
        self._too_large: set[Any] = set()
        self._parameters: list[nn.Parameter] | None = None  # the module's, found once
        self._buffers = Buffers()
        self._in_flight: Any = None  # a weak reference to the call whose backward is still to come

    def __deepcopy__(self, memo: Any) -> Captured:
        return Captured(self.name)

    def __reduce__(self) -> Any:
        return Captured, (self.name,)

    def applies(self, device: torch.device) -> bool:
        """Whether work on this device is worth capturing: on an NVIDIA GPU."""
        return self.recorder.applies(device)

    def __call__(
        self, function: Function, inputs: Sequence[Tensor], module: nn.Module, key: Any = None
    ) -> Any:
        """The same as ``function(*inputs)``, which uses the parameters of ``module``.

        The module is the same in every call, and so are its parameters; their values may change.
        key: whatever else the function depends on; of the inputs it may depend on shapes alone.
        """
        device = inputs[0].device
        if not self.applies(device):
            return function(*inputs)
        function = _as_recorded(function, device.type)
        if self.refused or self._busy() or not torch.is_grad_enabled():
            return function(*inputs)
        if self._parameters is None:
            self._parameters = list(module.parameters())
        parameters = [each for each in self._parameters if each.requires_grad]
        recording = self._recording(function, inputs, module, parameters, key)
        if recording is None:
            return function(*inputs)
        outputs = _Replayed.apply(self, recording, *inputs, *parameters)  # type: ignore[no-untyped-call]
        return with_leaves(recording.tree, outputs)

    def start(self) -> object:
        """Mark the memory as used for as long as the returned object is alive."""
        call = _Call()
        self._in_flight = weakref.ref(call)
        return call

    def _busy(self) -> bool:
        return self._in_flight is not None and self._in_flight() is not None

    def _recording(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        module: nn.Module,
        parameters: Sequence[nn.Parameter],
        key: Any,
    ) -> Recording | None:
        """The recording for these shapes, made when they are met for the second time."""
        device = inputs[0].device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        shapes = tuple((leaf.shape, leaf.dtype, leaf.requires_grad) for leaf in inputs)
        pointers = tuple(leaf.data_ptr() for leaf in parameters)
        whole = shapes, autocast, key, module.training, pointers
        if whole in self.recordings:
            self.recordings.move_to_end(whole)
            return self.recordings[whole]
        if whole in self._too_large:
            return None
        if whole not in self._met:
            self._met.add(whole)
            return None
        try:
            recording = self._capture(function, inputs, module, parameters)
        except torch.OutOfMemoryError:
            self._too_large.add(whole)
            log.warning(
                "%s: too little memory to capture inputs of the shapes %s; they run without a "
                "CUDA graph, which is slower",
                self.name,
                ", ".join(str(tuple(leaf.shape)) for leaf in inputs),
            )
            return None
        if recording is not None:
            self.recordings[whole] = recording
            if len(self.recordings) > MOST_GRAPHS:
                self.recordings.popitem(last=False)
        return recording

    def _capture(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        module: nn.Module,
        parameters: Sequence[nn.Parameter],
    ) -> Recording | None:
        """A new recording, None if there can be none. Raises OutOfMemoryError."""
        device = inputs[0].device
        try:
            # A backward runs without autocast; the forward turns it on for itself.
            with _undone(module, device), torch.autocast(device.type, enabled=False):
                return record(function, inputs, parameters, self._buffers, self.recorder)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.refused = str(error).strip().splitlines()[0]
            log.warning("%s runs without CUDA graphs, which is slower: %s", self.name, self.refused)
        return None


class _Call:
    """A call that has run forward and not yet backward."""


class _Replayed(torch.autograd.Function):
    """One replay: inputs and parameters in, outputs out."""

    @staticmethod
    def forward(ctx: Any, captured: Captured, recording: Recording, *given: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        copy_all(recording.inputs, given[: len(recording.inputs)])
        recording.forward()
        ctx.recording, ctx.call = recording, captured.start()
        outputs = tuple(leaf.detach() for leaf in recording.outputs)
        fixed = zip(outputs, recording.differentiable, strict=True)
        ctx.mark_non_differentiable(*(leaf for leaf, learns in fixed if not learns))
        return outputs

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> Any:
        recording: Recording = ctx.recording
        arrived = zip(d_outputs, recording.differentiable, strict=True)
        gradients = [d_output for d_output, learns in arrived if learns]
        for buffer, d_output in zip(recording.d_outputs, gradients, strict=True):
            buffer.zero_() if d_output is None else buffer.copy_(d_output)
        recording.backward()
        ctx.call = None
        d_inputs = iter(recording.d_inputs)
        needed = ctx.needs_input_grad[2 : 2 + len(recording.inputs)]
        inputs = [next(d_inputs) if need else None for need in needed]
        return (
            None,
            None,
            *(None if leaf is None else leaf.detach() for leaf in inputs),
            *recording.parameter_gradients(),
        )


def _as_recorded(function: Function, device: str) -> Function:
    """The function such that a plain call gives the bits of a replay.

    Its tensors are contiguous, and it runs under the autocast that is on, with casts of weights
    that no other function shares.
    """
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def run(*inputs: Tensor) -> Any:
        torch.clear_autocast_cache()
        with torch.autocast(device, dtype=dtype, enabled=enabled):
            outputs = function(*(leaf.contiguous() for leaf in inputs))
        torch.clear_autocast_cache()
        return tree_map(Tensor.contiguous, outputs)

    return run


@contextmanager
def _undone(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Undo what a rehearsal does to the random numbers to come and to the module's buffers."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)
        for buffer, kept in before:
            buffer.copy_(kept)
