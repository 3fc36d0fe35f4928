"""The conformance suite over everything that is registered, and that it finds what is wrong."""

from __future__ import annotations

from unittest import SkipTest

import pytest

from multiattn.registry.host import load_host
from multiattn.testing import cases

CASES = cases(load_host())


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_registered_component_keeps_its_contract(case):
    case.run()


def broken(install, distribution: str, component: str = "", check: str = "") -> set[str]:
    """Names of the checks that a hostile plugin fails, of one component, or one of them."""
    install(distribution, core=True)
    failed = set()
    for case in cases(load_host(), distribution.replace("_", "-")):
        if component not in case.id or not case.id.endswith(check):
            continue
        try:
            case.run()
        except AssertionError:
            failed.add(case.id.rpartition("/")[2])
        except SkipTest:
            pass
    return failed


@pytest.mark.parametrize(
    ("component", "check"),
    [
        ("unmasked", "weights_sum_to_one_over_real_slots"),
        ("unmasked", "padding_a_memory_changes_no_look"),
        ("unmasked", "a_batch_of_looks_is_its_looks_one_by_one"),
        ("remembering", "queries_side_by_side_look_as_they_do_alone"),
        ("remembering", "stepping_is_the_forward_pass"),
        ("idle", "every_parameter_of_a_look_gets_a_gradient"),
        ("idle", "every_parameter_of_a_decoder_gets_a_gradient"),
        ("misnamed", "its_signature_is_its_settings"),
        ("unclean", "padded_slots_are_zero"),
        ("neighbourly", "a_batch_of_examples_is_its_examples_one_by_one"),
        ("neighbourly", "padding_an_example_changes_nothing"),
        ("contrary", "a_metric_names_its_record_and_prefers_what_is_right"),
        ("contrary", "target_imports_no_torch"),
        ("contrary", "a_metric_shows_errors_by_id"),
        ("restless", "a_normaliser_is_done_after_once"),
        ("backward", "an_aligner_gives_every_word_its_time"),
        ("blank", "a_renderer_draws_what_it_is_given"),
    ],
)
def test_the_suite_finds_what_is_wrong(install, component, check):
    assert check in broken(install, "broken_contracts", f"/{component}/", check)


def test_the_suite_finds_nothing_wrong_where_nothing_is(install):
    assert broken(install, "broken_contracts", "/unclean/") == {"padded_slots_are_zero"}


def test_a_plugin_that_imports_torch_to_be_listed_fails_the_suite(install):
    assert broken(install, "torch_at_top", "plugin/") == {"its_entry_module_imports_no_torch"}


def test_a_plugin_whose_targets_alone_import_torch_passes_it(install):
    assert broken(install, "parts", "plugin/") == set()


def test_a_broken_plugin_fails_the_suite(install):
    failed = broken(install, "missing_module")
    assert failed == {"it_loads", "its_entry_module_imports_no_torch"}


def test_what_cannot_be_built_without_settings_is_skipped(install):
    install("bad_signatures", core=True)
    (case,) = [
        case
        for case in cases(load_host(), "bad-signatures")
        if "/outer/padding_a_memory" in case.id
    ]
    with pytest.raises(SkipTest, match="heads: expected a value"):
        case.run()
