"""Which tokens may come next: lengths, prefixes, n-gram blocking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.symbols import BOS, EOS, PAD

# Tokens that ``max_length_ratio`` allows on top of the ratio: a source of two slots may need five.
LENGTH_RATIO_SLACK = 10


@dataclass(frozen=True)
class Constraints:
    """Which tokens may not come next, per input; leaves (B, …).

    A hypothesis at its limit can only end, so every hypothesis is complete and scores are
    comparable. A forced prefix overrides all other constraints; a limit overrides the minimum
    length.
    """

    limits: Tensor  # (B,) tokens, the end symbol not counted
    prefixes: Tensor  # (B, P), PAD where no token is forced
    min_length: int
    block_ngrams: int
    soonest: int  # the lowest limit

    def apply(self, scores: Tensor, step: int, written: Tensor | None) -> None:
        """Set ``scores`` (B, N, V) of forbidden tokens at ``step`` to -inf, in place.

        written: (B, N, step), the tokens so far; None if no n-grams are blocked.
        """
        forcing = step < self.prefixes.shape[1]
        if forcing:
            forced = self.prefixes[:, step, None, None].expand(-1, scores.shape[1], 1)  # (B, N, 1)
            kept = scores.gather(2, forced)
        scores[..., PAD] = -math.inf
        scores[..., BOS] = -math.inf
        if written is not None:
            _block_ngrams(scores, written, self.block_ngrams)
        if step < self.min_length:
            scores[..., EOS].masked_fill_((self.limits > step)[:, None], -math.inf)
        if step >= self.soonest:
            scores[..., EOS + 1 :].masked_fill_((self.limits <= step)[:, None, None], -math.inf)
        if forcing:
            free = forced == PAD
            scores.masked_fill_(~free[:, :1], -math.inf)
            scores.scatter_(2, forced, kept.masked_fill(free, -math.inf))


def make_constraints(
    settings: SearchSettings,
    memories: Mapping[str, Memory],
    batch_size: int,
    prefixes: Sequence[Sequence[int]],
) -> Constraints:
    """The constraints of each input, which depend on its own slots and prefix alone.

    Raises UserError where prefixes and inputs differ in number, or a prefix contains PAD, BOS or
    EOS.
    """
    if prefixes and len(prefixes) != batch_size:
        raise UserError(
            f"expected a prefix for each of {batch_size} inputs, got {len(prefixes)}; "
            "use an empty prefix for an input without one"
        )
    if any(token in (PAD, BOS, EOS) for prefix in prefixes for token in prefix):
        raise UserError(
            f"expected words in a forced prefix, got one of the symbols {PAD}, {BOS}, {EOS} "
            "(padding, begin, end); encode the prefix without them"
        )
    lengths = torch.tensor([len(prefix) for prefix in prefixes] or [0] * batch_size)
    padded = torch.full((batch_size, int(lengths.max())), PAD)
    for row, prefix in enumerate(prefixes):
        padded[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.long)
    limits = torch.full((batch_size,), settings.max_length)
    if settings.max_length_ratio is not None and memories:
        slots = torch.stack([memory.mask.sum(1) for memory in memories.values()]).amax(0).cpu()
        limits = limits.minimum((slots * settings.max_length_ratio).long() + LENGTH_RATIO_SLACK)
    limits = limits.maximum(lengths)
    return Constraints(
        limits=limits,
        prefixes=padded,
        min_length=settings.min_length,
        block_ngrams=settings.block_ngrams,
        soonest=int(limits.min()),
    )


def _block_ngrams(scores: Tensor, written: Tensor, order: int) -> None:
    """Forbid every token that would repeat an n-gram of this order (Paulus 2018, section 2.5).

    scores: (B, N, V), changed in place; written: (B, N, t).
    """
    length = written.shape[2]
    if length < order:
        return
    grams = written.unfold(2, order, 1)  # (B, N, t - order + 1, order)
    tail = written[:, :, None, length - order + 1 :]  # (B, N, 1, order - 1)
    repeats = (grams[..., :-1] == tail).all(3)  # (B, N, t - order + 1)
    scores.scatter_(2, grams[..., -1].where(repeats, PAD), -math.inf)
