"""Evaluate a run on a split: decode it, score it, write the results folder.

A split is divided among the processes and its results are gathered by id. Decoding uses full
precision.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from multiattn.data.collation import Reader
from multiattn.data.dataset import Dataset
from multiattn.data.splits import Splits
from multiattn.errors import UserError, shown
from multiattn.recipe.settings import EvaluationSettings, SearchSettings
from multiattn.run_folder import RunFolder
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System
from multiattn.runs.validation import decode, measure
from multiattn.scoring import intervals
from multiattn.scoring.evaluator import Evaluator
from multiattn.scoring.intervals import Score
from multiattn.scoring.perplexity import PERPLEXITY, Perplexity
from multiattn.scoring.results import Results
from multiattn.search.diagnostics.reading import mean_reading
from multiattn.training.loss import Losses

PLACE_OF_AN_EXAMPLE = ("file", "line")  # notes of every corpus, for messages
UNGROUPED = "(none)"  # the group of examples that have no value for the grouping field


def evaluate(
    system: System, split: str, tag: str, splits: Splits, accelerator: Accelerator
) -> dict[str, Score]:
    """Decode and score a split into the folder ``RUN/results/SPLIT[@TAG]``.

    Existing results for the same settings and weights are returned; results for other settings are
    never overwritten. Raises UserError, also if another process is writing the same folder.
    """
    if "/" in tag:
        raise UserError(
            f"expected a name without / for the results, got {shown(tag)}; use - instead"
        )
    folder = system.run.results(split, tag)
    decoding = _decoding(system, split)
    with ExitStack() as lock:
        with accelerator.main_process_first():
            existing = _existing_scores(folder, decoding)
            if existing is None and accelerator.is_main_process:
                lock.enter_context(system.run.results_locked(folder))
                existing = _existing_scores(folder, decoding)  # another process may have ended
                if existing is None:
                    _set_aside(folder)
        if existing is not None:
            return existing
        return _evaluate_into(folder, decoding, system, splits, accelerator)


def _evaluate_into(
    folder: Path,
    decoding: dict[str, Any],
    system: System,
    splits: Splits,
    accelerator: Accelerator,
) -> dict[str, Score]:
    started, split = time.perf_counter(), decoding["split"]
    splits.require(split)
    system.model.to(accelerator.device)
    evaluate_split = _evaluate_outputs if system.settings.sources else _evaluate_perplexity
    results = evaluate_split(system, splits, split, accelerator)
    if _decoding(system, split) != decoding:
        raise UserError(
            f"expected the runs that {system.run.path} is decoded with to stay as they are, got "
            "other weights meanwhile; repeat the command once their training has ended"
        )
    if accelerator.is_main_process:
        decoding["seconds"] = round(time.perf_counter() - started, 2)
        Results(results.scores, decoding, results.groups, results.attention).write(
            folder, results.lines, results.details
        )
    accelerator.wait_for_everyone()
    return results.scores


def check_splits(splits: Splits, names: Iterable[str], group: str | None) -> None:
    """Raise UserError for a split that is missing, has bad rows or no references, or no groups."""
    for split in names:
        splits.require(split)
        _require_references(splits, split)
        _groups(splits, split, group)


def _require_references(splits: Splits, split: str) -> None:
    rows, _ = splits.evaluation_rows(split)
    if not any(row.targets for row in rows):
        raise UserError(
            f"expected references in the split {shown(split)} to score outputs against, got none "
            f"in the field {shown(splits.fields.target)}; name another split in the recipe, or use "
            "`multiattn train` and `predict`"
        )


def check_inputs(splits: Splits, split: str, readers: Mapping[str, Reader]) -> None:
    """Raise UserError for an unusable input of a split, as far as measuring it can tell."""
    Dataset.evaluation(splits, split, readers)


@dataclass(frozen=True)
class SplitResults:
    """The decoded outputs and scores of a split, as written to the results folder."""

    lines: list[dict[str, Any]]
    scores: dict[str, Score]
    groups: dict[str, dict[str, Score]] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    attention: dict[str, dict[str, float]] = field(default_factory=dict)


def _evaluate_outputs(
    system: System, splits: Splits, split: str, accelerator: Accelerator
) -> SplitResults:
    _require_references(splits, split)
    evaluator = Evaluator(system.settings.evaluation, system.host)
    groups = _groups(splits, split, system.settings.evaluation.group)
    data = Dataset.evaluation(splits, split, system.processors.readers)
    sizes = SourceSizes.read(system.run)
    due = {
        name: sizes[name].tokens_per_slot if name in sizes else None
        for name in system.settings.sources
    }
    decoded = decode(system.generator(), data, accelerator, due)
    meta = _meta(splits, split)
    return SplitResults(
        [
            {**example.as_json(), **({"meta": meta[example.id]} if meta[example.id] else {})}
            for example in decoded
        ],
        evaluator.scores(decoded),
        evaluator.groups(decoded, [groups[example.id] for example in decoded]) if groups else {},
        evaluator.error_details(decoded),
        {
            name: mean_reading([each.readings[name] for each in decoded if name in each.readings])
            for name in system.settings.sources
            if any(name in each.readings for each in decoded)
        },
    )


def _groups(splits: Splits, split: str, group: str | None) -> dict[str, str]:
    """The value of ``evaluation.group`` by example id, from a field or from the corpus's meta.

    Empty if no example of the split has a value for it. Raises UserError for an unknown name.
    """
    if group is None:
        return {}
    notes = splits.notes(split)
    names = sorted({name for values in notes.values() for name in values})
    if group not in names:
        raise UserError(
            f"expected evaluation.group to be a field or note of the corpus, got {shown(group)}; "
            f"choose from {', '.join(names)}"
        )
    if not any(values.get(group) for values in notes.values()):
        return {}
    return {example_id: str(values.get(group) or UNGROUPED) for example_id, values in notes.items()}


def _meta(splits: Splits, split: str) -> dict[str, dict[str, str]]:
    """What the corpus says of each example in one word or line, such as its speaker, by id."""
    used = {*splits.fields.sources.values(), splits.fields.target, *PLACE_OF_AN_EXAMPLE}
    return {
        example_id: {
            name: str(value)
            for name, value in values.items()
            if name not in used and isinstance(value, str | int) and str(value)
        }
        for example_id, values in splits.notes(split).items()
    }


def _evaluate_perplexity(
    system: System, splits: Splits, split: str, accelerator: Accelerator
) -> SplitResults:
    """For a language model: the log-probability of each text, and the overall perplexity."""
    search = system.settings.search
    if search.ensemble or search.language_model:
        raise UserError(
            "expected neither an ensemble nor a language model with a recipe without sources, "
            "whose own perplexity is measured, got one; leave it out"
        )
    processors = system.processors
    data = Dataset.validation(splits, split, processors.readers, processors.tokenizer)
    losses = Losses(system.model, system.objectives)
    _, rows = measure(losses, data, search.batch_size, accelerator)
    lines = [
        {"id": row.id, "text": row.targets[0], "score": -float(nll), "tokens": int(tokens)}
        for row, (nll, tokens) in zip(data.rows, rows, strict=True)
    ]
    unread = [""] * len(lines)  # the statistics are there already
    references = [[text] for text in unread]
    return SplitResults(lines, intervals.score(PERPLEXITY, Perplexity(rows), unread, references))


def _decoding(system: System, split: str) -> dict[str, Any]:
    """Everything that the results depend on besides the corpus."""
    search = system.settings.search
    decoding = {
        "split": split,
        "search": search.model_dump(mode="json"),
        "evaluation": system.settings.evaluation.model_dump(mode="json"),
        "weights": system.digest,
    }
    joined = [*search.ensemble, *([search.language_model.run] if search.language_model else [])]
    if joined:
        decoding["joined"] = {name: _digest(RunFolder(Path(name))) for name in joined}
    return decoding


def _digest(run: RunFolder) -> str | None:
    """SHA-256 of the weights; None if there are none (opening the run will raise)."""
    if not run.weights.is_file():
        return None
    return hashlib.sha256(run.weights.read_bytes()).hexdigest()


def _existing_scores(folder: Path, decoding: Mapping[str, Any]) -> dict[str, Score] | None:
    """Scores already in the folder for the same settings and weights; None for other weights.

    Raises UserError for other settings.
    """
    if not folder.exists():
        return None
    kept = Results.read(folder)
    before = _with_defaults(kept.decoding)
    before.setdefault("joined", decoding.get("joined"))  # older results lack it
    changed = [key for key, value in decoding.items() if before.get(key) != value]
    if not changed:
        return dict(kept.scores)
    if {*changed} <= {"weights", "joined"}:
        return None
    raise UserError(
        f"expected the settings that {folder / 'scores.json'} was made with, got other "
        f"{' and '.join(changed)}; use another folder with --name TAG, or move this one away"
    )


def _set_aside(folder: Path) -> None:
    """Keep the results of other weights, if there are any, under another name."""
    if folder.exists():
        decoding = Results.read(folder).decoding
        digests = [decoding["weights"], *map(str, (decoding.get("joined") or {}).values())]
        called = "-".join(digest[:8] for digest in digests)
        folder.rename(folder.with_name(f"{folder.name}@weights-{called}"))


def _with_defaults(decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in settings added since the results were written, which had their defaults then."""
    current = {"search": SearchSettings(), "evaluation": EvaluationSettings()}
    defaults = {key: settings.model_dump(mode="json") for key, settings in current.items()}
    return {
        key: {**defaults[key], **value} if key in defaults else value
        for key, value in decoding.items()
    }
