"""MER, WIL and WIP equal those of jiwer; edits are those that the rates count."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiattn import Edit
from multiattn_audio.metrics.error_rates import Cer, Wer
from multiattn_audio.metrics.word_information import Mer, Wil, Wip

texts = st.lists(st.sampled_from(["a", "b", "c", "dd", "e"]), max_size=6).map(" ".join)
corpora = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)
MEASURES = [("mer", Mer, jiwer.mer), ("wil", Wil, jiwer.wil), ("wip", Wip, jiwer.wip)]


@pytest.mark.parametrize(("name", "metric", "official"), MEASURES)
@given(corpus=corpora)
def test_the_measure_equals_jiwers(name, metric, official, corpus):
    references, hypotheses = map(list, zip(*corpus, strict=True))
    rows = metric().statistics(hypotheses, [[text] for text in references])
    value = metric().aggregate(rows.sum(0), len(hypotheses))[name]
    assert value == pytest.approx(100 * official(references, hypotheses), abs=1e-9)


@pytest.mark.parametrize(("metric", "joint"), [(Wer, " "), (Cer, "")])
@given(corpus=corpora)
def test_edits_turn_references_into_outputs_and_are_as_many_as_are_counted(metric, joint, corpus):
    references, hypotheses = map(list, zip(*corpus, strict=True))
    targets = [[text] for text in references]
    counts = metric().statistics(hypotheses, targets)
    for row, edits, reference, output in zip(
        counts, metric().edits(hypotheses, targets), references, hypotheses, strict=True
    ):
        kinds = [edit.kind for edit in edits]
        assert [kinds.count(each) for each in ("substitute", "delete", "insert", "equal")] == [*row]
        assert joint.join(edit.reference for edit in edits if edit.reference) == reference
        assert joint.join(edit.output for edit in edits if edit.output) == output


def test_edits_are_against_the_nearest_reference():
    (edits,) = Wer().edits(["the cat sat"], [["a dog ran off", "the cat sits"]])
    assert edits == [
        Edit("equal", "the", "the"),
        Edit("equal", "cat", "cat"),
        Edit("substitute", "sits", "sat"),
    ]
