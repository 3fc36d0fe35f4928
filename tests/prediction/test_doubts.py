"""Where a warning says that a source was not read: in words, in seconds, or nowhere."""

from __future__ import annotations

import pytest
import torch

from multiattn.engine.layouts import Grid, Time, Tokens
from multiattn.prediction.doubts import looping_warnings, skipped_warnings, unread_warnings
from multiattn.runs.source_sizes import SourceSizes
from multiattn.search.diagnostics.skipped import CTCOutput
from multiattn.search.hypotheses import Hypothesis

SLOTS, READ = 40, 10


def warnings(layout, labels, due=0.5):
    """Of an output that attends to the first slots alone."""
    weights = torch.zeros(READ, SLOTS)
    weights[range(READ), range(READ)] = 1.0
    hypothesis = Hypothesis((), 0.0, 0.0, (), {"source": weights})
    sizes = {"source": SourceSizes(20, due)}
    return unread_warnings(hypothesis, {"source": layout}, {"source": labels}, sizes)


def test_a_text_is_quoted():
    words = ["▁never", "▁re", "ad"] * 13
    (warning,) = warnings(Tokens(), [*words, "</s>"])
    quoted = "read never read never read … read never read never read"
    assert f'in 30 of its 40 tokens, "{quoted}",' in warning


def test_a_recording_is_said_in_seconds():
    (warning,) = warnings(Time(0.04), [])
    assert "from 0.4 to 1.6 seconds" in warning


@pytest.mark.parametrize("layout", [Grid(5, 8), Tokens()])
def test_what_has_no_order_or_no_names_is_not_doubted(layout):
    assert warnings(layout, []) == []


@pytest.mark.parametrize("due", [None, 0.05])
def test_without_a_record_and_with_short_targets_there_is_no_doubt(due):
    assert warnings(Time(0.04), [], due) == []


def loops(layout, *slots):
    """What is said of an output that repeats a word while it looks at these slots."""
    words = [("go", 0, 1), ("home", 1, 2), ("home", 2, 3), ("home", 3, 4), ("home", 4, 5)]
    weights = torch.eye(8)[list(slots)]
    hypothesis = Hypothesis((5, 6, 6, 6, 6), 0.0, 0.0, (), {"source": weights})
    return looping_warnings(hypothesis, {"source": layout}, words)


def test_a_loop_is_quoted_and_words_that_are_said_again_are_none():
    (warning,) = loops(Time(0.04), 0, 2, 2, 2, 2, 7)
    assert "one place of the source 'source': 'home home home';" in warning
    assert loops(Time(0.04), 0, 1, 3, 5, 6, 7) == []
    assert loops(Grid(2, 4), 0, 2, 2, 2, 2, 7) == []


def test_what_ctc_finds_and_the_output_lacks_is_named_with_its_place():
    hypothesis = Hypothesis((5, 6), 0.0, 0.0, (), {})
    ctc = {"source": CTCOutput((5, 7, 8, 9, 10, 6), (0, 5, 10, 15, 20, 30))}
    (warning,) = skipped_warnings(hypothesis, {"source": Time(0.04)}, {"source": []}, ctc)
    assert "CTC finds 4 tokens in a row in the source 'source'" in warning
    assert "lacks, from 0.2 to 0.8 seconds;" in warning
    assert skipped_warnings(hypothesis, {"source": Time(0.04)}, {}, {"source": CTCOutput()}) == []
