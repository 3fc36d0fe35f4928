"""Create the folder of a new run, or check that the run in it may resume, and record the run."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from multiattn.data.corpus import media_sources
from multiattn.data.rows import Row
from multiattn.errors import UserError
from multiattn.files import remove_folder, write_bytes, write_json
from multiattn.recipe.loading import dump_recipe, load_recipe, refuse_differences
from multiattn.recipe.settings import PREDICTION_KEYS, RecipeSettings
from multiattn.registry.discovery import CORE_DISTRIBUTION, versions
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder
from multiattn.runs.processors import with_unicode_of
from multiattn.runs.source_sizes import SourceSizes

# Settings that may change when a run resumes: limits, patience, logging, display.
CHANGEABLE = (
    "summary",
    "expected",
    "corpus.obtain",
    "sources.*.cache",
    *PREDICTION_KEYS,
    "training.steps",
    "training.patience",
    "training.workers",
    "training.log_every",
    "training.checkpoint_every",
    "training.max_source",  # `record_run` compares the rows that it leaves
)


@dataclass(frozen=True)
class RunRequest:
    """The run that the user requested.

    recipe: its name or path as given. data_root: the folder of the corpora. init: a run to take
    initial weights from. Raises UserError for an ensemble: checkpoints are selected by the outputs
    of this run alone.
    """

    recipe: str
    settings: RecipeSettings
    run: RunFolder
    data_root: Path
    init: RunFolder | None = None

    def __post_init__(self) -> None:
        if self.settings.search.ensemble:
            raise UserError(
                "expected no search.ensemble in training, which selects checkpoints by the run's "
                f"own outputs, got {', '.join(self.settings.search.ensemble)}; give these with "
                "--ensemble to `multiattn evaluate` or `predict`"
            )


def open_run_folder(request: RunRequest, host: Host) -> None:
    """Create the folder, or check that the run in it may resume. Raises UserError."""
    run = request.run
    if run.exists():
        _check_resumable(request, with_unicode_of(load_recipe(run.recipe, (), host), run))
    elif run.path.exists() and any(not file.name.startswith(".") for file in run.path.iterdir()):
        raise UserError(
            f"expected a new, empty or existing run folder, got {run.path} with other files; "
            "choose another --out"
        )
    else:
        write_bytes(run.recipe, dump_recipe(request.settings).encode())


def record_run(
    request: RunRequest,
    host: Host,
    splits: Mapping[str, Sequence[Row]],
    sizes: Mapping[str, SourceSizes],
) -> None:
    """Record the run in its folder, once everything that its recipe names has been found.

    splits: the rows that training reads. sizes: of its sources. Raises UserError if a run resumes
    with rows other than those it started with.
    """
    run, init = request.run, initial_run(request)
    media = media_sources(request.settings.sources, host)
    examples = {split: _digest(rows, media) for split, rows in splits.items()}
    if run.has_checkpoint:
        before = run.read_start().get("examples", examples)
        changed = [split for split, digest in examples.items() if before.get(split) != digest]
        if changed:
            raise UserError(
                f"expected the examples that the run in {run.path} started with, got others in "
                f"{', '.join(changed)}; restore them, or start a new run with another --out"
            )
    write_bytes(run.recipe, dump_recipe(request.settings).encode())
    started = {"recipe": request.recipe, "data": str(request.data_root.resolve()), "init": init}
    sources = {name: asdict(size) for name, size in sizes.items()}
    recorded = {"examples": examples, "sources": sources, "fitted": run.fitted_digests()}
    write_json(run.start, {**started, **recorded})


def record_versions(run: RunFolder, host: Host) -> None:
    """Record with which versions the run trains from now on."""
    write_json(run.versions, _versions(host))


def trained_with(run: RunFolder, host: Host) -> str:
    """With which versions a finished run was trained: the core's, and those that changed since."""
    now = _versions(host)
    before = run.read_versions() if run.versions.is_file() else now
    changed = [
        f"{name} {number} (now {now[name]})"
        for name, number in before.items()
        if name in now and number != now[name] and name not in (CORE_DISTRIBUTION, "platform")
    ]
    core = before.get(CORE_DISTRIBUTION, "")
    later = "" if core == now[CORE_DISTRIBUTION] else f" (now {now[CORE_DISTRIBUTION]})"
    return ", ".join([f"multiattn {core}{later}", *changed])


def _versions(host: Host) -> dict[str, str]:
    return versions({plugin.found.distribution for plugin in host.plugins})


def _digest(rows: Sequence[Row], media: Container[str]) -> str:
    """SHA-256 of the rows: their texts, and the names of their files without the folders."""
    digest = hashlib.sha256()
    for row in rows:
        sources = {
            name: Path(str(value)).name if name in media and value is not None else value
            for name, value in row.sources.items()
        }
        digest.update(repr((row.id, sources, row.targets)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def initial_run(request: RunRequest) -> str | None:
    """The folder of the run that this run takes, or took, its initial weights from."""
    if request.init is not None:
        return str(request.init.path.resolve())
    found: str | None = request.run.read_start()["init"] if request.run.start.exists() else None
    return found


def _check_resumable(request: RunRequest, old: RecipeSettings) -> None:
    run = request.run
    if not run.has_checkpoint and not run.weights.exists():
        if old != request.settings:  # it ended before training; only these were fitted
            run.start.unlink(missing_ok=True)
            for folder in (run.tokenizer.parent, run.source("")):
                remove_folder(folder)
            write_bytes(run.recipe, dump_recipe(request.settings).encode())
        return
    what = f"a run that continues in {run.path}"
    refuse_differences(old, request.settings, CHANGEABLE, what)
    if not run.has_checkpoint:
        raise UserError(
            f"expected a checkpoint in {run.checkpoints} to continue from, got none; "
            "restore it, or start a new run with another --out"
        )
    if request.init is not None and initial_run(request) != run.read_start()["init"]:
        raise UserError(
            f"expected --init only with a new run, got {run.path}, which started without it; "
            "leave --init out to continue it, or start a new run with another --out"
        )
