"""Faster equivalents. Each has a rule for when it applies and a test that it gives the same result.

``unroll`` runs a recurrence over packed target tokens; ``unroll_step_by_step`` is its reference
implementation; ``for_decoding`` prepares a decoder for search. On a GPU, ``encode_batch`` and
``unroll_batch`` run encoder and decoder over a padded batch, as CUDA graphs (``Captured``).
"""

from multiattn.engine.fast.decoding import for_decoding
from multiattn.engine.fast.gpu.graphs import Captured
from multiattn.engine.fast.gpu.padded import encode_batch, unroll_batch
from multiattn.engine.fast.unroll import concatenate_weights, unroll, unroll_step_by_step

__all__ = [
    "Captured",
    "concatenate_weights",
    "encode_batch",
    "for_decoding",
    "unroll",
    "unroll_batch",
    "unroll_step_by_step",
]
