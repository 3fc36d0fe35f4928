"""How a source is read, on weights whose answers one can see."""

from __future__ import annotations

import math

import pytest
import torch

from multiattn.search.diagnostics.reading import (
    Reading,
    looping_tokens,
    mean_reading,
    reading,
)


def looks_at(*slots, of):
    """Weights of tokens that each look at one slot."""
    return torch.eye(of)[list(slots)]


def test_a_diagonal_is_sharp_even_and_in_order():
    found = reading(looks_at(0, 1, 2, 3, of=4), (5, 6, 7), in_order=True, tokens_per_slot=0.1)
    assert found == Reading(0.0, 1.0, 1.0, 1.0, 0, 0)


def test_even_weights_have_the_entropy_of_a_choice_among_all_slots():
    found = reading(torch.full((3, 8), 1 / 8), (5, 6), in_order=True)
    assert found.entropy == pytest.approx(math.log2(8))
    assert found.coverage == pytest.approx(1)
    assert found.unread is None


def test_coverage_counts_a_slot_once_however_often_it_is_read():
    found = reading(looks_at(0, 0, 0, 1, of=4), (5, 6, 7), in_order=True)
    assert found.coverage == pytest.approx((1 + 1) / 4)
    assert found.reached == pytest.approx(1 / 3)


def test_steps_back_count_against_monotonicity_and_small_ones_do_not():
    found = reading(looks_at(0, 3, 2, 0, 4, of=5), (5, 6, 7, 8), in_order=True)
    assert found.monotonicity == pytest.approx(3 / 4)


def test_an_image_has_no_order():
    found = reading(looks_at(3, 0, of=4), (5,), in_order=False)
    assert found.as_json() == {"entropy": 0.0, "coverage": 0.5}


def test_an_unread_stretch_is_counted_in_slots():
    weights = looks_at(*range(10), of=40)
    assert reading(weights, range(9), in_order=True, tokens_per_slot=0.3).unread == 30


@pytest.mark.parametrize("period", [1, 2, 5])
def test_tokens_that_repeat_while_the_attention_stays_are_a_loop(period):
    phrase = list(range(10, 10 + period))
    tokens = [5, 6, *phrase * 4, 7]
    weights = looks_at(0, 1, *[2] * (4 * period), 3, 3, of=6)
    assert looping_tokens(weights, tokens) == range(2 + period, 2 + 4 * period)


def test_tokens_that_are_said_several_times_are_no_loop():
    assert looping_tokens(looks_at(0, 2, 4, 6, of=8), (5, 5, 5)) == range(0)


def test_two_equal_words_are_no_loop():
    assert looping_tokens(looks_at(0, 0, 0, of=4), (5, 5)) == range(0)
    assert looping_tokens(looks_at(0, of=4), ()) == range(0)


def test_a_set_has_means_and_counts():
    some = [Reading(1.0, 0.5, 1.0, 1.0, 0, 3), Reading(2.0, 1.0, 0.5, 0.5, 4, 0)]
    assert mean_reading(some) == {
        "entropy": 1.5,
        "coverage": 0.75,
        "monotonicity": 0.75,
        "reached": 0.75,
        "unread": 1,
        "looping": 1,
    }
    assert mean_reading([Reading(1.0, 0.5)]) == {"entropy": 1.0, "coverage": 0.5}
