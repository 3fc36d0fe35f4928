"""WER and CER equal those of jiwer exactly; their components add up."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from multiattn.cli import app
from multiattn.registry import records
from multiattn.scoring import intervals
from multiattn_audio.metrics.error_rates import Cer, Wer
from multiattn_audio.text_normalisers import EnglishNormaliser, PlainNormaliser

METRICS = [("wer", Wer, jiwer.wer, str.split), ("cer", Cer, jiwer.cer, list)]
REFERENCES = ["the cat sat on the mat", "a b c", "yes", "one two three four", ""]
HYPOTHESES = ["the cat sat mat", "a x c d", "yes", "", "noise"]

texts = st.lists(st.sampled_from(["a", "b", "c", "dd", "e"]), max_size=6).map(" ".join)
corpora = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)


def score(metric, name, hypotheses, references):
    statistics = metric.statistics(hypotheses, [[text] for text in references])
    return metric.aggregate(statistics.sum(0), len(hypotheses))[name]


def edit_distance(hypothesis, reference):
    """The recursion of Wagner and Fischer 1974."""

    @functools.cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        substitution = hypothesis[i - 1] != reference[j - 1]
        return min(
            distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + substitution
        )

    return distance(len(hypothesis), len(reference))


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
@given(corpus=corpora)
def test_the_score_equals_jiwers_exactly(name, metric, official, units, corpus):
    references, hypotheses = map(list, zip(*corpus, strict=True))
    assert score(metric(), name, hypotheses, references) == 100 * official(references, hypotheses)


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
@given(corpus=corpora)
def test_the_number_of_errors_is_the_edit_distance(name, metric, official, units, corpus):
    references, hypotheses = zip(*corpus, strict=True)
    rows = metric().statistics(hypotheses, [[text] for text in references])
    expected = [
        edit_distance(units(hypothesis), units(reference)) for reference, hypothesis in corpus
    ]
    assert rows[:, :3].sum(1).tolist() == expected
    assert rows[:, [0, 1, 3]].sum(1).tolist() == [len(units(text)) for text in references]


@pytest.mark.parametrize(("name", "metric", "official", "units"), METRICS)
def test_the_components_add_up(name, metric, official, units):
    statistics = metric().statistics(HYPOTHESES, [[text] for text in REFERENCES])
    rates = metric().aggregate(statistics.sum(0), len(HYPOTHESES))
    components = [rates[f"{name}-{part}"] for part in ("substitutions", "deletions", "insertions")]
    assert sum(components) == pytest.approx(rates[name])
    assert sum(components[:2]) + rates[f"{name}-hits"] == pytest.approx(100)


def test_the_confidence_interval_equals_a_bootstrap_over_examples():
    record = records.Metric(name="wer", target="a:B", summary="s", higher_is_better=False, unit="%")
    references, hypotheses = REFERENCES * 5, HYPOTHESES * 5
    interval = intervals.score(record, Wer(), hypotheses, [[text] for text in references])["wer"]
    generator = np.random.default_rng(intervals.SEED)
    values = []
    for _ in range(intervals.RESAMPLES):
        drawn = generator.integers(len(references), size=len(references))
        values.append(
            100 * jiwer.wer([references[i] for i in drawn], [hypotheses[i] for i in drawn])
        )
    values.sort()
    assert (interval.low, interval.high) == pytest.approx((values[25], values[-26]))


def test_an_empty_reference_adds_insertions_and_no_words():
    assert score(Wer(), "wer", ["a b", "x y"], ["a b", ""]) == 100.0
    assert score(Wer(), "wer", ["", ""], ["", "a"]) == 100.0
    assert score(Wer(), "wer", ["x y"], [""]) == 100 * jiwer.wer([""], ["x y"]) == 200.0
    assert score(Wer(), "wer", [""], [""]) == 0.0


def test_the_nearest_of_several_references_counts():
    references = [["a b c d", "a b x"], ["one two three", "uh one two"]]
    rows = Wer().statistics(["a b c", "one two"], references)
    # In both examples, each reference gives one error: the longer counts, or else the first.
    assert rows.tolist() == [[0, 1, 0, 3], [0, 1, 0, 2]]


@pytest.mark.parametrize("metric", [Wer, Cer])
def test_a_normaliser_is_applied_to_both_texts_and_in_the_signature(metric):
    normalised_metric = metric(normaliser=PlainNormaliser)
    assert not normalised_metric.statistics(["Hello, world"], [["HELLO WORLD."]])[0, :3].any()
    assert "norm:plain-v1|" in normalised_metric.signature()
    assert "norm:none|" in metric().signature()


def test_the_score_equals_jiwers_on_normalised_texts():
    references, hypotheses = ["Uh, it's LATE!", "we can't go"], ["its late", "We cannot go."]
    english = EnglishNormaliser()
    expected = 100 * jiwer.wer(list(map(english, references)), list(map(english, hypotheses)))
    assert score(Wer(normaliser=EnglishNormaliser), "wer", hypotheses, references) == expected > 0


def test_details_align_the_examples_with_errors_under_their_ids():
    details = Wer().details(["a b c", "a x c"], [["a b c"], ["q r s", "a b c d"]], ["u-1", "u-2"])
    assert "=== u-2 ===\n\nREF: a b c d\nHYP: a x c *\n       S   D\n" in details
    assert "u-1" not in details
    assert "substitutions=1 deletions=1 insertions=0 hits=5" in details
    assert "b --> x" in " ".join(details.split())


def test_details_of_cer_align_characters():
    assert "REF: abc\nHYP: axc\n" in Cer().details(["axc"], [["abc"]], ["one"])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, lines in (("ref", REFERENCES[:4]), ("hyp", HYPOTHESES[:4])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


COMMAND = ["score", "wer", "cer", "--hyp", "hyp", "--ref", "ref"]


def test_the_score_command_equals_jiwer(files):
    result = CliRunner().invoke(app, [*COMMAND, "--json", "--set", "normaliser=plain"])
    results = json.loads(result.stdout)
    assert results["wer"]["value"] == 100 * jiwer.wer(REFERENCES[:4], HYPOTHESES[:4])
    assert results["cer"]["value"] == 100 * jiwer.cer(REFERENCES[:4], HYPOTHESES[:4])
    assert results["wer"]["unit"] == "%"
    assert "norm:plain-v1" in results["cer"]["signature"]


def test_scoring_needs_no_torch(files):
    program = "import sys; sys.modules['torch'] = None; from multiattn.cli import main; main()"
    command = [sys.executable, "-c", program, *COMMAND, "--set", "normaliser=english"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "wer-substitutions" in completed.stdout


def test_an_unknown_normaliser_gets_a_suggestion(files):
    result = CliRunner().invoke(app, [*COMMAND, "--set", "normaliser=englisch"])
    assert result.exit_code == 2
    assert "did you mean english or whisper-english?" in result.stderr


def test_an_empty_reference_is_said_with_the_rate():
    record = records.Metric(name="wer", target="a:B", summary="s", higher_is_better=False, unit="%")
    found = intervals.score(record, Wer(), ["noise here", "yes"], [[""], ["yes"]])["wer"]
    assert found.value == 200  # two insertions, one word
    (warning,) = found.warnings
    assert "1 of 2 examples have no reference with a token (the first is example 1)" in warning
    assert not intervals.score(record, Wer(), ["no", "yes"], [["no"], ["yes"]])["wer"].warnings


@pytest.mark.parametrize(("metric", "said"), [(Wer, True), (Cer, False)])
def test_words_that_are_whole_clauses_are_said(metric, said):
    name = metric.__name__.lower()
    record = records.Metric(name=name, target="a:B", summary="s", higher_is_better=False, unit="%")
    texts = ["猫坐在垫子上", "我喜欢苹果"]
    warnings = intervals.score(record, metric(), texts, [[text] for text in texts])[name].warnings
    assert any("does not divide" in warning and "cer" in warning for warning in warnings) is said
