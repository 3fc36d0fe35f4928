"""Faster equivalents. Each has a rule for when it applies and a test that it gives the same result.

``unroll`` runs a recurrence over packed target tokens; ``unroll_step_by_step`` is its reference
implementation; ``for_decoding`` prepares a decoder for search.
"""

from multiattn.engine.fast.decoding import for_decoding
from multiattn.engine.fast.unroll import concatenate_weights, unroll, unroll_step_by_step

__all__ = ["concatenate_weights", "for_decoding", "unroll", "unroll_step_by_step"]
