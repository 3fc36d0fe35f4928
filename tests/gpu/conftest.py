"""Tests that need an NVIDIA GPU; without one they are skipped."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(items) -> None:
    here = __file__.rpartition("conftest.py")[0]
    for item in items:
        if str(item.path).startswith(here) and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(autouse=True)
def _child_processes_train_on_the_gpu(monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "0")  # the other tests stay on the CPU
