"""Models, objectives and scorers, wrong in one way each: found by the check meant for it alone."""

from __future__ import annotations

import pytest

from multiattn.registry.host import load_host
from multiattn.testing import cases


@pytest.fixture
def results(install):
    """The results of the checks of one component of ``faulty_models``, by check."""
    install("faulty_models", core=True)

    def run(component: str):
        found = cases(load_host(), "faulty-models")
        own = [case.result() for case in found if case.component.endswith(f"/{component}")]
        return {result.check: result for result in own}

    return run


@pytest.mark.parametrize(
    ("component", "check", "protocol", "sentence"),
    [
        ("normed", "training_mixes_no_inputs", "Encoder", "in training mode; normalise by"),
        (
            "unequal",
            "features_and_the_rest_equal_the_encoder",
            "FeatureEncoder",
            "expected forward to equal forward_features of what features gives, got a ",
        ),
        (
            "learning",
            "frozen_features_learn_nothing",
            "FeatureEncoder",
            "set requires_grad_(False) for these, or frozen = False",
        ),
        (
            "dropping",
            "frozen_features_are_the_same_in_training",
            "FeatureEncoder",
            "so that this part stays in evaluation mode, got a difference of",
        ),
        (
            "bound",
            "encoder_works_on_any_device",
            "Encoder",
            "two different devices meta, cpu where it runs faulty_models.py, line ",
        ),
        (
            "uncounted",
            "slots_counts_the_slots_of_the_memory",
            "SlotCountingEncoder",
            "makes [3, 1, 2] slots of inputs of lengths [6, 2, 4], got none",
        ),
        (
            "miscounted",
            "slots_counts_the_slots_of_the_memory",
            "SlotCountingEncoder",
            "expected slots(8) to be the 2 slots of the memory of '4', or a few more, got 1",
        ),
        ("normedkeys", "training_mixes_no_scores", "Attention", "instead of by batch"),
        ("boundkeys", "decoder_works_on_any_device", "Attention", "two different devices"),
        ("detached", "loss_teaches_the_model", "Objective", "got a detached one"),
        ("padded", "padding_is_not_counted", "Objective", "padding to change no sum of the loss"),
        (
            "miscounting",
            "count_is_known_before_the_loss",
            "CountedObjective",
            "the number of target tokens, 12, got 3",
        ),
        (
            "competing",
            "hypotheses_are_scored_independently",
            "Scorer",
            "not to depend on the others",
        ),
    ],
)
def test_what_is_wrong_fails_one_check(results, component, check, protocol, sentence):
    failed = {
        name: result.sentence
        for name, result in results(component).items()
        if result.outcome == "failed"
    }
    assert failed.keys() == {check}
    assert sentence in failed[check]
    assert failed[check].endswith(f"; see multiattn.protocols.{protocol}")
    assert "Mismatched" not in failed[check]


@pytest.mark.parametrize("component", ["frozen", "halving", "numbers"])
def test_what_is_right_passes_all_checks(results, component):
    assert {result.outcome for result in results(component).values()} == {"passed"}


def test_a_model_that_reads_values_passes_and_is_told_that_no_graph_holds_it(results):
    found = results("peeking")
    skipped = {name for name, result in found.items() if result.outcome == "skipped"}
    assert skipped == {"encoder_works_on_any_device", "encoder_fits_a_gpu_graph"}
    assert {result.outcome for result in found.values()} == {"passed", "skipped"}
    assert found["encoder_fits_a_gpu_graph"].sentence.startswith(
        "a GPU graph cannot hold it, as it reads values of tensors in faulty_models.py, line "
    )
