"""The reader: normalised by the training series; what it refuses. The suite checks the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from multiattn import UserError
from multiattn_sensors.reader import SeriesReader


@pytest.fixture
def paths(tmp_path):
    """Three series of two channels with a large offset and scale; the last channel is constant."""
    generator = np.random.default_rng(3)
    found = []
    for length in (50, 7, 20):
        noise = generator.normal([1e6, -3.0], [0.5, 20.0], (length, 2))
        np.save(tmp_path / f"{length}.npy", np.column_stack([noise, np.full(length, 9.81)]))
        found.append(str(tmp_path / f"{length}.npy"))
    return found


def fitted(paths, **settings):
    reader = SeriesReader(**settings)
    reader.fit(paths, None)
    return reader


def test_the_training_samples_have_mean_0_and_deviation_1_together(paths):
    reader = fitted(paths)
    samples = np.concatenate([reader.read(path) for path in paths]).astype(np.float64)
    assert samples.mean(0).tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    assert samples.std(0).tolist() == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)


def test_bad_series_do_not_count_and_are_refused_when_they_are_measured(paths, tmp_path):
    bad = str(tmp_path / "bad.npy")
    np.save(bad, np.full((5, 3), np.nan))
    reader = fitted([bad, *paths])
    assert np.array_equal(reader.read(paths[0]), fitted(paths).read(paths[0]))
    with pytest.raises(UserError, match="finite"):
        reader.measure(bad)


def test_without_any_readable_training_series_it_says_so():
    with pytest.raises(UserError, match="a readable training series"):
        fitted(["nowhere.npy"])


def test_the_names_of_the_first_training_series_are_the_channels_of_all(tmp_path):
    for name, header in (("one", "x,y"), ("two", "y,x"), ("three", "x,z")):
        (tmp_path / f"{name}.csv").write_text(f"{header}\n1,2\n3,5\n", "utf-8")
    one, two, three = (str(tmp_path / f"{name}.csv") for name in ("one", "two", "three"))
    reader = fitted([one])
    assert reader.spec.channels == ("x", "y")
    mean, deviation = [2.0, 3.5], [1.0, 1.5]  # of 1, 3 and of 2, 5
    expected = (np.array([[2.0, 1.0], [5.0, 3.0]]) - mean) / deviation
    assert reader.read(two) == pytest.approx(expected)
    with pytest.raises(UserError, match="the column 'y'"):
        reader.read(three)


@pytest.mark.parametrize(
    "content", [None, "", "{}", "[]", json.dumps({"channels": ["x"], "mean": 1, "deviation": []})]
)
def test_damaged_statistics_are_a_user_error(content, tmp_path):
    if content is not None:
        (tmp_path / "statistics.json").write_text(content, "utf-8")
    with pytest.raises(UserError, match=r"statistics\.json"):
        SeriesReader().load(tmp_path, None)


def test_a_batch_is_padded_with_zeros(paths):
    reader = fitted(paths)
    items = [reader.read(path) for path in paths]
    values, lengths = reader.collate(items)
    assert lengths.tolist() == [50, 7, 20] == [reader.measure(path) for path in paths]
    assert values.shape == (3, 50, 3)
    assert np.array_equal(values[1, :7], items[1])
    assert not values[1, 7:].any()
