"""WER and CER are jiwer's, to the last digit; what is beside them adds up."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from multiattn import records, scoring
from multiattn.cli import app
from multiattn_audio.metrics import Cer, Wer
from multiattn_audio.text_normalisers import EnglishNormaliser, PlainNormaliser

METRICS = [("wer", Wer, jiwer.wer, str.split), ("cer", Cer, jiwer.cer, list)]
SPOKEN = ["the cat sat on the mat", "a b c", "yes", "one two three four", ""]
WRITTEN = ["the cat sat mat", "a x c d", "yes", "", "noise"]

texts = st.lists(st.sampled_from(["a", "b", "c", "dd", "e"]), max_size=6).map(" ".join)
corpora = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)


def value(metric, name, hypotheses, references):
    statistics = metric.statistics(hypotheses, [[text] for text in references])
    return metric.aggregate(statistics.sum(0), len(hypotheses))[name]


def edit_distance(written, spoken):
    """Wagner and Fischer 1974, as the recursion is written down."""

    @functools.cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        change = written[i - 1] != spoken[j - 1]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + change)

    return distance(len(written), len(spoken))


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
@given(corpus=corpora)
def test_the_value_is_jiwers_exactly(name, metric, official, units, corpus):
    spoken, written = map(list, zip(*corpus, strict=True))
    assert value(metric(), name, written, spoken) == 100 * official(spoken, written)


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
@given(corpus=corpora)
def test_errors_are_the_edit_distance(name, metric, official, units, corpus):
    spoken, written = zip(*corpus, strict=True)
    rows = metric().statistics(written, [[text] for text in spoken])
    expected = [edit_distance(units(a), units(b)) for b, a in corpus]
    assert rows[:, :3].sum(1).tolist() == expected
    assert rows[:, [0, 1, 3]].sum(1).tolist() == [len(units(text)) for text in spoken]


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
def test_the_parts_add_up(name, metric, official, units):
    statistics = metric().statistics(WRITTEN, [[text] for text in SPOKEN])
    found = metric().aggregate(statistics.sum(0), len(WRITTEN))
    parts = [found[f"{name}-{part}"] for part in ("substitutions", "deletions", "insertions")]
    assert sum(parts) == pytest.approx(found[name])
    assert sum(parts[:2]) + found[f"{name}-hits"] == pytest.approx(100)


def test_the_interval_is_that_of_single_examples_drawn_by_hand():
    record = records.Metric(name="wer", target="a:B", summary="s", higher_is_better=False, unit="%")
    spoken, written = SPOKEN * 5, WRITTEN * 5
    score = scoring.score(record, Wer(), written, [[text] for text in spoken])["wer"]
    generator = np.random.default_rng(scoring.SEED)
    values = []
    for _ in range(scoring.RESAMPLES):
        drawn = generator.integers(len(spoken), size=len(spoken))
        values.append(100 * jiwer.wer([spoken[i] for i in drawn], [written[i] for i in drawn]))
    values.sort()
    assert (score.low, score.high) == pytest.approx((values[25], values[-26]))


def test_an_empty_reference_counts_what_was_added_and_adds_no_words():
    assert value(Wer(), "wer", ["a b", "x y"], ["a b", ""]) == 100.0
    assert value(Wer(), "wer", ["", ""], ["", "a"]) == 100.0
    assert value(Wer(), "wer", ["x y"], [""]) == 100 * jiwer.wer([""], ["x y"]) == 200.0
    assert value(Wer(), "wer", [""], [""]) == 0.0


def test_of_several_references_the_nearest_counts():
    references = [["a b c d", "a b x"], ["one two three", "uh one two"]]
    rows = Wer().statistics(["a b c", "one two"], references)
    # one error each way in both: the longer reference of the first, the earlier of the second
    assert rows.tolist() == [[0, 1, 0, 3], [0, 1, 0, 2]]


@pytest.mark.parametrize("metric", [Wer, Cer])
def test_a_normaliser_is_applied_to_both_and_named(metric):
    metric_of = metric(normaliser=PlainNormaliser)
    assert not metric_of.statistics(["Hello, world"], [["HELLO WORLD."]])[0, :3].any()
    assert "norm:plain-v1|" in metric_of.signature()
    assert "norm:none|" in metric().signature()


def test_it_equals_jiwer_on_what_the_normaliser_gives():
    spoken, written = ["Uh, it's LATE!", "we can't go"], ["its late", "We cannot go."]
    english = EnglishNormaliser()
    expected = 100 * jiwer.wer(list(map(english, spoken)), list(map(english, written)))
    assert value(Wer(normaliser=EnglishNormaliser), "wer", written, spoken) == expected > 0


def test_details_show_what_is_wrong_under_the_examples_ids():
    page = Wer().details(["a b c", "a x c"], [["a b c"], ["q r s", "a b c d"]], ["u-1", "u-2"])
    assert "=== u-2 ===\n\nREF: a b c d\nHYP: a x c *\n       S   D\n" in page
    assert "u-1" not in page
    assert "substitutions=1 deletions=1 insertions=0 hits=5" in page
    assert "b --> x" in " ".join(page.split())


def test_characters_are_shown_under_characters():
    assert "REF: abc\nHYP: axc\n" in Cer().details(["axc"], [["abc"]], ["one"])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, lines in (("ref", SPOKEN[:4]), ("hyp", WRITTEN[:4])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


COMMAND = ["score", "wer", "cer", "--hyp", "hyp", "--ref", "ref"]


def test_any_systems_output_is_scored_by_one_command(files):
    result = CliRunner().invoke(app, [*COMMAND, "--json", "--set", "normaliser=plain"])
    found = json.loads(result.stdout)
    assert found["wer"]["value"] == 100 * jiwer.wer(SPOKEN[:4], WRITTEN[:4])
    assert found["cer"]["value"] == 100 * jiwer.cer(SPOKEN[:4], WRITTEN[:4])
    assert found["wer"]["unit"] == "%"
    assert "norm:plain-v1" in found["cer"]["signature"]


def test_scoring_needs_no_torch(files):
    program = "import sys; sys.modules['torch'] = None; from multiattn.cli import main; main()"
    words = [sys.executable, "-c", program, *COMMAND, "--set", "normaliser=english"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wer-substitutions" in done.stdout


def test_an_unknown_normaliser_is_one_sentence(files):
    result = CliRunner().invoke(app, [*COMMAND, "--set", "normaliser=englisch"])
    assert result.exit_code == 2
    assert "did you mean english?" in result.stderr
