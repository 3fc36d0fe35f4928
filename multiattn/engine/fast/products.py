"""Matrix products of rows with weights: by oneDNN where PyTorch has it, else PyTorch's own.

In single precision PyTorch multiplies with MKL, which reaches half of the peak of some CPUs (on an
AMD EPYC 105 of 230 GFLOP/s), and rereads the weight for every few rows. oneDNN's operators are
internal to PyTorch, so they are tried on a small product first; if they are missing or wrong,
PyTorch's own products are used. The oneDNN products have no gradient: they are for autograd
functions with a hand-written backward, and for search.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS_HINT = 64  # oneDNN chooses its layout for about this many rows; any number works


@functools.cache
def packing_works() -> bool:
    """Whether this build has oneDNN's operators and they agree with ``F.linear``.

    The check must not draw from torch's generator: a resumed run makes it at another step.
    """
    try:
        numbers = torch.arange(27 * 16, dtype=torch.float).sin().view(27, 16)
        weight, rows = numbers[:24], numbers[24:]
        expected = F.linear(rows, weight)
        products = (
            packed_linear(rows, packed(weight)),
            packed_linear(rows, weight.t().clone().t()),
        )
        return all(torch.allclose(each, expected, atol=1e-5) for each in products)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


def packed(weight: Tensor) -> Tensor:
    """A weight (O, I) in oneDNN's preferred layout."""
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS_HINT)
    return laid_out


def packed_linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows (…, I) times a weight (O, I), packed or not: (…, O)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


class Factor:
    """A weight W (O, I) prepared to multiply rows (n, I) many times: rows Wᵀ (n, O).

    Rows are rounded to the weight's precision; the result is in the rows' own.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.packed = packed(weight) if _is_single_on_cpu(weight) and packing_works() else None

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, I) -> (n, O)."""
        if self.packed is not None:
            return packed_linear(rows, self.packed)
        return torch.mm(rows.to(self.weight.dtype), self.weight.t()).to(rows.dtype)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply left (n, K), rounded to right's precision, by right (K, X): (n, X), left's dtype."""
    if _is_single_on_cpu(left) and _is_single_on_cpu(right) and packing_works():
        return packed_linear(left, right.t())
    return torch.mm(left.to(right.dtype), right).to(left.dtype)


def _is_single_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32
