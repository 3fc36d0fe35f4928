"""What a file of outputs or references holds, whatever its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from multiattn.errors import UserError, shown

NAMED = 3  # how many of the ids in question a message names


@dataclass(frozen=True)
class SystemOutputs:
    """A system's outputs: one text per example.

    A run's outputs come with ids and references; otherwise these may be None.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    references: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class ReferenceFile:
    """References, one or several per example. ``whole``: the file may contain other examples too.

    COCO's annotations cover a whole set of images; its splits have no files of their own.
    """

    name: str
    texts: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...] | None
    whole: bool = False


def require_unique(name: str, ids: Sequence[str]) -> None:
    """Raise UserError if an id is repeated."""
    repeated = [one for one, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(
            f"expected every id once in {name}, got {first_few(repeated)} more than once; "
            "remove the repeated lines"
        )


def first_few(ids: Sequence[str]) -> str:
    """How many ids there are, and the first: ``5 ('a', 'b', 'c', …)``."""
    named = ", ".join(map(shown, ids[:NAMED]))
    return f"{len(ids)} ({named}{', …' if len(ids) > NAMED else ''})"
