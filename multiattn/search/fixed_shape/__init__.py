"""The search as CUDA graphs: every step has the same shapes and reads no value back.

It finds the hypotheses that ``beam.run`` defines.
"""

from multiattn.search.fixed_shape.buckets import applies, with_rounded_slots
from multiattn.search.fixed_shape.search import run

__all__ = ["applies", "run", "with_rounded_slots"]
