"""The same mathematics, faster. Each path has a rule that chooses it and a test of equality.

``unroll`` runs a recurrence over packed target tokens; ``readable`` is its definition.
"""

from multiattn.fast.unrolling import joined, readable, unroll

__all__ = ["joined", "readable", "unroll"]
