"""A plugin small enough to train in a second: what the tests of runs need and no modality brings.

Corpus ``tiny-pairs`` (``SPLIT.tsv``: source, tab, target), reader ``tiny-letters``, encoder
``tiny-embedding``, metric ``tiny-accuracy``; an observer that keeps what it was told in ``TOLD``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiattn import (
    Aligner,
    Corpus,
    Encoder,
    Example,
    Metric,
    Reader,
    Record,
    Segment,
    Segmenter,
    UserError,
    hookimpl,
)

TOLD: list[tuple[str, Any]] = []


@hookimpl
def multiattn_components() -> Iterator[Record]:
    yield Corpus(name="tiny-pairs", target="tiny_plugin:Pairs", summary="pairs of letters")
    yield Reader(
        name="tiny-letters", target="tiny_plugin:Letters", produces="text", summary="letters as ids"
    )
    yield Encoder(
        name="tiny-embedding",
        target="tiny_encoder:Embedded",
        consumes="text",
        summary="an embedding per letter",
    )
    yield Reader(
        name="tiny-fixed",
        target="tiny_plugin:Fixed",
        produces="text",
        summary="letters as ids, the same every time unless it is to be noisy",
    )
    yield Encoder(
        name="tiny-frozen",
        target="tiny_encoder:Frozen",
        consumes="text",
        summary="random numbers for letters that nothing changes, and a layer that learns",
    )
    yield Encoder(
        name="tiny-frozen-sequence",
        target="tiny_encoder:FrozenSequence",
        consumes="text",
        summary="random numbers for each letter that nothing changes, and a layer that learns",
    )
    yield Metric(
        name="tiny-accuracy",
        target="tiny_plugin:Accuracy",
        higher_is_better=True,
        unit="0-1",
        summary="the share of right letters",
    )
    yield Aligner(
        name="tiny-places",
        target="tiny_plugin:Places",
        layout="tokens",
        summary="the place of the letter that was looked at most",
    )
    yield Segmenter(
        name="tiny-words",
        target="tiny_plugin:Words",
        consumes="text",
        summary="cuts at spaces, and a long word in halves",
    )


@hookimpl
def multiattn_run_started(run: Path) -> None:
    TOLD.append(("started", run))


@hookimpl
def multiattn_epoch_finished(run: Path, epoch: int, metrics: Mapping[str, float]) -> None:
    TOLD.append(("epoch", epoch))


@hookimpl
def multiattn_run_finished(run: Path, metrics: Mapping[str, float]) -> None:
    TOLD.append(("finished", dict(metrics)))


class Pairs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def splits(self) -> tuple[str, ...]:
        return tuple(sorted(file.stem for file in self._folder.glob("*.tsv")))

    def examples(
        self, split: str, on_bad_row: Callable[[str], None] | None = None
    ) -> Sequence[Example]:
        file = self._folder / f"{split}.tsv"
        if not file.exists():
            raise UserError(f"expected the file {file}, got none; write it")
        rows = [line.split("\t") for line in file.read_text().splitlines()]
        return [
            Example(
                f"{split}-{number}",
                {"source": source or None, "target": target},
                {"letters": f"{len(source)} letters"} if source else {},
            )
            for number, (source, target) in enumerate(rows)
        ]


class Words:
    def segments(self, value: str, longest: float | None) -> Iterator[Segment]:
        start = 0
        for word in value.split(" "):
            size = len(word)
            while longest is not None and size > max(1, longest):
                size = -(-size // 2)
            for first in range(0, len(word), max(1, size)):
                piece = word[first : first + size]
                place = start + first
                between = "/" if first else " "
                yield Segment(piece, place, place + len(piece), len(value), between)
            start += len(word) + 1


@dataclass(frozen=True)
class LettersSpec:
    vocabulary_size: int


class Letters:
    joint = False
    alphabet = "abcdefgh "

    def fit(self, values: Iterable[str], target: object) -> None:
        self._known = sorted(set("".join(values)))

    def save(self, folder: Path) -> None:
        (folder / "letters.txt").write_text("".join(self._known))

    def load(self, folder: Path, target: object) -> None:
        self._known = list((folder / "letters.txt").read_text())

    @property
    def spec(self) -> LettersSpec:
        return LettersSpec(len(self._known) + 1)

    def measure(self, value: str) -> int:
        if "?" in value:
            raise UserError(f"expected letters, got {value!r}; leave the ? out")
        return len(value)

    def read(self, value: str, generator: Any = None) -> Any:
        import numpy as np

        if "!" in value:
            raise UserError(f"expected letters, got {value!r}; leave the ! out")
        known = [self._known.index(letter) + 1 if letter in self._known else 0 for letter in value]
        return np.array(known, np.int64)

    def collate(self, items: Sequence[Any]) -> tuple[Any, Any]:
        import torch

        lengths = torch.tensor([len(item) for item in items])
        letters = [torch.from_numpy(item) for item in items]
        return torch.nn.utils.rnn.pad_sequence(letters, batch_first=True), lengths

    def labels(self, value: str) -> list[str]:
        return [f"▁{letter}" if letter in self._known else "<unk>" for letter in value]


class Fixed(Letters):
    def __init__(self, *, noisy: bool = False, offset: int = 0) -> None:
        self.random = noisy


class Accuracy:
    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Any:
        rows = [
            (sum(a == b for a, b in zip(text, first, strict=False)), max(len(text), len(first)))
            for text, (first, *_) in zip(hypotheses, references, strict=True)
        ]
        return np.array(rows, dtype=np.float64)

    def aggregate(self, sums: Any, count: int) -> Mapping[str, float]:
        return {"tiny-accuracy": float(sums[0] / max(1.0, sums[1]))}

    def signature(self) -> str:
        return "letters"

    def details(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], ids: Sequence[str]
    ) -> str:
        rows = zip(ids, hypotheses, references, strict=True)
        return "".join(f"{name}: {text} for {first}\n" for name, text, (first, *_) in rows)


class Places:
    def align(self, evidence: Any) -> list[Any]:
        from multiattn import TimedWord

        timed = []
        for word, first, end in evidence.words:
            place = float(evidence.weights[first:end].mean(0).argmax())
            timed.append(TimedWord(word, place, place + 1, 0.5, "attention"))
        return timed


def write_corpus(folder: Path, train: int = 60, others: int = 6, seed: int = 3) -> None:
    """Letters in one order, and the same in the other order, in capitals."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for split, count in (("train", train), ("validation", others), ("test", others)):
        rows = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(count)]
        lines = [f"{row}\t{row[::-1].upper()}" for row in rows]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")
