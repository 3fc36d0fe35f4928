"""The corpus ``hf-dataset``: folders made in the test, a hub that is not there, a run."""

from __future__ import annotations

import http.server
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest
import yaml
from click.testing import CliRunner
import pyarrow
import pyarrow.parquet as parquet
from datasets import Audio, ClassLabel, Features, Image, List, Translation, Value

import multiattn
from multiattn import StoredMedia, UserError, load_host
from multiattn.cli import app
from multiattn.protocols import Corpus, GroupedCorpus, ObjectReader
from multiattn_huggingface.corpus.hf_dataset import HuggingFaceDataset

pytest.importorskip("multiattn_image")
pytest.importorskip("multiattn_audio")
soundfile = pytest.importorskip("soundfile")

SPLITS = {"train": (0, 8), "validation": (10,), "test": (20,)}
COLOURS = ["red", "green", "blue", "white"]
FEATURES = Features(
    {
        "key": Value("string"),
        "speaker_id": Value("int64"),
        "photo": Image(),
        "sound": Audio(),
        "translation": Translation(["de", "en"]),
        "captions": List(Value("string")),
        "more": Value("string"),
        "mood": ClassLabel(names=["glad", "sad"]),
        "size": Value("float32"),
    }
)
FIELDS = {
    "photo": "photo",
    "sound": "sound",
    "en": "translation.en",
    "de": "translation.de",
    "captions": ["captions", "more"],
    "mood": "mood",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def png(number, side=20):
    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def wav(number, seconds=0.4, rate=16_000):
    content = io.BytesIO()
    moments = np.arange(int(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * moments) * np.sin(9 * moments)
    soundfile.write(content, tone, rate, format="WAV")
    return content.getvalue()


def table(first, count=4):
    """Rows as ``datasets`` stores them, with their features."""
    numbers = range(first, first + count)
    colours = [COLOURS[number % 4] for number in numbers]
    columns = {
        "key": [f"k{number}" for number in numbers],
        "speaker_id": [number // 2 for number in numbers],
        "photo": [{"bytes": png(number), "path": f"{number}.png"} for number in numbers],
        "sound": [{"bytes": wav(number), "path": None} for number in numbers],
        "translation": [{"de": f"das {each} Haus", "en": f"the {each} house"} for each in colours],
        "captions": [[f"a {each} picture", f"{each} noise"] for each in colours],
        "more": [f"all is {each}" for each in colours],
        "mood": [number % 2 for number in numbers],
        "size": [1.0] * count,
    }
    return pyarrow.Table.from_pydict(columns, schema=FEATURES.arrow_schema)


@pytest.fixture
def folder(tmp_path):
    """A folder of parquet files."""
    place = tmp_path / "mine"
    place.mkdir()
    for split, rows in SPLITS.items():
        parquet.write_table(table(*rows), place / f"{split}-00000-of-00001.parquet")
    return place


def corpus(folder, **settings):
    settings = {"fields": FIELDS, **settings}
    named = multiattn.registry.schema.Named(name="hf-dataset", **settings)
    return load_host().build("corpus", named, folder)
