"""How often a 95 % interval holds the true word error rate, on simulated corpora.

    python benchmarks/interval_coverage.py

Speakers have error rates of their own (beta distribution with the mean RATE). A corpus is drawn
from this population, and its interval should hold the population's rate in 95 % of the corpora.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from multiattn.scoring.resampling import Clusters, Units

RATE, UTTERANCES, WORDS = 0.1, 10, 12  # of the population; per speaker; per utterance
RESAMPLES = 1000


class ErrorRate:
    """Errors per word."""

    def aggregate(self, sums, count):
        return {"rate": sums[0] / sums[1]}


def corpus(generator: np.random.Generator, speakers: int, spread: float):
    """Errors and words of each utterance (n, 2), and its speaker (n,).

    spread: the standard deviation of the speakers' rates; 0 if all have the same.
    """
    rates = np.full(speakers, RATE)
    if spread:
        concentration = RATE * (1 - RATE) / spread**2 - 1
        rates = generator.beta(RATE * concentration, (1 - RATE) * concentration, size=speakers)
    which = np.repeat(np.arange(speakers), UTTERANCES)
    errors = generator.binomial(WORDS, rates[which])
    return np.column_stack([errors, np.full(len(which), WORDS)]).astype(float), which


def coverage(speakers: int, spread: float, corpora: int, seed: int) -> tuple[float, float]:
    """The share of corpora whose interval holds the rate: of utterances, of speakers drawn."""
    generator = np.random.default_rng(seed)
    held = [0, 0]
    for number in range(corpora):
        statistics, which = corpus(generator, speakers, spread)
        clusters = Clusters("speaker", [str(each) for each in which])
        for kind, units in enumerate((Units.of(statistics, None), Units.of(statistics, clusters))):
            drawn = [one["rate"] for one in units.bootstrap(ErrorRate(), RESAMPLES, number)]
            low, high = units.interval(units.values(ErrorRate())["rate"], drawn)
            held[kind] += low <= RATE <= high
    return held[0] / corpora, held[1] / corpora


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.time()
    print("| speakers | rates of speakers | utterances drawn | speakers drawn |")
    print("| --- | --- | --- | --- |")
    for speakers in (8, 20, 50, 100):
        for spread in (0.0, 0.1):
            found = coverage(speakers, spread, options.corpora, options.seed)
            rates = f"{RATE:.0%} ± {spread:.0%}" if spread else f"{RATE:.0%} each"
            print(f"| {speakers} | {rates} | {found[0]:.1%} | {found[1]:.1%} |", flush=True)
    print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
