"""Outputs and references in one Unicode form, in which all metrics compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from multiattn.scoring.metric import Metric, References
from multiattn.scoring.metric_warnings import metric_warnings
from multiattn.unicode import normalise_unicode


@dataclass(frozen=True)
class ComparableTexts:
    """The outputs of one or several systems and their references.

    changed: says in a sentence how many of them were in another form; empty if none was.
    """

    systems: tuple[list[str], ...]
    references: tuple[tuple[str, ...], ...]
    changed: str

    @property
    def signature(self) -> str:
        """The part of a signature that names the form, if some text was in another."""
        return "|unicode:nfc" if self.changed else ""

    def warnings(self, metric: Metric, outputs: Sequence[str]) -> tuple[str, ...]:
        """Why a score of one of the systems means little, or may surprise; a sentence each."""
        own = metric_warnings(metric, outputs, self.references)
        return (self.changed, *own) if self.changed else own


def comparable(systems: Sequence[Sequence[str]], references: References) -> ComparableTexts:
    """Bring all texts into the form NFC, without zero-width and control characters."""
    outputs = tuple([normalise_unicode(text) for text in texts] for texts in systems)
    targets = tuple(tuple(map(normalise_unicode, own)) for own in references)
    changes = [_changes(*pair) for pair in ((systems, outputs), (references, targets))]
    changed = (
        f"{changes[0]} of {sum(map(len, outputs))} outputs and {changes[1]} of "
        f"{sum(map(len, targets))} references were not in Unicode's form NFC, or had zero-width or "
        "control characters; both sides were scored in NFC without these"
    )
    return ComparableTexts(outputs, targets, changed if any(changes) else "")


def _changes(before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]) -> int:
    pairs = zip(chain.from_iterable(before), chain.from_iterable(after), strict=True)
    return sum(old != new for old, new in pairs)
