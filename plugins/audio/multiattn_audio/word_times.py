"""When each word was said: from a CTC head if the model has one, otherwise from attention.

Any output over the model's own tokens can be aligned, whichever decoder produced it.

Letters: T output tokens, S memory slots, V vocabulary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.functional import forced_align

from multiattn import PAD, Evidence, Time, TimedWord
from multiattn.layers import ctc_head_name

TAIL_SHARE = 0.1  # of a word's attention, cut off at each end


class WordTimes:
    """Word times in seconds, with a resolution of one memory slot.

    ``ctc``: the most probable path of the CTC head through the output (forced alignment, with PAD
    as the blank: Graves et al. 2006; Kürzinger et al. 2020). A word lasts from the first slot of
    its first token to the last slot of its last token; its confidence is the mean posterior of its
    tokens over their slots. CTC emits a token in one or two slots, late rather than early, so
    starts are more reliable than ends.

    ``attention``: used without such a head, or if the recording has too few slots for the tokens. A
    word lasts over the middle 80 % of its tokens' mean attention weights; its confidence is the
    decoder's mean probability of its tokens.
    """

    def align(self, evidence: Evidence) -> Sequence[TimedWord]:
        """Times of all words; empty without words, or with neither head nor attention."""
        if not evidence.words:
            return ()
        path = ctc_path(evidence)
        if path is not None:
            return _times_from_ctc(evidence, *path)
        return () if evidence.weights is None else _times_from_attention(evidence, evidence.weights)


def ctc_path(evidence: Evidence) -> tuple[list[list[int]], list[float]] | None:
    """The slots of each token (T lists), and the path's posterior in every slot (S).

    None if the source has no head, or the output is too long for it.
    """
    head = evidence.heads.get(ctc_head_name(evidence.source, evidence.memories))
    repeats = sum(left == right for left, right in itertools.pairwise(evidence.tokens))
    if head is None or len(evidence.tokens) + repeats > evidence.memory.values.size(1):
        return None
    # in single precision on the CPU, which forced_align supports everywhere
    emissions = head(evidence.memory.values).float().log_softmax(-1).cpu()  # (1, S, V)
    tokens = torch.tensor([evidence.tokens], dtype=torch.int32)  # (1, T)
    labels, scores = forced_align(emissions, tokens, blank=PAD)  # (1, S) each
    slots: list[list[int]] = []
    previous = PAD
    for slot, label in enumerate(labels[0].tolist()):
        if label not in (PAD, previous):
            slots.append([])
        if label != PAD:
            slots[-1].append(slot)
        previous = label
    return slots, scores[0].exp().tolist()


def _times_from_ctc(
    evidence: Evidence, slots: Sequence[Sequence[int]], posteriors: Sequence[float]
) -> list[TimedWord]:
    seconds = _seconds_per_slot(evidence)
    timed_words = []
    for word, first, end in evidence.words:
        word_slots = [slot for token_slots in slots[first:end] for slot in token_slots]
        confidence = math.fsum(posteriors[slot] for slot in word_slots) / len(word_slots)
        start, stop = word_slots[0] * seconds, (word_slots[-1] + 1) * seconds
        timed_words.append(TimedWord(word, start, stop, confidence, "ctc"))
    return timed_words


def _times_from_attention(evidence: Evidence, weights: Tensor) -> list[TimedWord]:
    seconds = _seconds_per_slot(evidence)
    timed_words = []
    for word, first, end in evidence.words:
        mean_weights = weights[first:end].double().mean(0)  # (S,)
        cumulative = (mean_weights / mean_weights.sum()).cumsum(0)
        start = int((cumulative <= TAIL_SHARE).sum()) * seconds
        stop = (int((cumulative < 1 - TAIL_SHARE).sum()) + 1) * seconds
        probabilities = [math.exp(value) for value in evidence.log_probabilities[first:end]]
        confidence = math.fsum(probabilities) / len(probabilities)
        timed_words.append(TimedWord(word, start, stop, confidence, "attention"))
    return timed_words


def _seconds_per_slot(evidence: Evidence) -> float:
    layout = evidence.memory.layout
    assert isinstance(layout, Time), layout  # noqa: S101
    return layout.seconds_per_slot
