"""Derive random seeds from names such as (seed, epoch, example id)."""

from __future__ import annotations

import hashlib


def derive(*parts: object) -> int:
    """Return a 64-bit seed that depends on ``parts`` alone, the same on every machine."""
    named = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little")
