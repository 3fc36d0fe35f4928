"""Checks that an output does not depend on the other inputs of its batch.

    python benchmarks/batch_invariance.py RUN --split test --examples 300 [--seed 1] [--set …]

The first examples of a split are decoded one by one, in order and with one thread, greedily and
with a beam of 5. These outputs are the reference for every combination of beam, batch size, order
(that of the split, or shuffled) and number of threads. Printed for each combination:

differ     outputs with other tokens than the reference, or a score more than 1e-4 from it
ties       how many of these have a score within 1e-4 of the reference
score gap  the largest difference between the scores of an output and its reference
seconds    for reading and decoding all examples

The exit code is 1 if an output differs beyond a tie.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

import multiattn
from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits

BEAMS = (1, 5)
BATCH_SIZES = (1, 7, 64)
ORDERS = ("in order", "shuffled")
THREADS = (1, 2)
TIE = 1e-4

Sources = Mapping[str, Any]  # a value per source


@dataclass(frozen=True)
class Output:
    """An output's tokens and the score that the search ranked it by."""

    tokens: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class Differences:
    """How outputs differ from their references: see the module's docstring."""

    differ: int
    ties: int
    score_gap: float

    @classmethod
    def between(cls, outputs: Sequence[Output], references: Sequence[Output]) -> Differences:
        """Compare outputs with the references at the same indices."""
        pairs = [*zip(outputs, references, strict=True)]
        gaps = [abs(output.score - reference.score) for output, reference in pairs]
        beyond = sum(not gap <= TIE for gap in gaps)  # also where a score is not a number
        ties = sum(
            gap <= TIE and output.tokens != reference.tokens
            for gap, (output, reference) in zip(gaps, pairs, strict=True)
        )
        return cls(beyond + ties, ties, max(gaps))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--split", default="test")
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    arguments = parser.parse_args()
    started = time.perf_counter()
    sources = examples(arguments.run, arguments.data, arguments.split, arguments.examples)
    print(f"{len(sources)} examples of {arguments.split}, seed {arguments.seed}\n")
    print("| beam | batch size | order | threads | differ | ties | score gap | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    found = [*comparisons(arguments.run, sources, arguments.seed, arguments.set)]
    differ, ties = sum(each.differ for each in found), sum(each.ties for each in found)
    seconds = time.perf_counter() - started
    print(f"\n{differ} of {len(found) * len(sources)} outputs differ, {ties} of them ties")
    print(f"{seconds:.0f} seconds in all")
    return int(differ > ties)


def examples(run: Path, data: Path | None, split: str, count: int) -> list[Sources]:
    """The sources of the first ``count`` examples of a split. Raises UserError."""
    system = multiattn.load(run, device="cpu").system
    folder = data or system.run.read_start()["data"]
    splits = Splits(open_corpus(system.settings.corpus, system.host, folder), system.settings)
    splits.require(split)
    rows, _ = splits.evaluation_rows(split)
    return [row.sources for row in rows[:count]]


def comparisons(
    run: Path, sources: Sequence[Sources], seed: int, settings: Sequence[str]
) -> Iterator[Differences]:
    """Decode in every combination, and print a line of the table for each."""
    shuffled = random.Random(seed).sample(range(len(sources)), len(sources))
    permutations = {"in order": range(len(sources)), "shuffled": shuffled}
    for beam in BEAMS:
        overrides = [*settings, f"search.beam={beam}", "search.n_best=1"]
        torch.set_num_threads(1)
        references = decode(run, sources, permutations["in order"], overrides, 1)
        for batch_size, order, threads in product(BATCH_SIZES, ORDERS, THREADS):
            torch.set_num_threads(threads)
            started = time.perf_counter()
            outputs = decode(run, sources, permutations[order], overrides, batch_size)
            seconds = time.perf_counter() - started
            found = Differences.between(outputs, references)
            print(
                f"| {beam} | {batch_size} | {order} | {threads} | {found.differ} | {found.ties} "
                f"| {found.score_gap:.1e} | {seconds:.1f} |",
                flush=True,
            )
            yield found


def decode(
    run: Path,
    sources: Sequence[Sources],
    permutation: Sequence[int],
    overrides: Sequence[str],
    batch_size: int,
) -> list[Output]:
    """Decode the sources in the order of the permutation; outputs are in the order of sources."""
    overrides = [*overrides, f"search.batch_size={batch_size}"]
    predictor = multiattn.load(run, overrides=overrides, device="cpu")
    predictions = predictor.each(sources[index] for index in permutation)
    outputs = {
        index: Output(prediction.tokens, prediction.score)
        for index, prediction in zip(permutation, predictions, strict=True)
    }
    return [outputs[index] for index in range(len(sources))]


if __name__ == "__main__":
    raise SystemExit(main())
