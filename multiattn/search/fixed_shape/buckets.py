"""The buckets that shapes of a search are rounded up to, so that few graphs serve all batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from multiattn.engine.batch import rounded_up
from multiattn.engine.fast.gpu.padded import padded_memory, slot_bucket
from multiattn.engine.fast.gpu.recording import CUDARecorder, Recorder

RECORDERS: dict[str, Callable[[], Recorder]] = {"cuda": CUDARecorder}  # by type of device
SMALLEST_COMPACTED = 32  # inputs; a smaller batch takes a GPU as long


def batch_bucket(inputs: int) -> int:
    """A power of two up to 64, above that a multiple of an eighth of one."""
    return 1 << (inputs - 1).bit_length() if inputs <= 64 else rounded_up(inputs)


def compacted_bucket(size: int, unfinished: int) -> int | None:
    """The size to which a batch shrinks when so few inputs are left; None if it should not."""
    smaller = max(SMALLEST_COMPACTED, 1 << (unfinished - 1).bit_length())
    return smaller if smaller <= size // 2 else None


def applies(device: torch.device) -> bool:
    """Whether searches on this device are recorded."""
    return device.type in RECORDERS


def with_rounded_slots(memories: Any) -> Any:
    """Memories, or a list of them for an ensemble; on a GPU with as many slots as a bucket."""
    if not isinstance(memories, Mapping):
        return [with_rounded_slots(each) for each in memories]
    return {
        name: padded_memory(memory, len(memory.mask), slot_bucket(memory))
        if applies(memory.mask.device)
        else memory
        for name, memory in memories.items()
    }
