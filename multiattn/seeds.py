"""Random seeds as a function of names: (seed, epoch, example id) and the like."""

from __future__ import annotations

import hashlib


def derive(*parts: object) -> int:
    """Give a 64-bit seed that is a function of ``parts`` alone, the same on every machine."""
    named = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little")
