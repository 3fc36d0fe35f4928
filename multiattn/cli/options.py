"""Options that commands over recipes and runs share, and the settings that some are short for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A name (`multiattn recipes` lists them) or a file.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Where corpora lie; else what is shipped.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="The run's folder; else runs/RECIPE.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Instead of the recipe's.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's: training.steps=500."),
]
Init = Annotated[
    Path | None, typer.Option("--init", metavar="RUN", help="Start from the weights of a run.")
]
TokenizerOf = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="RUN", help="Take the target's tokenizer of a run."),
]
LanguageModelRun = Annotated[
    Path | None,
    typer.Option("--lm", metavar="RUN", help="A run without sources joins the search."),
]
LanguageModelWeight = Annotated[
    float | None, typer.Option("--lm-weight", help="Of its log-probabilities; else 0.2.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show settings, sizes and plan; train nothing.")
]
ResultsTag = Annotated[
    str, typer.Option("--name", metavar="TAG", help="Write to results/SPLIT@TAG.")
]
EnsembleRuns = Annotated[
    list[Path] | None,
    typer.Option("--ensemble", metavar="RUN", help="A run that writes along; may be repeated."),
]


def search_overrides(
    lm: Path | None, weight: float | None, ensemble: list[Path] | None = None
) -> list[str]:
    """Options as the overrides of ``search`` that they are short for."""
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
