"""Record the forward and backward of a function for one shape of its inputs, to be replayed.

A recording reads and writes fixed addresses. Buffers for inputs, outputs and gradients are shared
by all shapes, and so is the memory for what lies between (a pool).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from multiattn.engine.trees import leaves, with_leaves

log = logging.getLogger("multiattn.engine.fast.gpu.recording")

Function = Callable[..., Any]  # takes tensors, returns a tree of tensors
Replay = Callable[[], None]


class Recorder(Protocol):
    """Records what a function does, so that it can be done again on the same tensors."""

    def applies(self, device: torch.device) -> bool:
        """Whether work on this device is worth recording."""

    def rehearse(self, function: Callable[[], None]) -> None:
        """Run the function once. Raises RuntimeError if it reads a value back from the device."""

    def record(self, function: Callable[[], None]) -> Replay:
        """Record the function; the result repeats it. Raises RuntimeError if it cannot."""


class CUDARecorder:
    """Records CUDA graphs that share one memory pool."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._stream: Any = None

    def applies(self, device: torch.device) -> bool:
        return device.type == "cuda"

    def rehearse(self, function: Callable[[], None]) -> None:
        if self._stream is None:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with _reading_back_refused(), torch.cuda.stream(self._stream):
                function()
        finally:
            torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, function: Callable[[], None]) -> Replay:
        graph, failure = torch.cuda.CUDAGraph(), None
        try:
            # Other threads, which pin batches, may allocate meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                try:
                    function()
                except Exception as error:
                    failure = error
                    raise
        except Exception as error:  # the end of a capture that failed says nothing of the reason
            self._stream = None  # its memory pool stays as it is, so the next capture has its own
            if isinstance(failure, torch.OutOfMemoryError):
                raise failure from None
            raise RecordingError(str(failure or error)) from error
        return graph.replay


class RecordingError(RuntimeError):
    """A function that was rehearsed could not be recorded."""


@contextmanager
def _reading_back_refused() -> Iterator[None]:
    """Raise RuntimeError where the host would wait for the device."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


class Buffers:
    """Tensors at fixed addresses, shared by graphs of different shapes."""

    def __init__(self) -> None:
        self._largest: dict[Any, Tensor] = {}

    def like(self, place: Any, leaf: Tensor) -> Tensor:
        """The buffer of a place, in the shape of ``leaf``; zero when it is made."""
        key = place, leaf.dtype
        if key not in self._largest or self._largest[key].numel() < leaf.numel():
            self._largest[key] = leaf.new_zeros(leaf.numel())
        return self._largest[key][: leaf.numel()].view(leaf.shape)


@dataclass
class Recording:
    """Forward and backward for one shape. Only ``differentiable`` outputs have a gradient.

    tree: of the outputs, without their numbers. received: which parameters get a gradient;
    d_parameters: these gradients, flat, of the shapes ``sizes``.
    """

    inputs: list[Tensor]
    outputs: list[Tensor] = field(default_factory=list)
    tree: Any = None
    differentiable: list[bool] = field(default_factory=list)
    d_outputs: list[Tensor] = field(default_factory=list)
    d_inputs: list[Tensor | None] = field(default_factory=list)
    received: list[bool] = field(default_factory=list)
    d_parameters: Tensor | None = None
    sizes: list[torch.Size] = field(default_factory=list)
    forward: Replay = lambda: None
    backward: Replay = lambda: None

    def parameter_gradients(self) -> list[Tensor | None]:
        """A copy, which outlives the next replay; None for a parameter without a gradient."""
        flat = self.d_parameters
        parts = iter([] if flat is None else pieces(flat.clone(), self.sizes))
        return [next(parts) if received else None for received in self.received]


def record(
    function: Function,
    inputs: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    buffers: Buffers,
    recorder: Recorder,
) -> Recording:
    """Rehearse both directions, then record them. Raises RuntimeError if that is impossible."""
    try:
        return _record(function, inputs, parameters, buffers, recorder)
    except RecordingError as error:  # as happens to the first backward that a process captures
        log.debug("recording once more: %s", error)
        return _record(function, inputs, parameters, buffers, recorder)


def _record(
    function: Function,
    inputs: Sequence[Tensor],
    parameters: Sequence[nn.Parameter],
    buffers: Buffers,
    recorder: Recorder,
) -> Recording:
    fixed = [buffers.like(("input", place), leaf.detach()) for place, leaf in enumerate(inputs)]
    copy_all(fixed, inputs)
    work = _Work(
        function, [leaf.requires_grad for leaf in inputs], parameters, buffers, Recording(fixed)
    )
    recorder.rehearse(work.forward)
    learns = any(work.recording.differentiable)
    if learns:
        recorder.rehearse(work.backward)
    work.recording.forward = recorder.record(work.forward)
    if learns:
        work.recording.backward = recorder.record(work.backward)
    work.live = [], []  # what lies between goes back to the pool
    return work.recording


@dataclass
class _Work:
    """What is recorded. live: the inputs and outputs between a forward and its backward."""

    function: Function
    learned: list[bool]
    parameters: Sequence[nn.Parameter]
    buffers: Buffers
    recording: Recording
    live: tuple[list[Tensor], list[Tensor]] = field(default_factory=lambda: ([], []))

    def forward(self) -> None:
        recording = self.recording
        entering = [
            leaf.detach().requires_grad_(learned)
            for leaf, learned in zip(recording.inputs, self.learned, strict=True)
        ]
        with torch.enable_grad():
            # Views: autocast would keep its cast of a leaf, and add up gradients in that precision.
            tree = self.function(*(leaf.view_as(leaf) for leaf in entering))
        made = leaves(tree)
        if not recording.outputs:
            recording.tree = with_leaves(tree, [leaf.new_empty(0) for leaf in made])
            recording.differentiable = [leaf.requires_grad for leaf in made]
            recording.outputs = self._buffers_like("output", made)
            learning = [leaf for leaf in made if leaf.requires_grad]
            recording.d_outputs = self._buffers_like("d_output", learning)
        copy_all(recording.outputs, [leaf.detach() for leaf in made])
        self.live = (
            [leaf for leaf in entering if leaf.requires_grad],
            [leaf for leaf in made if leaf.requires_grad],
        )

    def backward(self) -> None:
        entering, made = self.live
        with warnings.catch_warnings():
            # Gradients are not accumulated here, so their streams need not match.
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream")
            gradients = torch.autograd.grad(
                made, [*entering, *self.parameters], self.recording.d_outputs, allow_unused=True
            )
        self.live = [], []
        self._keep(gradients[: len(entering)], gradients[len(entering) :])

    def _keep(self, inputs: Sequence[Tensor | None], parameters: Sequence[Tensor | None]) -> None:
        recording = self.recording
        received = [leaf for leaf in parameters if leaf is not None]
        if not recording.received:
            recording.received = [leaf is not None for leaf in parameters]
            recording.sizes = [leaf.shape for leaf in received]
            recording.d_inputs = [
                None if leaf is None else self.buffers.like(("d_input", place), leaf)
                for place, leaf in enumerate(inputs)
            ]
            if received:
                flat = received[0].new_empty(sum(leaf.numel() for leaf in received))
                recording.d_parameters = self.buffers.like("d_parameters", flat)
        copy_all(_present(recording.d_inputs), _present(inputs))
        if recording.d_parameters is not None:
            copy_all(pieces(recording.d_parameters, recording.sizes), received)

    def _buffers_like(self, kind: str, leaves: Sequence[Tensor]) -> list[Tensor]:
        return [
            self.buffers.like((kind, place), leaf.detach()) for place, leaf in enumerate(leaves)
        ]


def _present(leaves: Sequence[Tensor | None]) -> list[Tensor]:
    return [leaf for leaf in leaves if leaf is not None]


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source to its target, in as few kernels as their types allow."""
    if targets:
        torch._foreach_copy_(list(targets), [leaf.detach() for leaf in sources])


def pieces(flat: Tensor, sizes: Sequence[torch.Size]) -> list[Tensor]:
    """Views of a flat tensor, one of each size."""
    parts = torch.split(flat, [size.numel() for size in sizes])
    return [part.view(size) for part, size in zip(parts, sizes, strict=True)]
