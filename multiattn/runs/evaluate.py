"""Decode a split, score it, write results. It knows metrics by contract and texts as strings.

Splits are shared out over the processes, gathered by id and checked to be complete. What is decoded
is decoded in full precision.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from multiattn.data.collation import Reader
from multiattn.data.corpus import open_corpus
from multiattn.data.dataset import Dataset
from multiattn.data.rows import BadRows, scored_rows
from multiattn.errors import UserError
from multiattn.recipe.settings import Evaluation, RecipeSettings, Search
from multiattn.run_folder import RunFolder
from multiattn.runs.system import System
from multiattn.runs.validation import decode, measure
from multiattn.scoring import intervals
from multiattn.scoring.evaluator import Judge
from multiattn.scoring.intervals import Score
from multiattn.scoring.metric import PERPLEXITY, Perplexity
from multiattn.scoring.results import Results
from multiattn.training.loss import Losses

UNGROUPED = "(none)"  # the group of examples without a value where others have one


def evaluate(
    system: System, split: str, tag: str, data_root: Path, accelerator: Accelerator
) -> dict[str, Score]:
    """Write and score a split: a folder ``RUN/results/SPLIT[@TAG]`` of ``results.py``.

    The same results again cost nothing; other settings never take their place. Raises UserError.
    """
    if "/" in tag:
        raise UserError(f"expected a name without / for the results, got {tag!r}; use - instead")
    folder = system.run.results(split, tag)
    decoding = _decoding(system, split)
    with accelerator.main_process_first():
        kept = _kept_scores(folder, decoding)
    if kept is not None:
        return kept
    started = time.perf_counter()
    corpus = open_corpus(system.settings, system.host, data_root)
    _require_split(corpus, split)
    system.model.to(accelerator.device)
    measured = _measured_perplexity if not system.settings.sources else _measured_outputs
    found = measured(system, corpus, split, accelerator)
    if accelerator.is_main_process:
        decoding["seconds"] = round(time.perf_counter() - started, 2)
        Results(found.scores, decoding, found.groups).write(folder, found.lines, found.pages)
    accelerator.wait_for_everyone()
    return found.scores


def check_splits(settings: RecipeSettings, corpus: Any, splits: Iterable[str]) -> None:
    """Raise UserError for a split that could not be scored as the recipe wants."""
    for split in splits:
        _require_split(corpus, split)
        scored_rows(corpus, split, settings, BadRows(settings.training.bad_rows))
        _groups(settings, corpus, split)


def check_inputs(
    settings: RecipeSettings, corpus: Any, split: str, readers: Mapping[str, Reader]
) -> None:
    """Raise UserError for an input of a split that cannot be used, as far as measuring tells."""
    if settings.sources:
        Dataset.evaluation(corpus, split, settings, readers)


def _require_split(corpus: Any, split: str) -> None:
    """What a corpus lists is there; it may know others besides, such as several joined."""
    if split in corpus.splits():
        return
    try:
        corpus.examples(split, BadRows("skip").handler)
    except UserError as error:
        raise UserError(
            f"expected a split of the corpus ({', '.join(corpus.splits())}), got {split!r}; "
            "choose one of these in the recipe, or with --split"
        ) from error


@dataclass(frozen=True)
class Measured:
    """A split written and scored: what becomes a folder of results."""

    lines: list[dict[str, Any]]
    scores: dict[str, Score]
    groups: dict[str, dict[str, Score]] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)


def _measured_outputs(
    system: System, corpus: Any, split: str, accelerator: Accelerator
) -> Measured:
    judge = Judge(system.settings.evaluation, system.host)
    groups = _groups(system.settings, corpus, split)
    data = Dataset.evaluation(corpus, split, system.settings, system.sides.readers)
    written = decode(system.writer(), data, accelerator)
    return Measured(
        [row.as_json() for row in written],
        judge.scores(written),
        judge.groups(written, [groups[row.id] for row in written]) if groups else {},
        judge.pages(written),
    )


def _groups(settings: RecipeSettings, corpus: Any, split: str) -> dict[str, str]:
    """What ``evaluation.group`` names of each example by id: a field, or a note of the corpus.

    None at all where the corpus knows the name but no value of it. Raises UserError for another.
    """
    name = settings.evaluation.group
    if name is None:
        return {}
    examples = corpus.examples(split, BadRows(settings.training.bad_rows).handler)
    values = {example.id: {**example.fields, **example.meta} for example in examples}
    known = sorted({key for found in values.values() for key in found})
    if name not in known:
        raise UserError(
            f"expected evaluation.group to be one of {', '.join(known)}, as the corpus has no "
            f"other fields and notes, got {name!r}; name one of these"
        )
    if not any(found.get(name) for found in values.values()):
        return {}
    return {key: str(found.get(name) or UNGROUPED) for key, found in values.items()}


def _measured_perplexity(
    system: System, corpus: Any, split: str, accelerator: Accelerator
) -> Measured:
    """For a language model: how surprised it is by each text, its score the log-probability."""
    search = system.settings.search
    if search.ensemble or search.language_model:
        raise UserError(
            "expected neither an ensemble nor a language model beside a recipe without sources, "
            "whose own perplexity is measured, got some; leave them out"
        )
    sides = system.sides
    data = Dataset.validation(corpus, split, system.settings, sides.readers, sides.tokenizer)
    losses = Losses(system.model, system.objectives)
    batch_size = system.settings.search.batch_size
    _, rows = measure(losses, data, batch_size, accelerator)
    lines = [
        {"id": row.id, "text": row.targets[0], "score": -float(surprise), "tokens": int(tokens)}
        for row, (surprise, tokens) in zip(data.rows, rows, strict=True)
    ]
    texts = [row.targets[0] for row in data.rows]
    metric = Perplexity(rows)
    return Measured(lines, intervals.score(PERPLEXITY, metric, texts, [[text] for text in texts]))


def _decoding(system: System, split: str) -> dict[str, Any]:
    """All that the results depend on besides the corpus."""
    search = system.settings.search
    decoding = {
        "split": split,
        "search": search.model_dump(mode="json"),
        "evaluation": system.settings.evaluation.model_dump(mode="json"),
        "weights": _digest(system.run),
    }
    joined = [*search.ensemble, *([search.language_model.run] if search.language_model else [])]
    if joined:
        decoding["joined"] = {name: _digest(RunFolder(Path(name))) for name in joined}
    return decoding


def _digest(run: RunFolder) -> str | None:
    """Of the weights. None without any, as opening the run will say."""
    if not run.weights.is_file():
        return None
    return hashlib.sha256(run.weights.read_bytes()).hexdigest()


def _kept_scores(folder: Path, decoding: Mapping[str, Any]) -> dict[str, Score] | None:
    """Scores that are there already, if they are of the same settings; UserError if not.

    Those of weights that training has left behind since make room, under another name.
    """
    if not folder.exists():
        return None
    kept = Results.read(folder)
    before = _with_new_settings(kept.decoding)
    before.setdefault("joined", decoding.get("joined"))  # it was not always noted
    changed = [key for key, value in decoding.items() if before.get(key) != value]
    if not changed:
        return dict(kept.scores)
    if {*changed} <= {"weights", "joined"}:
        digests = [before["weights"], *map(str, (before["joined"] or {}).values())]
        called = "-".join(digest[:8] for digest in digests)
        folder.rename(folder.with_name(f"{folder.name}@weights-{called}"))
        return None
    raise UserError(
        f"expected the settings that {folder / 'scores.json'} was made with, got other "
        f"{' and '.join(changed)}; write beside it with --name TAG, or move the folder away"
    )


def _with_new_settings(decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that have come since the results were written had their defaults then."""
    known = {"search": Search(), "evaluation": Evaluation()}
    defaults = {key: settings.model_dump(mode="json") for key, settings in known.items()}
    return {
        key: {**defaults[key], **value} if key in defaults else value
        for key, value in decoding.items()
    }
