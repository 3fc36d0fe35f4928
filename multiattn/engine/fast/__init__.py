"""The same mathematics, faster. Each path has a rule that chooses it and a test of equality.

``unroll`` runs a recurrence over packed target tokens; ``unroll_step_by_step`` is its definition;
``for_decoding`` makes a decoder ready for search.
"""

from multiattn.engine.fast.decoding import for_decoding
from multiattn.engine.fast.unroll import concatenate_weights, unroll, unroll_step_by_step

__all__ = ["concatenate_weights", "for_decoding", "unroll", "unroll_step_by_step"]
