"""The stretch of a source without attention, against hand counts and a loop over all stretches."""

from __future__ import annotations

import pytest
import torch

from multiattn.search.diagnostics.unread import TOKENS, unread_stretch


def attention(per_slot):
    """Weights of two tokens that give each slot this attention in all."""
    half = torch.tensor(per_slot) / 2
    return torch.stack([half, half])


def test_an_even_reader_leaves_nothing_unread():
    assert not unread_stretch(attention([1.0] * 20), 0.75)
    assert not unread_stretch(attention([0.1] * 200), 0.09)


def test_the_second_sentence_is_named():
    read, unread = [1.2] * 10, [0.1] * 6
    assert unread_stretch(attention(read + unread), 0.75) == range(10, 16)
    assert unread_stretch(attention([*unread, *read, 0.75]), 0.75) == range(6)
    assert unread_stretch(attention([*unread, 1.0, *unread]), 0.75) == range(13)


def test_what_was_read_between_two_stretches_parts_them():
    read, unread = [1.75] * 6, [0.0] * 8
    assert unread_stretch(attention([*unread, *read, *unread, 0.0]), 0.75) == range(14, 23)


def test_peaks_with_little_in_between_are_no_doubt():
    assert not unread_stretch(attention([2.5, 0.1, 0.1, 2.0, 0.0, 0.2, 0.1, 1.0] * 4), 0.75)


def test_an_output_as_long_as_in_training_is_no_doubt():
    weights = torch.zeros(9, 100)
    weights[:, 0] = 1.0
    assert not unread_stretch(weights, 0.09)
    assert unread_stretch(weights[:8], 0.09) == range(1, 100)


def test_a_summary_reads_little_of_much():
    """Targets in training that have 0.02 tokens per slot: a hundred slots may be passed over."""
    assert not unread_stretch(attention([0.0] * 100 + [3.0] + [0.0] * 100), 0.02)
    assert unread_stretch(attention([0.0] * 100 + [3.0] + [0.0] * 200), 0.02) == range(101, 301)


@pytest.mark.parametrize("seed", range(20))
def test_it_lacks_as_much_as_the_worst_of_all_stretches(seed):
    generator = torch.Generator().manual_seed(seed)
    per_slot = torch.rand(30, generator=generator).pow(2).tolist()
    due = 0.5
    stretches = [(i, j) for i in range(30) for j in range(i + 1, 31)]
    worst = max(sum(due - one for one in per_slot[i:j]) for i, j in stretches)
    found = unread_stretch(attention(per_slot), due)
    assert bool(found) == (worst >= TOKENS)
    if found:
        assert sum(due - per_slot[slot] for slot in found) == pytest.approx(worst, abs=1e-5)
