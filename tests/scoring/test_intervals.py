"""Intervals and paired tests against theory, brute force and one large draw; without a plugin."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiattn.errors import UserError
from multiattn.registry import records
from multiattn.scoring import intervals, resampling
from multiattn.scoring.intervals import Design

RECORD = records.Metric(
    name="per-word", target="x:X", summary="…", higher_is_better=True, unit="0-1"
)


class PerWord:
    """A corpus-level ratio, as BLEU and WER are: numbers that outputs name, per reference word."""

    def statistics(self, hypotheses, references):
        lengths = [len(targets[0].split()) for targets in references]
        return np.column_stack([np.array(hypotheses, dtype=float), lengths])

    def aggregate(self, sums, count):
        return {"per-word": sums[0] / sums[1], "per-example": sums[0] / count}

    def signature(self):
        return "case:mixed|version:7"


def texts(numbers):
    return [str(number) for number in numbers]


def words(lengths):
    return [["w " * length] for length in lengths]


def score(numbers, references, **kwargs):
    return intervals.score(RECORD, PerWord(), texts(numbers), references, Design(**kwargs))


def compare(first, second, references, **kwargs):
    systems = [texts(first), texts(second)]
    return intervals.compare(RECORD, PerWord(), systems, references, Design(**kwargs))[0, 1]


EXAMPLES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=20)
PAIRS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12
)


def test_a_value_is_of_the_sums_not_the_mean_of_sentences():
    found = score([1, 3], words([1, 9]))
    assert found["per-word"].value == pytest.approx(4 / 10)
    assert found["per-example"].value == pytest.approx(4 / 2)


def test_a_score_says_all_that_it_depends_on_in_the_keys_of_scores_json():
    per_word = score([1, 2], words([2, 3]))["per-word"]
    found = json.loads(json.dumps(intervals.as_plain_data(per_word)))
    assert list(found) == ["value", "low", "high", "unit", "signature", "count"]
    assert (found["unit"], found["count"]) == ("0-1", 2)
    assert found["signature"] == "per-word|nrefs:1|bs:1000|seed:12345|case:mixed|version:7"


def test_a_group_is_scored_as_if_there_were_no_other():
    numbers, lengths = [1, 3, 2, 5, 4], words([1, 9, 3, 4, 7])
    found = intervals.score_groups(RECORD, PerWord(), texts(numbers), lengths, list("yxyxy"))
    assert list(found) == ["x", "y"]
    assert found["x"] == score([3, 5], words([9, 4]))
    assert found["y"] == score([1, 2, 4], words([1, 3, 7]))


def test_a_varying_number_of_references_is_said():
    found = score([1, 2], [["a"], ["a", "b"]], resamples=3, seed=4)["per-word"]
    assert found.signature == "per-word|nrefs:var|bs:3|seed:4|case:mixed|version:7"


def test_the_interval_of_a_mean_is_nearly_the_normal_one():
    numbers = np.random.default_rng(0).integers(0, 50, size=400)
    found = score(numbers, words([1] * 400))["per-example"]
    error = numbers.std() / np.sqrt(400)
    assert found.low == pytest.approx(numbers.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(numbers.mean() + 1.96 * error, abs=0.15 * error)


def test_drawing_one_resample_at_a_time_is_one_large_draw():
    chance = np.random.default_rng(1)
    numbers, lengths = chance.integers(0, 9, size=37), chance.integers(1, 9, size=37)
    drawn = np.random.default_rng(5).choice(37, size=(200, 37), replace=True)  # (R, n)
    ratios = np.sort(numbers[drawn].sum(axis=1) / lengths[drawn].sum(axis=1))
    found = score(numbers, words(lengths), resamples=200, seed=5)["per-word"]
    assert (found.low, found.high) == pytest.approx((ratios[5], ratios[-6]))  # 2.5 % of 200 is 5


@given(EXAMPLES)
@settings(deadline=None, max_examples=40)
def test_an_interval_contains_its_value(examples):
    numbers, lengths = zip(*examples, strict=True)
    for found in score(numbers, words(lengths), resamples=200).values():
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9


@given(EXAMPLES, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_of_examples_changes_no_value(examples, chance):
    shuffled = chance.sample(examples, len(examples))
    before, after = (
        score(numbers, words(lengths), resamples=2)
        for numbers, lengths in (zip(*rows, strict=True) for rows in (examples, shuffled))
    )
    for name, found in before.items():
        assert found.value == pytest.approx(after[name].value)
        assert (found.signature, found.count) == (after[name].signature, after[name].count)


def test_examples_that_are_all_alike_leave_no_doubt():
    found = score([3] * 10, words([4] * 10))["per-word"]
    assert found.low == found.value == found.high == 0.75


@given(PAIRS)
@settings(deadline=None, max_examples=30)
def test_the_order_of_the_systems_changes_the_sign_only(rows):
    first, second, lengths = zip(*rows, strict=True)
    there = compare(first, second, words(lengths), resamples=100, trials=100)
    back = compare(second, first, words(lengths), resamples=100, trials=100)
    assert (back.first, back.second) == (there.second, there.first)
    assert back.difference == pytest.approx(-there.difference)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p_value == there.p_value


@given(EXAMPLES)
@settings(deadline=None, max_examples=20)
def test_a_system_does_not_differ_from_itself(examples):
    numbers, lengths = zip(*examples, strict=True)
    found = compare(numbers, numbers, words(lengths), resamples=50, trials=50)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_the_systems_of_a_comparison_are_scored_as_each_alone():
    found = compare([1, 2, 3], [2, 2, 9], words([3, 4, 5]))
    assert found.first == score([1, 2, 3], words([3, 4, 5]))["per-word"]
    assert found.second == score([2, 2, 9], words([3, 4, 5]))["per-word"]
    assert found.signature == "per-word|nrefs:1|bs:1000|ar:10000|seed:12345|case:mixed|version:7"


def test_the_p_value_is_the_share_of_all_swaps_with_so_large_a_difference():
    chance = np.random.default_rng(2)
    first, second = chance.integers(0, 9, size=(2, 11))
    lengths = chance.integers(1, 9, size=11)
    observed = abs(second.sum() - first.sum())
    swaps = np.array(list(itertools.product([-1, 1], repeat=11)))  # (2 ** 11, n)
    share = np.mean(np.abs(swaps @ (second - first)) >= observed)
    found = compare(first, second, words(lengths), resamples=40, trials=5000)
    assert 0.05 < share < 0.95
    assert found.p_value == pytest.approx(share, abs=0.02)


def test_a_test_is_right_about_as_often_as_it_says():
    chance = np.random.default_rng(3)
    equal = [
        compare(*chance.integers(0, 9, size=(2, 30)), words([1] * 30), resamples=40, trials=99)
        for _ in range(100)
    ]
    assert sum(found.p_value <= 0.05 for found in equal) <= 11  # 5 expected; more: 1 in 300
    clear = compare([1, 2, 3] * 20, [2, 3, 4] * 20, words([1] * 60))
    assert clear.p_value < 0.001
    assert clear.low > 0


def test_how_many_trials_are_made_at_once_changes_nothing(monkeypatch):
    first, second = np.random.default_rng(4).integers(0, 9, size=(2, 17))
    blocks = compare(first, second, words([2] * 17), resamples=40, trials=300)
    monkeypatch.setattr(resampling, "_TRIALS_AT_ONCE", 300)
    assert compare(first, second, words([2] * 17), resamples=40, trials=300) == blocks


@pytest.mark.parametrize(
    ("hypotheses", "references", "sentence"),
    [
        (["1"], [["a"], ["b"]], "got 1 hypotheses and references for 2"),
        ([], [], "at least one example"),
        (["1", "2"], [["a"], []], "got none for example 2"),
    ],
)
def test_what_cannot_be_scored_is_a_users_mistake(hypotheses, references, sentence):
    with pytest.raises(UserError, match=sentence):
        intervals.score(RECORD, PerWord(), hypotheses, references)
    with pytest.raises(UserError, match=sentence):
        intervals.compare(RECORD, PerWord(), [hypotheses, hypotheses], references)


def test_scoring_needs_no_torch():
    program = "import sys; sys.modules['torch'] = None; import multiattn.scoring.intervals"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_interval_of_clusters_ends_where_the_scale_does():
    statistics = np.array([[1.0], [0.0], [1.0]])
    clusters = resampling.Clusters("speaker", ("a", "b", "c"))

    class Share:
        def statistics(self, hypotheses, references):
            return statistics

        def aggregate(self, sums, count):
            return {"share": float(sums[0] / count)}

        def signature(self):
            return "share"

    record = records.Metric(
        name="share", target="a:B", summary="s", higher_is_better=True, unit="0-1"
    )
    design = intervals.Design(clusters=clusters, resamples=50)
    found = intervals.score(record, Share(), ["x"] * 3, [["x"]] * 3, design)["share"]
    assert (found.low, found.high) == (0.0, 1.0)
