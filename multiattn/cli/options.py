"""Options shared by commands on recipes and runs, and the overrides some are short for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe name (see `multiattn recipes`) or file.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the corpora; default: the shipped data.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="RUN", help="The run's folder; default: runs/RECIPE."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Override the recipe's seed.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a recipe setting: training.steps=500."
    ),
]
Init = Annotated[
    Path | None,
    typer.Option("--init", metavar="RUN", help="Start from the weights of another run."),
]
TokenizerOf = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="RUN", help="Reuse the target tokenizer of another run."),
]
LanguageModelRun = Annotated[
    Path | None,
    typer.Option("--lm", metavar="RUN", help="Language model for decoding: a run without sources."),
]
LanguageModelWeight = Annotated[
    float | None, typer.Option("--lm-weight", help="Weight of the language model; default: 0.2.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show settings, sizes and plan without training.")
]
ResultsTag = Annotated[
    str, typer.Option("--name", metavar="TAG", help="Write to results/SPLIT@TAG.")
]
EnsembleRuns = Annotated[
    list[Path] | None,
    typer.Option(
        "--ensemble",
        metavar="RUN",
        help="Another run to decode with as an ensemble; may be repeated.",
    ),
]


def search_overrides(
    lm: Path | None, weight: float | None, ensemble: list[Path] | None = None
) -> list[str]:
    """The overrides of ``search`` that these options are short for."""
    overrides = []
    if lm is not None:
        overrides.append(f"search.language_model.run={_quoted(str(lm))}")
    if weight is not None:
        overrides.append(f"search.language_model.weight={weight}")
    if ensemble:
        overrides.append(f"search.ensemble={_quoted([str(path) for path in ensemble])}")
    return overrides


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
