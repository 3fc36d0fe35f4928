"""When each word was said: from a CTC head where the model has one, else from attention.

It refuses to know who wrote the words: any output over the model's own tokens can be aligned.

Letters: T output tokens, S memory slots, V vocabulary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.functional import forced_align

from multiattn.alignment import Evidence, TimedWord
from multiattn.ctc import head_name
from multiattn.memory import Time
from multiattn.tokenizer import PAD

TAIL = 0.1  # of a word's attention lies before its start, and as much after its end


class WordTimes:
    """Word times in seconds, in steps of a memory slot.

    ``ctc``: the most probable path of the CTC head through the output (forced alignment, with PAD
    as the blank: Graves et al. 2006; Kürzinger et al. 2020). A word lasts from the first slot of
    its first token to the last of its last; its confidence is the mean posterior of its tokens'
    slots. CTC writes a token in a slot or two, late rather than early, so starts are the better
    known.

    ``attention``, where there is no such head, or the output has more tokens than the recording
    slots: a word lasts over the middle 80 % of where its tokens looked, on average; its
    confidence is the decoder's mean probability of its tokens.
    """

    def align(self, evidence: Evidence) -> Sequence[TimedWord]:
        """A time for every word; nothing without any word, head and attention."""
        if not evidence.words:
            return ()
        path = ctc_path(evidence)
        if path is not None:
            return _from_path(evidence, *path)
        return () if evidence.weights is None else _from_attention(evidence, evidence.weights)


def ctc_path(evidence: Evidence) -> tuple[list[list[int]], list[float]] | None:
    """The slots of each token, T lists of them, and the path's posterior in every slot (S).

    None without a head on the source, or where the output is too long for it.
    """
    head = evidence.heads.get(head_name(evidence.source, evidence.memories))
    repeats = sum(one == other for one, other in itertools.pairwise(evidence.tokens))
    if head is None or len(evidence.tokens) + repeats > evidence.memory.values.size(1):
        return None
    # in single precision and on the CPU: the kernel knows no other everywhere
    emissions = head(evidence.memory.values).float().log_softmax(-1).cpu()  # (1, S, V)
    tokens = torch.tensor([evidence.tokens], dtype=torch.int32)  # (1, T)
    labels, scores = forced_align(emissions, tokens, blank=PAD)  # (1, S) each
    slots: list[list[int]] = []
    before = PAD
    for slot, label in enumerate(labels[0].tolist()):
        if label not in (PAD, before):
            slots.append([])
        if label != PAD:
            slots[-1].append(slot)
        before = label
    return slots, scores[0].exp().tolist()


def _from_path(
    evidence: Evidence, slots: Sequence[Sequence[int]], posteriors: Sequence[float]
) -> list[TimedWord]:
    seconds = _seconds_per_slot(evidence)
    timed = []
    for word, first, end in evidence.words:
        own = [slot for token in slots[first:end] for slot in token]
        confidence = math.fsum(posteriors[slot] for slot in own) / len(own)
        start, stop = own[0] * seconds, (own[-1] + 1) * seconds
        timed.append(TimedWord(word, start, stop, confidence, "ctc"))
    return timed


def _from_attention(evidence: Evidence, weights: Tensor) -> list[TimedWord]:
    seconds = _seconds_per_slot(evidence)
    timed = []
    for word, first, end in evidence.words:
        looks = weights[first:end].double().mean(0)  # (S,)
        passed = (looks / looks.sum()).cumsum(0)
        start = int((passed <= TAIL).sum())
        stop = int((passed < 1 - TAIL).sum()) + 1
        chances = [math.exp(value) for value in evidence.log_probabilities[first:end]]
        confidence = math.fsum(chances) / len(chances)
        timed.append(TimedWord(word, start * seconds, stop * seconds, confidence, "attention"))
    return timed


def _seconds_per_slot(evidence: Evidence) -> float:
    layout = evidence.memory.layout
    assert isinstance(layout, Time), layout  # noqa: S101
    return layout.seconds_per_slot
