"""The made corpus: the same every time, and no held-out pair in training."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from multiattn_sensors import make_gestures
from multiattn_sensors.make_gestures import CHANNELS, GESTURES, HELD_STILL, is_held_out, make

SIZES = {"train": 60, "validation": 10, "test": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("made"))


def make_small(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_gestures, "SIZES", SIZES)
        make(folder)
    return folder


def rows(folder, split):
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def gestures(text):
    """The names in a sentence, without how often each is made."""
    counts = (" twice", " three times")
    for count in counts:
        text = text.replace(count, "")
    return text.split(" , then ")


def test_it_is_the_same_every_time(folder, tmp_path):
    again = make_small(tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert len(files) == sum(SIZES.values()) + len(SIZES)
    assert all((folder / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_a_pair_of_the_test_sentences_is_in_no_training_sentence(folder):
    trained = {pair for row in rows(folder, "train") for pair in pairwise(gestures(row["text"]))}
    assert len(trained) > 40
    for split in ("validation", "test"):
        for row in rows(folder, split):
            assert set(pairwise(gestures(row["text"]))) - trained, row["text"]


def test_a_few_of_all_pairs_are_held_out():
    names = [*GESTURES, HELD_STILL]
    pairs = [(first, second) for first in names for second in names if first != second]
    held_out = [pair for pair in pairs if is_held_out(*pair)]
    assert 0.1 < len(held_out) / len(pairs) < 0.2


def test_every_series_has_six_finite_channels_and_gravity(folder):
    for row in rows(folder, "test"):
        series = np.load(folder / row["series"])
        assert series.dtype == np.float16
        assert series.shape[1] == len(CHANNELS)
        assert np.isfinite(series).all()
        assert np.median(series[:, CHANNELS.index("az")]) == pytest.approx(1.0, abs=0.4)


def test_a_turn_to_the_left_rotates_around_the_vertical_axis(folder):
    generator = np.random.default_rng(0)
    left = make_gestures._series([("turned left", 2)], generator).mean(0) - make_gestures.GRAVITY
    right = make_gestures._series([("turned right", 2)], generator).mean(0) - make_gestures.GRAVITY
    assert CHANNELS[np.abs(left).argmax()] == CHANNELS[np.abs(right).argmax()] == "gz"
    assert left[5] > 0 > right[5]
