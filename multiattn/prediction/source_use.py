"""How much each source counted for each token: what the decoder's fusion and gates say.

The search does not record it, so the decoder reads the output again, step by step.

Letters: T output tokens, K sources, Q query width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from multiattn.engine.attention_wrappers import GatedAttention
from multiattn.engine.fusion import WeighingFusion
from multiattn.engine.memory import Memory
from multiattn.symbols import BOS

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class SourceUse:
    """Per source a value for each token and the end, T + 1.

    shares: of the fused context, so that those of all sources sum to 1. gates: how much of its
    context a gated attention lets through, 0 to 1.
    """

    shares: Values
    gates: Values


def weighs(decoder: nn.Module) -> bool:
    """Whether a decoder has anything that ``source_use`` can tell."""
    return any(
        isinstance(module, WeighingFusion) or any(True for _ in _gated(module))
        for module in decoder.modules()
    )


@torch.inference_mode()
def source_use(decoder: Any, memories: Mapping[str, Memory], tokens: Sequence[int]) -> SourceUse:
    """How an output uses its sources. memories: of one input, leaves (1, S, …); tokens: T ids."""
    shares: dict[str, list[float]] = {}
    gates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        for module in decoder.modules():
            if isinstance(module, WeighingFusion):
                stack.enter_context(_seen(module, _shares_into(module, shares)))
            for source, attention in _gated(module):
                stack.enter_context(_seen(attention, _gate_into(attention, source, gates)))
        shared, state = decoder.begin(memories, 1)
        device = next(decoder.parameters()).device
        for token in (BOS, *tokens):
            _, state, _ = decoder.step(torch.tensor([[token]], device=device), state, shared)
    return SourceUse(shares, gates)


def _gated(module: nn.Module) -> Iterator[tuple[str, GatedAttention]]:
    """The gated attentions of a fusion, with their sources."""
    attentions = getattr(module, "attentions", None)
    if isinstance(attentions, nn.ModuleDict):
        for source, attention in attentions.items():
            if isinstance(attention, GatedAttention):
                yield source, attention


def _shares_into(fusion: Any, shares: dict[str, list[float]]) -> Callable[..., None]:
    def see(_: object, inputs: tuple[Any, ...]) -> None:
        values = fusion.shares(*inputs)[0, 0].tolist()  # (K,)
        for source, value in zip(fusion.attentions, values, strict=True):
            shares.setdefault(source, []).append(value)

    return see


def _gate_into(
    attention: GatedAttention, source: str, gates: dict[str, list[float]]
) -> Callable[..., None]:
    def see(_: object, inputs: tuple[Any, ...]) -> None:
        gates.setdefault(source, []).append(float(attention.openness(inputs[0])[0, 0]))

    return see


@contextmanager
def _seen(module: Any, see: Callable[..., None]) -> Iterator[None]:
    """Call ``see`` with what the module is called with."""
    handle = module.register_forward_pre_hook(see)
    try:
        yield
    finally:
        handle.remove()
