"""How well a step uses a GPU: its memory, and the share of the time in which it computes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable

import torch
from torch.profiler import ProfilerActivity, profile


def measure_gpu_use(step: Callable[[], None], device: torch.device) -> dict[str, float | str]:
    """Take a step; return the GPU's name, the memory held in GiB, and the kernels' share."""
    torch.cuda.synchronize(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the profiler, about itself
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            begin = time.perf_counter()
            step()
            torch.cuda.synchronize(device)
            microseconds = 1e6 * (time.perf_counter() - begin)
        spans = [
            (event.time_range.start, event.time_range.end)
            for event in profiler.events() or []
            if event.device_type.name == "CUDA"
        ]
    return {
        "gpu": torch.cuda.get_device_name(device),
        "memory_gib": round(torch.cuda.memory_reserved(device) / 2**30, 2),
        "kernels_share": round(min(1.0, covered(spans) / microseconds), 3),
    }


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals: kernels may run at the same time."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
