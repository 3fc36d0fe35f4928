"""How an output reads a source: how sharply, how much of it, in which order, and whether in a loop.

All from the weights of attention, so they say where the model looked, not whether it was right.

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from multiattn.engine.layouts import Layout
from multiattn.search.diagnostics.skipped import CTCOutput, skipped_stretch
from multiattn.search.diagnostics.unread import unread_stretch
from multiattn.search.hypotheses import Hypothesis

REPEATS = 3  # times in a row that the same tokens are a loop, if the attention stays
LONGEST_LOOP = 12  # tokens
STEP = 0.5  # slots per repetition: attention that moves on by less stays
BACK = 1.0  # slots: a smaller step back is none
COUNTED = ("unread", "looping", "skipped")


@dataclass(frozen=True)
class Reading:
    """How one output reads one source.

    entropy: of a token's weights in bits, the mean over tokens; 0 if each looks at one slot.
    coverage: 0-1, 1 if all slots get equal attention; a slot counts as much as it gets of its
        share, but no more (Tu et al. 2016).
    monotonicity: 0-1, the share of tokens that look no more than a slot before the one before them.
    reached: 0-1, how far the furthest token looks.
    unread: slots in a row that got little attention (``unread_stretch``). looping: tokens that
        repeat those before them without moving on. skipped: tokens in a row that the CTC head finds
        and the output lacks (``skipped_stretch``).
    monotonicity, reached, unread and looping are None for what is not read from end to end, such as
    an image; unread also if nothing is known of the training outputs, skipped without such a head.
    """

    entropy: float
    coverage: float
    monotonicity: float | None = None
    reached: float | None = None
    unread: int | None = None
    looping: int | None = None
    skipped: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The values that there are, rounded."""
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {name: value for name, value in rounded.items() if value is not None}


def reading(
    weights: Tensor,
    tokens: Sequence[int],
    *,
    in_order: bool,
    tokens_per_slot: float | None = None,
    ctc: CTCOutput | None = None,
) -> Reading:
    """How an output reads a source.

    weights: (T + 1, S), each row summing to 1. in_order: whether the source is read from end to
    end. tokens_per_slot: see ``unread_stretch``. ctc: the output of the source's CTC head.
    """
    weights = weights.double()  # (T + 1, S)
    steps, slots = weights.shape
    entropy = -torch.special.xlogy(weights, weights).sum(1) / math.log(2)  # (T + 1,)
    share = weights.sum(0) * slots / steps  # (S,), 1 where a slot gets its share
    whole = Reading(float(entropy.mean()), float(share.clamp(max=1).mean()))
    if not in_order:
        return whole
    centres = weights @ torch.arange(slots, dtype=weights.dtype)  # (T + 1,)
    forward = centres.diff() >= -BACK
    return Reading(
        whole.entropy,
        whole.coverage,
        float(forward.double().mean()) if len(forward) else 1.0,
        float(centres.max()) / max(1, slots - 1),
        None if tokens_per_slot is None else len(unread_stretch(weights, tokens_per_slot)),
        len(looping_tokens(weights, tokens)),
        None if ctc is None else skipped_stretch(ctc, tokens).tokens,
    )


def looping_tokens(weights: Tensor, tokens: Sequence[int]) -> range:
    """The longest stretch of tokens that repeat those before them while the attention stays.

    Three or more equal stretches in a row are a loop if their centre of attention moves on by less
    than half a slot each: "three three three" is none where three are spoken. The first of them is
    not part of it.
    """
    centres = (weights.double() @ torch.arange(weights.size(1), dtype=torch.double)).tolist()
    found = range(0)
    for period in range(1, min(LONGEST_LOOP, len(tokens) // REPEATS) + 1):
        start = 0
        while start + REPEATS * period <= len(tokens):
            end = start + period
            while end < len(tokens) and tokens[end] == tokens[end - period]:
                end += 1
            repeats = (end - start) // period
            if repeats >= REPEATS:
                last = start + (repeats - 1) * period
                moved = _mean(centres, last, period) - _mean(centres, start, period)
                if moved < STEP * (repeats - 1) and end - start - period > len(found):
                    found = range(start + period, end)
            start = max(start + 1, end - period + 1)
    return found


def _mean(values: Sequence[float], start: int, count: int) -> float:
    return sum(values[start : start + count]) / count


def readings(
    hypothesis: Hypothesis,
    layouts: Mapping[str, Layout],
    tokens_per_slot: Mapping[str, float | None],
    ctc: Mapping[str, CTCOutput],
) -> dict[str, Reading]:
    """How an output reads each source that it attends to."""
    return {
        source: reading(
            weights,
            hypothesis.tokens,
            in_order=layouts[source].kind != "grid",
            tokens_per_slot=tokens_per_slot.get(source),
            ctc=ctc.get(source),
        )
        for source, weights in hypothesis.attention.items()
        if weights.numel()
    }


def mean_reading(readings: Sequence[Reading]) -> dict[str, float]:
    """The means of a set; of ``COUNTED`` the number of outputs that have some."""
    means: dict[str, float] = {}
    for field in fields(Reading):
        values = [value for each in readings if (value := getattr(each, field.name)) is not None]
        if values and field.name in COUNTED:
            means[field.name] = sum(value > 0 for value in values)
        elif values:
            means[field.name] = round(sum(values) / len(values), 4)
    return means
