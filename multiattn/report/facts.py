"""What the first screen of a report says of a run: how good, of what, how large, how long."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from multiattn.data.splits import Names
from multiattn.recipe.settings import RecipeSettings
from multiattn.run_folder import RunFolder
from multiattn.runs.log import read_log
from multiattn.scoring.intervals import Score
from multiattn.scoring.results import Results
from multiattn.scoring.scale import factor, format_score


@dataclass(frozen=True)
class Headline:
    """The main score of a run, and how it compares with what the recipe expects.

    expected: a sentence, or empty where the recipe expects nothing of this split.
    """

    metric: str
    score: Score
    split: str
    expected: str


def headline(settings: RecipeSettings, results: dict[str, Results]) -> Headline | None:
    """The selected metric on the test split or, unless that was scored, on another."""
    test = Names.of(settings.splits).test
    name = test if test in results else next(iter(results), None)
    if name is None:
        return None
    scores = results[name].scores
    metric = main_metric(settings, results[name])
    expected = settings.expected.get(metric) if name == test else None
    sentence = "" if expected is None else _comparison(scores[metric], expected)
    return Headline(metric, scores[metric], name, sentence)


def main_metric(settings: RecipeSettings, results: Results) -> str:
    """The metric that the recipe selects by, or the first one."""
    select = settings.evaluation.select
    return select if select is not None and select in results.scores else next(iter(results.scores))


def _comparison(score: Score, expected: float) -> str:
    """Where the expected value, on the field's scale, lies to the interval."""
    low, high = (value * factor(score.unit) for value in (score.low, score.high))
    where = "within" if low <= expected <= high else "above" if expected > high else "below"
    written = format_score(expected / factor(score.unit), score.unit)
    return f"the recipe's own result, {written}, lies {where} this interval"


def facts(run: RunFolder, settings: RecipeSettings) -> Iterator[tuple[str, str]]:
    """Names and values of what the run is made of."""
    names = Names.of(settings.splits)
    yield "data", f"{settings.corpus.name} in {settings.corpus.folder}"
    yield "splits", f"{names.train} / {names.validation} / {names.test}"
    for name, source in settings.sources.items():
        yield f"source {name}", f"{source.reader.name} → {source.encoder.name}"
    if run.weights.is_file():
        yield "parameters", f"{_parameters(run.weights):,}"
    yield from _training(run, settings)


def _parameters(weights: Path) -> int:
    """How many numbers the weights hold, frozen and learned."""
    with safe_open(weights, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def _training(run: RunFolder, settings: RecipeSettings) -> Iterator[tuple[str, str]]:
    lines = read_log(run)
    starts = [line for line in lines if line["kind"] == "start"]
    steps = [line for line in lines if line["kind"] == "training"]
    if steps:
        last = steps[-1]
        epoch = f", epoch {last['epoch']}" if "epoch" in last else ""
        minutes = f", {last['seconds'] / 60:.1f} minutes" if "seconds" in last else ""
        yield "training", f"{last['step']:,} steps{epoch}{minutes}"
    if starts:
        count = starts[-1].get("processes", 1)
        several = "" if count == 1 else f", {count} processes"
        yield "device", f"{starts[-1].get('device', 'unknown')}{several}"
    yield "seed", str(settings.seed)
