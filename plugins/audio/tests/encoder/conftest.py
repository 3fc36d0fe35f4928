"""Shared by the encoder's tests: double precision, and batches of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from multiattn.layers import length_mask


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def noise_batch() -> Callable[..., tuple[Tensor, Tensor]]:
    """Make noise of the given lengths, padded with zeros to ``samples`` or the longest."""

    def make(*lengths: int, samples: int = 0) -> tuple[Tensor, Tensor]:
        counts = torch.tensor(lengths)
        mask = length_mask(counts, samples or max(lengths))
        return (0.1 * torch.randn(mask.shape)).masked_fill(~mask, 0.0), counts

    return make
