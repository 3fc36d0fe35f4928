"""Conformance checks of readers: what is read, how it is measured, padded, labelled and saved.

A reader of texts is tested on sentences, any other on what its ``example_values`` gives.

Letters: R values, L the length of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from multiattn.data.collation import ExampleReader, FittedReader, PretrainedReader, is_random
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.recipe.settings import TokenizerSettings
from multiattn.registry.host import Component, Host
from multiattn.testing.fixtures import build, expect

SENTENCES = (
    "a cat sat on the mat",
    "two birds",
    "nobody heard the small grey mouse under the old tall tree",
    "café, naïve; déjà vu!",
)
TEXTS_OF_UNKNOWN_SYMBOLS = ("", "  ", "日本語 🙂", "\u200d", "\x00")
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class ReaderExample:
    """A reader fitted on its example values, in a folder that lasts as long as the check.

    again: builds another reader with the same settings, not fitted.
    """

    reader: Any
    values: Sequence[Any]
    tokenizer: Tokenizer
    folder: Path
    again: Callable[[], Any]

    def items(self) -> list[Any]:
        """What it reads of each value (L, …)."""
        return [self.reader.read(value) for value in self.values]

    def lengths(self, items: Sequence[Any]) -> list[int]:
        """The lengths (R,) of a batch of these items."""
        lengths: list[int] = self.reader.collate(items)[1].tolist()
        return lengths


@contextmanager
def example_reader(host: Host, row: Component) -> Iterator[ReaderExample]:
    """Build a reader and fit it on example values. Raises SkipTest where it gives none."""

    def again() -> Any:
        return build(host, "reader", row.full_name)

    reader = again()
    with TemporaryDirectory(prefix="multiattn-check-") as name:
        folder = Path(name)
        if isinstance(reader, PretrainedReader):
            reader.start_from(Path())
        values = _example_values(reader, row, folder)
        tokenizer = Tokenizer.train(SENTENCES, TokenizerSettings())
        if isinstance(reader, FittedReader):
            reader.fit(values, tokenizer)
        yield ReaderExample(reader, values, tokenizer, folder, again)


def _example_values(reader: Any, row: Component, folder: Path) -> Sequence[Any]:
    if isinstance(reader, ExampleReader):
        (folder / "values").mkdir()
        values = reader.example_values(folder / "values")
        expect(
            not isinstance(values, str) and len(values) > 1,
            f"expected example_values to give a list of two values or more, got {values!r}",
        )
        return values
    if getattr(row.record, "produces", "") == "text":
        return SENTENCES
    raise SkipTest(
        "no example values are known; give the reader a method `example_values(folder)`, see "
        "multiattn.protocols.ExampleReader"
    )


def values_are_read_as_arrays(host: Host, row: Component) -> None:
    """``read`` needs no torch, so that an exported model can do without; ``collate`` does."""
    with example_reader(host, row) as example:
        for value, item in zip(example.values, example.items(), strict=True):
            expect(
                isinstance(item, np.ndarray) and item.ndim > 0 and len(item) > 0,
                f"expected read to give a numpy array (L, …) of {value!r}, L at least 1, got "
                f"{type(item).__name__}",
            )


def reading_twice_gives_the_same(host: Host, row: Component) -> None:
    """What is read depends on the value, and on the generator where one is given."""
    with example_reader(host, row) as example:
        for value in example.values:
            torch.manual_seed(0)
            first = example.reader.read(value)
            expect(
                _equal(first, example.reader.read(value)),
                f"expected the same of {value!r} at every read without a generator, got two "
                "different arrays; draw random numbers from the generator only",
            )
            for seed in SEEDS:
                expect(
                    _equal(*(example.reader.read(value, _generator(seed)) for _ in range(2))),
                    f"expected the same of {value!r} from two generators with the same seed, got "
                    "two different arrays; draw random numbers from the generator only",
                )


def reader_that_is_not_random_ignores_the_generator(host: Host, row: Component) -> None:
    """With ``random = False`` what is read is kept and never read again."""
    with example_reader(host, row) as example:
        if is_random(example.reader):
            return
        for value in example.values:
            alone = example.reader.read(value)
            for seed in SEEDS:
                expect(
                    _equal(alone, example.reader.read(value, _generator(seed))),
                    f"expected a reader with random = False to read the same of {value!r} with a "
                    "generator as without, got another array; set random = True, or leave the "
                    "noise to the encoder",
                )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _equal(first: Any, second: Any) -> bool:
    return torch.equal(torch.as_tensor(first), torch.as_tensor(second))


def collate_pads_at_the_end_and_keeps_lengths(host: Host, row: Component) -> None:
    """Each item is the beginning of its row, the rest is one padding value, lengths are true."""
    with example_reader(host, row) as example:
        items = example.items()
        values, lengths = example.reader.collate(items)
        expect(
            isinstance(values, Tensor) and isinstance(lengths, Tensor),
            f"expected two tensors, got {type(values).__name__} and {type(lengths).__name__}",
        )
        expect(
            lengths.dtype == torch.int64 and tuple(lengths.shape) == (len(items),),
            f"expected lengths (R,) in int64 of {len(items)} items, got {tuple(lengths.shape)} in "
            f"{lengths.dtype}",
        )
        for index, item in enumerate(items):
            _expect_padded(values[index], torch.as_tensor(item))
        _expect_lengths([tuple(item.shape) for item in items], lengths.tolist())
        alone = [length for item in items for length in example.lengths([item])]
        expect(
            alone == lengths.tolist(),
            f"expected the same lengths alone as in a batch, got {alone} and {lengths.tolist()}",
        )


def _expect_padded(padded: Tensor, item: Tensor) -> None:
    """An item (L, …) at the beginning of a row of the batch, and nothing but padding after it."""
    right = padded.dim() == item.dim() and all(
        own <= whole for own, whole in zip(item.shape, padded.shape, strict=True)
    )
    expect(
        right,
        f"expected a batch (R, L, …) of items {tuple(item.shape)}, got rows {tuple(padded.shape)}",
    )
    inside = tuple(slice(size) for size in item.shape)
    expect(
        torch.equal(padded[inside], item.to(padded.dtype)),
        "expected each item at the beginning of its row, got other values there; pad at the end",
    )
    outside = torch.ones(padded.shape, dtype=torch.bool)
    outside[inside] = False
    padding = list(dict.fromkeys(padded[outside].tolist()))
    expect(
        len(padding) <= 1,
        f"expected one padding value after the end of an item, got {padding[:3]} …",
    )


def _expect_lengths(shapes: Sequence[tuple[int, ...]], lengths: Sequence[int]) -> None:
    """L of each item, or 1 where all have the same shape, as images have."""
    own = [shape[0] for shape in shapes]
    stacked = len(set(shapes)) == 1 and set(lengths) == {1}
    expect(stacked or lengths == own, f"expected the lengths {own} of the items, got {lengths}")


def measure_is_the_size_of_what_is_read(host: Host, row: Component) -> None:
    """In the reader's own unit, rounded to a whole number: batches are planned by it."""
    with example_reader(host, row) as example:
        items = example.items()
        measured = [example.reader.measure(value) for value in example.values]
        expect(
            all(type(size) is int and size > 0 for size in measured),
            f"expected measure to give whole numbers above 0, got {measured}",
        )
        lengths = example.lengths(items)
        sizes = [torch.as_tensor(item).numel() for item in items]
        expect(
            any(_proportional(measured, each) for each in (lengths, sizes)),
            f"expected measure to give the lengths {lengths}, or these in another unit, got "
            f"{measured}",
        )


def _proportional(measured: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether one unit, and rounding by less than one, makes the sizes into what was measured."""
    pairs = list(zip(measured, sizes, strict=True))
    if all(abs(own - size) <= 2 for own, size in pairs):
        return all(own == size for own, size in pairs)
    smallest = max((own - 1) / size for own, size in pairs)
    largest = min((own + 1) / size for own, size in pairs)
    return smallest < largest


def labels_name_each_slot(host: Host, row: Component) -> None:
    """A readable label for each of the L slots, or none at all."""
    with example_reader(host, row) as example:
        for value in example.values:
            labels = example.reader.labels(value)
            (length,) = example.lengths([example.reader.read(value)])
            expect(
                not isinstance(labels, str) and len(labels) in (0, length),
                f"expected {length} labels of {value!r}, one per slot, or none, got {labels!r}",
            )
            unreadable = [label for label in labels if not _readable(label)]
            numbers = bool(labels) and not any(map(str.isdigit, value if _text(value) else "0"))
            expect(
                not unreadable and not (numbers and all(map(str.isdigit, labels))),
                f"expected labels that a person can read, got {list(labels)[:6]!r} for {value!r}; "
                "give each slot the piece of the input that it stands for",
            )


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _readable(label: Any) -> bool:
    """Text that can be printed, without the marks that byte-level tokenizers use for spaces."""
    return isinstance(label, str) and label.isprintable() and not set(label) & set("ĠĊ")


def saved_reader_reads_the_same(host: Host, row: Component) -> None:
    """A reader that loads what a fitted one saved is the same: a trained run is opened so."""
    with example_reader(host, row) as example:
        reader = example.reader
        if not isinstance(reader, FittedReader):
            return
        saved = example.folder / "saved"
        saved.mkdir()
        reader.save(saved)
        another = example.again()
        another.load(saved, example.tokenizer)
        for name, one, other in _properties(example.values, example.reader, another):
            expect(
                one == other,
                f"expected the same {name} after save and load, got another; save all that fit "
                "learns, and load it",
            )


def _properties(values: Sequence[Any], one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """What is compared of two readers: its name, and what each of them gives."""
    yield "spec", one.spec, other.spec
    for value in values:
        yield f"array of {value!r}", _read_plainly(one, value), _read_plainly(other, value)
        yield f"size of {value!r}", one.measure(value), other.measure(value)
        yield f"labels of {value!r}", list(one.labels(value)), list(other.labels(value))


def _read_plainly(reader: Any, value: Any) -> list[Any]:
    torch.manual_seed(0)
    listed: list[Any] = torch.as_tensor(reader.read(value)).tolist()
    return listed


def unusable_values_raise_user_errors(host: Host, row: Component) -> None:
    """A missing, empty or damaged file, or a text of symbols never seen, is a user's mistake."""
    with example_reader(host, row) as example:
        first = example.values[0]
        if _text(first) and Path(first).is_file():
            suffix = Path(first).suffix
            missing, empty, damaged = (
                str(example.folder / f"{name}{suffix}") for name in ("missing", "empty", "damaged")
            )
            Path(empty).write_bytes(b"")
            Path(damaged).write_bytes(b"\x00\xffno such format\n" * 8)
            read = _attempt(example.reader, missing)
            expect(not read, "expected a UserError for a file that does not exist, got an array")
            _attempt(example.reader, empty)
            _attempt(example.reader, damaged)
        elif _text(first):
            for value in TEXTS_OF_UNKNOWN_SYMBOLS:
                _attempt(example.reader, value)


def _attempt(reader: Any, value: str) -> bool:
    """Measure and read a value; return whether both succeeded. Only a UserError may be raised."""
    what = Path(value).stem + " file" if Path(value).is_absolute() else f"text {value!r}"
    for method in (reader.measure, reader.read):
        try:
            method(value)
        except UserError:
            return False
        except Exception as error:
            raise AssertionError(
                f"expected multiattn.UserError from {method.__name__} for the {what}, got "
                f"{type(error).__name__}: {' '.join(str(error).split())}; raise a UserError with a "
                "sentence that says what was expected, what came and what to do"
            ) from error
    return True


CHECKS = (
    values_are_read_as_arrays,
    reading_twice_gives_the_same,
    reader_that_is_not_random_ignores_the_generator,
    collate_pads_at_the_end_and_keeps_lengths,
    measure_is_the_size_of_what_is_read,
    labels_name_each_slot,
    saved_reader_reads_the_same,
    unusable_values_raise_user_errors,
)
