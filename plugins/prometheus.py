"""A plugin in one file: writes the progress of a run for Prometheus, in its text format.

    multiattn --plugin plugins/prometheus.py run translation

The file is ``multiattn.prom`` in the run's folder, new after every epoch. Set
``PROMETHEUS_TEXTFILE_DIRECTORY`` to the folder that the node exporter's textfile collector reads;
each run then has a file of its own there. Where it cannot be written, this is said once.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from multiattn import UserError, hookimpl

COLLECTED = "PROMETHEUS_TEXTFILE_DIRECTORY"

HELP = {
    "multiattn_run_active": "1 while the run is training, 0 when it has finished",
    "multiattn_run_updated_timestamp_seconds": "when these values were written, since 1970",
    "multiattn_run_epoch": "the epoch that finished last",
    "multiattn_run_figure": "the latest loss and scores, on the scale of the metrics themselves",
}

_epochs: dict[Path, int] = {}  # the last of each run of this process


@hookimpl
def multiattn_run_started(run: Path) -> None:
    """Say that the run is training."""
    _write(run, {}, active=True)


@hookimpl
def multiattn_epoch_finished(run: Path, epoch: int, metrics: Mapping[str, float]) -> None:
    """Write the epoch and the latest figures."""
    _epochs[run] = epoch
    _write(run, metrics, active=True)


@hookimpl
def multiattn_run_finished(run: Path, metrics: Mapping[str, float]) -> None:
    """Write the last figures, and that the run has finished."""
    _write(run, metrics, active=False)


def _write(run: Path, metrics: Mapping[str, float], *, active: bool) -> None:
    """Replace the run's file at once, so that no half of it is ever read. Raises UserError."""
    recipe = json.loads((run / "run.json").read_text(encoding="utf-8"))["recipe"]
    labels = {"recipe": recipe, "run": str(run)}
    path = _path(run)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    lines = _lines(labels, _epochs.get(run), metrics, active)
    try:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(
            f"expected a folder to write {path.name} into, got {path.parent} ({error.strerror}); "
            f"make it, or correct or unset {COLLECTED}; the run goes on without this file"
        ) from error


def _path(run: Path) -> Path:
    folder = os.environ.get(COLLECTED)
    if not folder:
        return run / "multiattn.prom"
    return Path(folder, "multiattn" + re.sub(r"\W+", "_", str(run.resolve())) + ".prom")


def _lines(
    labels: Mapping[str, str], epoch: int | None, metrics: Mapping[str, float], active: bool
) -> Iterator[str]:
    yield from _family("multiattn_run_active", [(labels, active)])
    yield from _family("multiattn_run_updated_timestamp_seconds", [(labels, time.time())])
    if epoch is not None:
        yield from _family("multiattn_run_epoch", [(labels, epoch)])
    figures = [({**labels, "figure": name}, value) for name, value in metrics.items()]
    yield from _family("multiattn_run_figure", figures)


def _family(name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    """The lines of one metric: what it is, then a value for each set of labels."""
    yield f"# HELP {name} {HELP[name]}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{pairs}}} {float(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
