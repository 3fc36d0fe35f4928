"""The same mathematics, faster. Each path has a rule that chooses it and a test of equality.

``unroll`` runs a recurrence over packed target tokens; ``readable`` is its definition;
``for_decoding`` makes a decoder ready for search.
"""

from multiattn.engine.fast.decoding import for_decoding
from multiattn.engine.fast.unroll import joined, readable, unroll

__all__ = ["for_decoding", "joined", "readable", "unroll"]
