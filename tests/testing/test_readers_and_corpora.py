"""Readers and corpora that are wrong in one way each are found by the check meant for it alone."""

from __future__ import annotations

import pytest

from multiattn.registry.host import load_host
from multiattn.testing import cases


def results(install, distribution: str, component: str):
    """The results of the checks of one component of a hostile plugin."""
    install(distribution, core=True)
    found = cases(load_host(), distribution.replace("_", "-"))
    return [case.result() for case in found if case.component.endswith(f"/{component}")]


def failures(install, distribution: str, component: str) -> dict[str, str]:
    found = results(install, distribution, component)
    return {each.check: each.sentence for each in found if each.outcome == "failed"}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        ("numbering", "labels_name_each_slot", "expected labels that a person can read, got"),
        ("mislabelled", "labels_name_each_slot", "expected 7 labels of 'a cat sat on the mat'"),
        (
            "noisy",
            "reader_that_is_not_random_ignores_the_generator",
            "expected a reader with random = False to read the same",
        ),
        ("unseeded", "reading_twice_gives_the_same", "draw random numbers from the generator"),
        ("forgetful", "saved_reader_reads_the_same", "after save and load, got another"),
        ("leading", "collate_pads_at_the_end_and_keeps_lengths", "pad at the end"),
        ("tensors", "values_are_read_as_arrays", "expected read to give a numpy array"),
        ("overlong", "collate_pads_at_the_end_and_keeps_lengths", "[7, 3, 12, 5] of the items"),
        ("characters", "measure_is_the_size_of_what_is_read", "expected measure to give the"),
        (
            "raising",
            "unusable_values_raise_user_errors",
            "expected multiattn.UserError from read for the text '日本語 🙂', got ValueError: ",
        ),
        (
            "missing",
            "unusable_values_raise_user_errors",
            "expected multiattn.UserError from measure for the missing file, got FileNotFoundError",
        ),
        ("silent", "unusable_values_raise_user_errors", "for a file that does not exist"),
    ],
)
def test_a_reader_that_is_wrong_fails_one_check(install, component, check, sentence):
    failed = failures(install, "faulty_readers", component)
    assert failed.keys() == {check}
    assert sentence in failed[check]
    assert "; see multiattn.protocols." in failed[check]


def test_a_reader_that_is_right_passes_all_checks(install):
    assert {each.outcome for each in results(install, "faulty_readers", "right")} == {"passed"}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        ("repeating", "ids_differ", "expected a different id for every example of 'test', got"),
        ("undeclared", "fields_are_those_of_the_record", "got ['note', 'pitch', 'sound'] in"),
        ("lacking", "fields_are_those_of_the_record", "got ['note'] in example 'test-0'"),
        ("generating", "a_split_can_be_read_again", "such as a list, got generator"),
        ("exhausted", "a_split_can_be_read_again", "got 0 after 3"),
        ("pathless", "values_are_of_the_declared_kind", "the path of a file (audio) in the field"),
        ("numeric", "values_are_of_the_declared_kind", "a text in the field 'note'"),
        ("everything", "an_unknown_split_raises_a_user_error", "a split that does not exist"),
        ("ungrouped", "groups_are_a_field_or_a_note", "['id', 'note', 'sound'], got 'singer'"),
    ],
)
def test_a_corpus_that_is_wrong_fails_one_check(install, component, check, sentence):
    failed = failures(install, "faulty_corpora", component)
    assert failed.keys() == {check}
    assert sentence in failed[check]
    assert "; see multiattn.protocols." in failed[check]


def test_a_corpus_that_is_right_passes_all_checks(install):
    assert {each.outcome for each in results(install, "faulty_corpora", "right")} == {"passed"}


def test_a_corpus_without_an_example_is_skipped_with_what_to_write(install):
    skipped = [each for each in results(install, "faulty_corpora", "secret") if each.sentence]
    assert {each.outcome for each in skipped} == {"skipped"}
    assert all("`example_folder(folder)`" in each.sentence for each in skipped)
