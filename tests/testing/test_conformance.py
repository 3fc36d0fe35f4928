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
        ("unmasked", "padding_changes_no_context"),
        ("unmasked", "batching_changes_no_context"),
        ("remembering", "parallel_queries_are_independent"),
        ("remembering", "stepping_equals_the_forward_pass"),
        ("idle", "every_attention_parameter_gets_a_gradient"),
        ("idle", "every_decoder_parameter_gets_a_gradient"),
        ("misnamed", "signature_matches_record"),
        ("unclean", "padded_slots_are_zero"),
        ("neighbourly", "batching_changes_no_memory"),
        ("neighbourly", "padding_changes_no_memory"),
        ("contrary", "metric_has_its_own_value_and_prefers_correct_outputs"),
        ("contrary", "target_imports_no_torch"),
        ("contrary", "error_details_name_examples_by_id"),
        ("restless", "normaliser_is_idempotent"),
        ("backward", "aligner_times_every_word"),
        ("blank", "renderer_draws_every_record"),
    ],
)
def test_the_suite_finds_what_is_wrong(install, component, check):
    assert check in broken(install, "broken_contracts", f"/{component}/", check)


def test_the_suite_finds_nothing_wrong_where_nothing_is(install):
    assert broken(install, "broken_contracts", "/unclean/") == {"padded_slots_are_zero"}


def test_a_plugin_that_imports_torch_to_be_listed_fails_the_suite(install):
    assert broken(install, "torch_at_top", "plugin/") == {"entry_module_imports_no_torch"}


def test_a_plugin_whose_targets_alone_import_torch_passes_it(install):
    assert broken(install, "parts", "plugin/") == set()


def test_a_broken_plugin_fails_the_suite(install):
    failed = broken(install, "missing_module")
    assert failed == {"it_loads", "entry_module_imports_no_torch"}


def test_what_cannot_be_built_without_settings_is_skipped(install):
    install("bad_signatures", core=True)
    (case,) = [
        case
        for case in cases(load_host(), "bad-signatures")
        if "/outer/padding_changes_no_context" in case.id
    ]
    with pytest.raises(SkipTest, match="heads: expected a value"):
        case.run()
