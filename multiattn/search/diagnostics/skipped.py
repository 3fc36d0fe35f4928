"""The stretch of a source in which CTC finds tokens that an output lacks.

The head of the objective ``ctc`` reads every slot, whatever the decoder attends to. Where its own
output, the most probable symbol of each slot, has several tokens in a row that the decoder's output
has not, the decoder has skipped something.

Letters: B inputs, S memory slots, D memory width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.search.ctc import ctc_head_name
from multiattn.symbols import PAD

# More in a row are skipped than are misheard. With the Whisper encoder on AN4 and no CTC in the
# search, no more than 3 are lacking in 100 utterances, and 5 or more in 60 of 60 recordings of
# three utterances, of which attention alone doubts 32.
TOKENS = 4


@dataclass(frozen=True)
class CTCOutput:
    """The greedy output of a CTC head for one input, and the slot where each token begins."""

    tokens: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()


@torch.inference_mode()
def ctc_outputs(
    memories: Mapping[str, Memory], heads: Mapping[str, nn.Module]
) -> dict[str, list[CTCOutput]]:
    """The CTC outputs of a batch, of every source with a head; empty for a missing source."""
    return {
        source: [
            _greedy_output(best[real])
            for best, real in zip(
                heads[name](memory.values).argmax(-1).cpu(), memory.mask.cpu(), strict=True
            )
        ]
        for source, memory in memories.items()
        if (name := ctc_head_name(source, memories)) in heads
    }


def _greedy_output(best: Tensor) -> CTCOutput:
    """Merge repeated symbols and drop blanks. best: (S,), the most probable symbols."""
    changed = best != torch.cat([best.new_tensor([PAD]), best[:-1]])  # (S,)
    slots = (changed & (best != PAD)).nonzero().squeeze(1)
    return CTCOutput(tuple(best[slots].tolist()), tuple(slots.tolist()))


@dataclass(frozen=True)
class Skipped:
    """Tokens in a row that an output lacks: how many, and the slots over which they begin."""

    tokens: int = 0
    slots: range = range(0)


def skipped_stretch(ctc: CTCOutput, tokens: Sequence[int]) -> Skipped:
    """The most tokens in a row that ``ctc`` has and ``tokens`` has not; none below ``TOKENS``.

    Tokens of the output in the same place, right or wrong, count against them.
    """
    matcher = SequenceMatcher(None, ctc.tokens, tokens, autojunk=False)
    skipped = Skipped()
    for tag, start, end, first, last in matcher.get_opcodes():
        lacking = end - start - (last - first)
        if tag in ("delete", "replace") and lacking >= max(TOKENS, skipped.tokens + 1):
            skipped = Skipped(lacking, range(ctc.slots[start], ctc.slots[end - 1] + 1))
    return skipped
