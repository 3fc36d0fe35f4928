"""Conformance checks of segmenters: the pieces of a text, or of a reader's example values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest import SkipTest

from multiattn.prediction.long_inputs.segmenter import Segment
from multiattn.registry.host import Component, Host
from multiattn.registry.records import Reader, Segmenter
from multiattn.testing.fixtures import build, expect
from multiattn.testing.readers import SENTENCES, example_reader

DOCUMENT = "A cat sat on the mat. Two birds sang.\n\nNobody heard the mouse, did they?"


@contextmanager
def _example(host: Host, row: Component) -> Iterator[tuple[Sequence[Any], Callable[[Any], Any]]]:
    """Values that the segmenter consumes, and what reads one. Raises SkipTest if there are none."""
    record = row.record
    assert isinstance(record, Segmenter)  # noqa: S101
    if record.consumes == "text":
        yield (DOCUMENT, *SENTENCES), str
        return
    for reader in host.records("reader"):
        assert isinstance(reader.record, Reader)  # noqa: S101
        if reader.record.produces == record.consumes:
            with example_reader(host, reader) as example:
                yield example.values, example.reader.read
                return
    raise SkipTest(f"no installed reader produces {record.consumes!r}, which it cuts")


def pieces_lie_in_order_within_the_whole(host: Host, row: Component) -> None:
    """Pieces do not overlap, end within the whole, and can be read; a text has some."""
    segmenter = build(host, "segmenter", row.full_name)
    is_text = isinstance(row.record, Segmenter) and row.record.consumes == "text"
    with _example(host, row) as (values, read):
        for value in values:
            for longest in (None, 10.0, 1e9):
                pieces = list(segmenter.segments(value, longest))
                expect(bool(pieces) or not is_text, f"expected pieces of {value!r}, got none")
                _expect_order(pieces)
                for piece in pieces:
                    expect(len(read(piece.value)) > 0, f"expected something to read in {piece}")


def _expect_order(pieces: Sequence[Segment]) -> None:
    for piece in pieces:
        inside = 0 <= piece.start < piece.end <= piece.whole + 1e-6
        expect(inside, f"expected a start before an end within the whole, got {piece}")
    for one, other in pairwise(pieces):
        expect(one.end <= other.start + 1e-6, f"expected pieces in order, got {one} and {other}")


CHECKS = (pieces_lie_in_order_within_the_whole,)
