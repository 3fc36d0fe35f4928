"""How the Triton loop cuts its tensors, and the convolution of location attention as a product.

Letters: B rows, S slots, S' padded slots, K filters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_BLOCK = 512
TILE = 8192  # numbers that the threads of a program read at once
FEW_ROWS, MANY_SLOTS = 128, 64  # where a program per row would leave multiprocessors idle
KEYS_BLOCK, KEYS_TILE = 64, 32


class Shape(NamedTuple):
    """The sizes of one loop; ``filters`` is 0 without location, else a multiple of 16."""

    steps: int
    rows: int
    slots: int
    word_dim: int
    hidden_dim: int
    key_dim: int
    asked_dim: int
    filters: int
    fast: bool  # whether an approximate tanh is precise enough

    @property
    def all_slots(self) -> int:
        """S rounded up to a power of two, large enough for a matrix product."""
        return max(16, 1 << (self.slots - 1).bit_length())

    @property
    def padded_slots(self) -> int:
        """S rounded up, so that rows of weights in half precision are aligned."""
        return -(-self.slots // 8) * 8

    @property
    def cell_block(self) -> int:
        """Hidden units that a program of the cell's kernels handles; divides H."""
        return min(self.hidden_dim & -self.hidden_dim, 256)

    def widths(self, *names: str) -> dict[str, Any]:
        """Widths by name, as a kernel is compiled for them."""
        return {name: getattr(self, name) for name in ("key_dim", "asked_dim", "filters", *names)}

    def halves(self, first_dim: int, second_dim: int) -> list[tuple[int, dict[str, Any]]]:
        """The launches of one step of attention: programs per row, and how they cut their work.

        The first half reads a matrix (B, S, first_dim), the second one (B, S, second_dim).
        """
        common = {"all_slots": self.all_slots, "fast": self.fast}
        if self.rows < FEW_ROWS and self.slots > MANY_SLOTS:
            return self._separate_halves(common, first_dim, second_dim)
        first, second = block_of(first_dim), block_of(second_dim)
        tiles = [min(TILE // block, self.all_slots) for block in (first, second)]
        large = max(first * tiles[0], second * tiles[1]) >= TILE
        cuts = {
            "first_block": first,
            "first_tile": tiles[0],
            "second_block": second,
            "second_blocks": -(-second_dim // second),
            "second_tile": tiles[1],
        }
        halves = {"first_half": True, "second_half": True, "num_warps": 8 if large else 4}
        return [(1, {**cuts, **halves, **common})]

    def _separate_halves(
        self, common: dict[str, Any], first_dim: int, second_dim: int
    ) -> list[tuple[int, dict[str, Any]]]:
        cuts = {
            "first_block": block_of(first_dim, 128),
            "first_tile": 32,
            "second_block": block_of(second_dim, 64),
            "second_blocks": 1,
            "second_tile": 64,
            "num_warps": 4,
            **common,
        }
        programs = -(-self.slots // 32), -(-second_dim // cuts["second_block"])
        return [
            (programs[0], {**cuts, "first_half": True, "second_half": False}),
            (programs[1], {**cuts, "first_half": False, "second_half": True}),
        ]


def block_of(width: int, largest: int = LARGEST_BLOCK) -> int:
    """Columns that are read at once: a power of two that pads the width by a quarter at most."""
    block = largest
    while -(-width // block) * block * 4 > 5 * width:
        block //= 2
    return block


def reach_of(mask: Tensor) -> Tensor:
    """One more than each row's last real slot, 0 without one: (B, S) -> (B,) int32."""
    numbers = torch.arange(1, mask.size(1) + 1, dtype=torch.int32, device=mask.device)
    return (mask * numbers).amax(1)


def toeplitz(convolution: Tensor, slots: int, filters: int) -> Tensor:
    """A convolution (K, 1, width) of S' weights as a product: (S', S' · filters).

    Row s' and column (s, k) hold what weight s' adds to the output of filter k at slot s.
    """
    count, _, width = convolution.shape
    margin = slots - 1 - width // 2
    offsets = F.pad(convolution[:, 0], (margin, margin))  # (K, 2S' - 1), cropped if wider
    windows = offsets.unfold(1, slots, 1).flip(2)  # (K, S', S')
    blank = convolution.new_zeros(slots, slots, filters)
    blank[:, :, :count] = windows.permute(1, 2, 0)
    return blank.view(slots, slots * filters)


def convolution_gradient(d_toeplitz: Tensor, like: Tensor) -> Tensor:
    """Sum the gradient of ``toeplitz`` (S', S' · filters) over diagonals, as ``like`` (K, 1, W)."""
    slots = len(d_toeplitz)
    count, _, width = like.shape
    sheared = F.pad(d_toeplitz.view(slots, slots, -1).flip(1), (0, 0, 0, slots))  # (S', 2S', …)
    sheared = sheared.flatten(0, 1)[:-slots].view(slots, 2 * slots - 1, -1)
    offsets = sheared.sum(0, dtype=torch.float32).t()[:count]  # (K, 2S' - 1)
    margin = width // 2 - slots + 1
    return F.pad(offsets, (margin, margin)).unsqueeze(1).to(like.dtype)
