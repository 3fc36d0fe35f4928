"""Clusters, Student's t and corrected p-values, against scipy, simulation and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from multiattn.errors import UserError
from multiattn.scoring.resampling import Clusters, Units, holm, student_t, swapped_sums


class Mean:
    def aggregate(self, sums, count):
        return {"mean": sums[0] / count}


def column(values):
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 19, 49, 400])
def test_the_quantile_of_student_t_is_that_of_scipy(degrees):
    assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-6)


def test_clusters_are_summed():
    clusters = Clusters("speaker", ["b", "a", "b", "c"])
    units = Units.of(column([1, 10, 2, 100]), clusters)
    assert units.sums.tolist() == [[10], [3], [100]]
    assert units.counts.tolist() == [1, 2, 1]
    assert units.examples == 4
    assert units.values(Mean()) == {"mean": 113 / 4}


def test_a_cluster_for_every_example_is_drawn_as_the_examples_are():
    values = np.random.default_rng(1).normal(size=30)
    own = Clusters("id", [f"{number:02d}" for number in range(30)])
    plain, clustered = (Units.of(column(values), each) for each in (None, own))
    assert plain.bootstrap(Mean(), 20, 3) == clustered.bootstrap(Mean(), 20, 3)


def test_an_interval_of_clusters_is_student_t_times_the_standard_error_of_their_means():
    generator = np.random.default_rng(2)
    speakers = np.repeat(np.arange(25), 8)
    values = generator.normal(size=25)[speakers] + 0.1 * generator.normal(size=200)
    units = Units.of(column(values), Clusters("speaker", [str(each) for each in speakers]))
    drawn = [each["mean"] for each in units.bootstrap(Mean(), 4000, 5)]
    low, high = units.interval(values.mean(), drawn)
    means = values.reshape(25, 8).mean(1)
    reach = stats.t.ppf(0.975, 24) * means.std(ddof=1) / np.sqrt(25)
    assert (high - low) / 2 == pytest.approx(reach, rel=0.05)
    assert (low + high) / 2 == pytest.approx(values.mean())


def test_clustered_intervals_hold_the_true_value_where_plain_ones_are_too_narrow():
    """60 corpora of 50 speakers; 95 % of 60 is 57. Two in three plain intervals miss."""
    generator = np.random.default_rng(3)
    held = {"plain": 0, "clustered": 0}
    for _ in range(60):
        speakers = np.repeat(np.arange(50), 10)
        values = generator.normal(size=50)[speakers] + 0.2 * generator.normal(size=500)
        clusters = Clusters("speaker", [str(each) for each in speakers])
        for name, units in (
            ("plain", Units.of(column(values), None)),
            ("clustered", Units.of(column(values), clusters)),
        ):
            drawn = [each["mean"] for each in units.bootstrap(Mean(), 200, 1)]
            low, high = units.interval(values.mean(), drawn)
            held[name] += low <= 0 <= high
    assert held["clustered"] >= 53
    assert held["plain"] <= 40


def test_whole_clusters_are_swapped():
    clusters = Clusters("speaker", ["a", "a", "b"])
    first, second = (Units.of(column(each), clusters) for each in ([1, 2, 4], [10, 20, 40]))
    sums = {(float(a[0]), float(b[0])) for a, b in swapped_sums(first, second, 64, 1)}
    assert sums == {(7.0, 70.0), (43.0, 34.0), (34.0, 43.0), (70.0, 7.0)}


def test_one_cluster_is_refused_and_few_are_warned_of():
    with pytest.raises(UserError, match="at least two values of 'speaker' to draw from, got 1"):
        Clusters("speaker", ["a", "a"])
    assert "2 values of 'speaker'" in Clusters("speaker", ["a", "b"]).warnings[0]
    assert Clusters("speaker", [str(n) for n in range(20)]).warnings == ()


def test_p_values_are_corrected_as_holm_does():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
