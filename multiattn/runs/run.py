"""One run from recipe to results: train, then evaluate."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from rich.console import Console

from multiattn.data.corpus import open_corpus
from multiattn.data.rows import BadRows
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host
from multiattn.runs.build import Built
from multiattn.runs.evaluate import check_inputs, check_splits, evaluate
from multiattn.runs.overlap import doubts_of
from multiattn.runs.start import Start, origin
from multiattn.runs.system import open_system
from multiattn.runs.train import Drawer, train
from multiattn.scoring.intervals import Score
from multiattn.training.trainer import start_accelerator

HINT_WORDS = 20  # of a first input to try; more would hide the command


@dataclass(frozen=True)
class Finished:
    """Scores by split and metric, what casts doubt on them, and an input to try.

    example: arguments of ``multiattn predict``.
    """

    scores: Mapping[str, Mapping[str, Score]]
    doubts: tuple[str, ...]
    example: str


def train_and_evaluate(start: Start, host: Host, console: Console, draw: Drawer) -> Finished:
    """Train or continue; then score the validation and the test split with the best weights."""
    splits = tuple(dict.fromkeys((start.settings.splits.validation, start.settings.splits.test)))
    corpus = open_corpus(start.settings, host, start.data_root)
    check_splits(start.settings, corpus, splits)
    doubts = cache(lambda: tuple(doubts_of(start.settings, host, corpus, splits, origin(start))))

    def look_ahead(built: Built) -> Iterable[str]:
        check_inputs(start.settings, corpus, start.settings.splits.test, built.sides.readers)
        return doubts()

    accelerator = start_accelerator(start.settings, start.run)
    train(start, host, accelerator, console, look_ahead=look_ahead, draw=draw)
    system = open_system(start.run, host)
    scores = {split: evaluate(system, split, "", start.data_root, accelerator) for split in splits}
    return Finished(scores, doubts(), _example(start.settings, corpus))


def _example(settings: RecipeSettings, corpus: Any) -> str:
    """The first input of the test split, as one would type it."""
    first = corpus.examples(settings.splits.test, BadRows(settings.training.bad_rows).handler)[0]
    values = {name: first.fields[source.field] for name, source in settings.sources.items()}
    quoted = {
        name: shlex.quote(" ".join(str(value).split(" ")[:HINT_WORDS]))
        for name, value in values.items()
        if value is not None
    }
    if len(values) == 1:
        return " ".join(quoted.values())
    return " ".join(f"{name}={value}" for name, value in quoted.items())
