"""An aligner by attention: a word is spoken in the slot that its tokens attend to most.

Change how ``align`` finds the slots. An aligner is for memories of one layout, which its record
names: here ``time``, whose slots last ``layout.seconds_per_slot``.

Protocol: ``multiattn.protocols.Aligner``. In a recipe, where several are for one layout:
``sources: {NAME: {aligner: my-plugin}}``.
Letters: T output tokens, S slots.
"""

import math
from collections.abc import Sequence

from multiattn import Evidence, Time, TimedWord


class MyPluginAligner:
    """Times in seconds; a word never starts before the one that precedes it."""

    def align(self, evidence: Evidence) -> Sequence[TimedWord]:
        """A ``TimedWord`` for every word, or none without attention weights (T + 1, S)."""
        layout = evidence.memory.layout
        if evidence.weights is None or not isinstance(layout, Time):
            return ()
        seconds = layout.seconds_per_slot
        slot, timed = 0, []
        for word, first, end in evidence.words:  # its tokens are [first, end)
            attended = evidence.weights[first:end].mean(0)  # (S,)
            slot = max(slot, int(attended.argmax()))
            log_probabilities = evidence.log_probabilities[first:end]
            confidence = math.exp(math.fsum(log_probabilities) / len(log_probabilities))
            start = slot * seconds
            timed.append(TimedWord(word, start, start + seconds, confidence, "my-plugin"))
        return timed
