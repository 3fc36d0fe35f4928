"""The same mathematics, faster. Each path has a rule that chooses it and a test of equality.

``unroll`` runs a recurrence over packed target tokens; ``readable`` is its definition;
``for_decoding`` makes a decoder ready for search.
"""

from multiattn.fast.decoding import for_decoding
from multiattn.fast.unrolling import joined, readable, unroll

__all__ = ["for_decoding", "joined", "readable", "unroll"]
