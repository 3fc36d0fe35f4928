"""Runs of each kind of input, trained for one step, and a server of them in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile
from click.testing import CliRunner
from served import WORDS, Running

import multiattn
from multiattn.cli import app

pytest.importorskip("fastapi", reason="the server is an extra")
pytest.importorskip("multiattn_audio")
pytest.importorskip("multiattn_image")

SHORT = ("steps=1", "validate_every=1", "checkpoint_every=1")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A captioning run and a speech run, with their corpora."""
    root = tmp_path_factory.mktemp("served")
    write_corpora(root / "data")
    splits = ("splits.train=train", "splits.validation=train", "splits.test=train")
    settings = {
        name: (f"corpus.name={corpus}", f"corpus.folder={name}", *splits)
        for name, corpus in (("pictures", "captions"), ("sounds", "manifest"))
    }
    return {
        "pictures": train(root, "captioning", "pictures", *settings["pictures"]),
        "sounds": train(root, "asr", "sounds", *settings["sounds"]),
    }


def write_corpora(data: Path) -> None:
    rng = np.random.default_rng(1)
    for folder in ("pictures", "sounds"):
        (data / folder).mkdir(parents=True)
    seconds = np.arange(16_000) / 16_000
    for number, word in enumerate(WORDS):
        pixels = rng.integers(0, 255, (70, 100, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(data / "pictures" / f"{word}.png")
        samples = 0.2 * np.sin(2 * np.pi * (200 + 100 * number + 300 * seconds) * seconds)
        soundfile.write(data / "sounds" / f"{word}.wav", samples, 16_000)
    images = [{"image": f"{word}.png", "captions": [word, word]} for word in WORDS]
    sounds = [{"audio": f"{word}.wav", "text": word} for word in WORDS]
    for folder, rows in (("pictures", images), ("sounds", sounds)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / folder / "train.jsonl").write_text(text)


def train(root: Path, recipe: str, name: str, *settings: str) -> Path:
    overrides = [*settings, *(f"training.{each}" for each in SHORT), "target.tokenizer.size=30"]
    arguments = ["train", recipe, "--data", str(root / "data"), "--out", str(root / name)]
    for each in overrides:
        arguments += ["--set", each]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return root / name


@pytest.fixture(scope="session")
def predictors(folders: dict[str, Path]) -> dict[str, Any]:
    """What ``predict`` uses, to compare with."""
    return {name: multiattn.load(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture(scope="session")
def address(predictors: dict[str, Any]) -> Iterator[str]:
    """Of a server in a thread, with small limits."""
    from multiattn.serve.limits import Limits

    limits = Limits(body=2_000_000, characters=200, media=5, queue=40, seconds=20, connections=60)
    with Running(predictors, limits) as url:
        yield url
