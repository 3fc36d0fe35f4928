"""Runs of the tiny plugin in one second: a recipe, a corpus, and training as the command does it.

``python tiny_runs.py FOLDER [KEY=VALUE ...]`` trains in another process; with ``KILL=n`` in the
environment that process is gone, as by kill -9, when it flushes a file for the n-th time.
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from rich.console import Console
from tiny_plugin import write_corpus

from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits
from multiattn.prediction.predictor import attention_images
from multiattn.recipe.loading import load_recipe
from multiattn.registry.host import Host, load_host
from multiattn.run_folder import RunFolder
from multiattn.runs.start import RunRequest
from multiattn.runs.train import train
from multiattn.training.accelerator import start_accelerator

torch.set_num_threads(1)  # matrices so small only lose by more
PLUGIN = Path(__file__).with_name("tiny_plugin.py")
TIMES = {"seconds", "tokens_per_second"}
RECIPE: dict[str, Any] = {
    "corpus": {"name": "tiny-pairs", "folder": "pairs"},
    "sources": {
        "letters": {"field": "source", "reader": "tiny-letters", "encoder": "tiny-embedding"}
    },
    "target": {"field": "target", "tokenizer": {"kind": "char"}},
    "decoder": {
        "name": "lstm",
        "embedding_dim": 8,
        "hidden_dim": 12,
        "dropout": 0.1,
        "initial_state": "mean",
    },
    "training": {
        "steps": 12,
        "batch_tokens": 60,
        "learning_rate": 0.02,
        "warmup_steps": 3,
        "validate_every": 4,
        "checkpoint_every": 3,
        "log_every": 2,
        "average": 2,
    },
    "search": {"beam": 2, "max_length": 8, "batch_size": 4},
    "evaluation": {"metrics": ["tiny-accuracy"]},
}


@functools.cache
def host(*files: Path) -> Host:
    """The core, the tiny plugin and those in ``files``, whatever else is installed."""
    with mock.patch.dict(os.environ, MULTIATTN_PLUGINS="multiattn"):
        return load_host([PLUGIN, *files])


def start(
    folder: Path, overrides: Sequence[str] = (), run: str = "run", **parts: Any
) -> RunRequest:
    """A recipe and its corpus in ``folder``, to be run in ``folder/run``."""
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, **parts}))
    if not (folder / "pairs").exists():
        write_corpus(folder / "pairs")
    settings = load_recipe(recipe, overrides, host())
    return RunRequest(str(recipe), settings, RunFolder(folder / run), folder)


def splits_of(request: RunRequest, plugins: Host | None = None) -> Splits:
    """The corpus of a request."""
    corpus = open_corpus(request.settings.corpus, plugins or host(), request.data_root)
    return Splits(corpus, request.settings)


def trained(started: RunRequest) -> RunFolder:
    """Train without a word."""
    accelerator, console = start_accelerator(started.settings, started.run), io.StringIO()
    splits = splits_of(started)
    train(started, host(), splits, accelerator, Console(file=console), draw=attention_images)
    return started.run


def log_of(run: RunFolder) -> list[dict[str, Any]]:
    """The log without what a clock says."""
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    return [{name: line[name] for name in line.keys() - TIMES} for line in lines]


def _die_at(number: int) -> None:
    """Be gone, without a word to anybody, instead of flushing a file for the n-th time."""
    flush, countdown = os.fsync, iter(range(number - 1, -1, -1))

    def counted(descriptor: int) -> None:
        flush(descriptor) if next(countdown) else os._exit(9)

    os.fsync = counted  # type: ignore[assignment]


if __name__ == "__main__":
    if "KILL" in os.environ:
        _die_at(int(os.environ["KILL"]))
    trained(start(Path(sys.argv[1]), sys.argv[2:]))
