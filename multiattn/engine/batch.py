"""A batch: padded inputs and targets, and how targets are packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from multiattn.engine.trees import tree_map
from multiattn.errors import UserError
from multiattn.symbols import BOS


def rounded_up(length: int) -> int:
    """The bucket of a length: the next multiple of 4, above 32 of an eighth of a power of two.

    A GPU works on lengths of buckets, so that a few shapes serve a whole training.
    """
    step = max(4, 1 << max(0, (length - 1).bit_length() - 4))
    return -(-length // step) * step


@dataclass(frozen=True)
class Targets:
    """Target token ids (B, T), int64: words, EOS, then PAD; lengths (B,) include EOS.

    packing: may be given; computing it on a GPU means waiting for the GPU.
    """

    tokens: Tensor
    lengths: Tensor
    packing: Packing | None = None

    def packed(self) -> Targets:
        """The same targets with their packing."""
        return self if self.packing else replace(self, packing=Packing.of(self.lengths))

    def inputs(self) -> Tensor:
        """(B, T): the decoder inputs that predict ``tokens``, that is BOS and then the words."""
        start = torch.full_like(self.tokens[:, :1], BOS)
        return torch.cat([start, self.tokens[:, :-1]], 1)


@dataclass(frozen=True)
class Packing:
    """The M real positions of a batch of targets, time-major, rows by decreasing length.

    order: (B,) row indices in sorted order; counts: number of rows alive at each step.
    For each position: places (M,), index into the sorted rows; rows (M,), index into the batch;
    steps (M,).
    """

    order: Tensor
    counts: tuple[int, ...]
    places: Tensor
    rows: Tensor
    steps: Tensor

    @classmethod
    def of(cls, lengths: Tensor) -> Packing:
        """Build the packing from target lengths (B,)."""
        order = torch.argsort(lengths, descending=True, stable=True)
        alive = (
            torch.arange(int(lengths.max()), device=lengths.device).unsqueeze(1) < lengths[order]
        )
        steps, places = alive.nonzero(as_tuple=True)  # (T, B) -> (M,), (M,)
        return cls(order, tuple(alive.sum(1).tolist()), places, order[places], steps)


@dataclass(frozen=True)
class Inputs:
    """One source of a batch, for the R examples that have it.

    values: (R, L, …) padded; lengths: (R,); rows: (R,) their positions in the batch, ascending.
    features: whether ``values`` are outputs of the encoder's frozen part (``data/features``).
    """

    values: Tensor
    lengths: Tensor
    rows: Tensor
    features: bool = False


@dataclass(frozen=True)
class Batch:
    """A batch of B examples. A source that no example of the batch has is left out.

    ids: B example ids; targets: None when the batch is only decoded.
    references: all acceptable outputs of each example; empty if they are not known.
    """

    ids: tuple[str, ...]
    sources: Mapping[str, Inputs]
    targets: Targets | None = None
    references: tuple[tuple[str, ...], ...] = ()

    @property
    def size(self) -> int:
        """The number of examples B."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        to_gpu = torch.device(device).type == "cuda"  # where a copy need not be waited for
        batch = self.for_gpu() if to_gpu else self
        moved: Batch = tree_map(lambda leaf: leaf.to(device, non_blocking=to_gpu), batch)
        return moved

    def pin_memory(self) -> Batch:
        """Return the same batch for a GPU, in page-locked memory. The data loader calls this."""
        pinned: Batch = tree_map(lambda leaf: leaf.pin_memory(), self.for_gpu())
        return pinned

    def for_gpu(self) -> Batch:
        """Return the same batch with packed targets."""
        return self if self.targets is None else replace(self, targets=self.targets.packed())

    def describe(self) -> str:
        """Describe the batch's size and examples, for an out-of-memory message."""
        parts = [f"{name} {tuple(inputs.values.shape)}" for name, inputs in self.sources.items()]
        if self.targets is not None:
            parts.append(f"target {tuple(self.targets.tokens.shape)}")
        return f"{self.size} examples ({self.ids[0]} … {self.ids[-1]}): " + ", ".join(parts)


def require_targets(batch: Batch) -> Targets:
    """The targets of a training batch. Raises TypeError if it has none."""
    if batch.targets is None:
        raise TypeError("expected a batch with targets, got one to be decoded")
    return batch.targets


def target_tokens(batch: Batch) -> float:
    """Count the target tokens of a batch, EOS included."""
    return float(require_targets(batch).lengths.sum())


@contextmanager
def out_of_memory_as_user_error(batch: Batch | None, remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error into a UserError that names the batch and the remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        what = "nothing" if batch is None else batch.describe()
        raise UserError(
            f"expected a batch that fits into memory, got {what}, which does not; {remedy}"
        ) from error


def _out_of_memory(error: Exception) -> bool:
    known = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, known) or "can't allocate memory" in str(error)
