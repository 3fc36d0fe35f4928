"""The conformance suite over everything that is registered, and that it finds what is wrong."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from unittest import SkipTest

import pytest

import multiattn.protocols
from multiattn.protocols import required_protocol
from multiattn.registry.host import load_host
from multiattn.registry.records import KINDS
from multiattn.testing import CHECKS, NEEDED, PROTOCOLS, cases, devices, reason_of
from multiattn.testing.loading import TARGET_CHECKS, has_methods_of_its_protocols

CASES = cases(load_host())


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_registered_component_keeps_its_contract(case):
    case.run()


def test_every_kind_has_a_protocol_and_every_check_is_of_a_kind():
    assert [kind for kind in KINDS if required_protocol(kind) is None] == ["recipe"]
    assert CHECKS.keys() == KINDS.keys()
    assert NEEDED.keys() <= KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_checks_beyond_those_of_its_signature(kind):
    assert set(CHECKS[kind]) - set(TARGET_CHECKS)


def test_the_protocols_that_checks_refer_to_exist():
    assert set(PROTOCOLS.values()) <= set(multiattn.protocols.__all__)


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


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("WithoutSpec", "spec"),
        ("Inheriting", "collate, labels, measure, read, spec"),
        ("HalfFitted", "load, save"),
        ("WithHelper", ""),
    ],
)
def test_members_that_a_protocol_asks_for_are_missed_where_they_do_nothing(name, lacking):
    """The protocol's own stubs, when inherited, count as missing."""

    class WithoutSpec:
        read = measure = collate = labels = lambda self, *_: None

    class Inheriting(multiattn.protocols.Reader):
        pass

    class WithHelper(WithoutSpec):
        spec = None.__class__
        load = lambda self: None  # noqa: E731

    class HalfFitted(WithHelper):
        fit = lambda self, *_: None  # noqa: E731
        load = None

    target = {each.__name__: each for each in (WithoutSpec, Inheriting, WithHelper, HalfFitted)}[
        name
    ]
    row = SimpleNamespace(record=SimpleNamespace(kind="reader", target=name), full_name=name)
    host = SimpleNamespace(target=lambda *_: target)
    with nullcontext() if not lacking else pytest.raises(AssertionError, match=f"have {lacking}$"):
        has_methods_of_its_protocols(host, row)


def test_a_plugin_that_imports_torch_to_be_listed_fails_the_suite(install):
    assert broken(install, "torch_at_top", "plugin/") == {"entry_module_imports_no_torch"}


def test_a_plugin_whose_targets_alone_import_torch_passes_it(install):
    assert broken(install, "parts", "plugin/") == set()


def test_a_broken_plugin_fails_the_suite_once(install):
    assert broken(install, "missing_module") == {"it_loads"}


@pytest.mark.parametrize(
    ("component", "check"),
    [
        ("keeps-keys", "inputs_begun_together_are_independent"),
        ("keeps-sources", "inputs_begun_together_are_independent"),
        ("keeps-prepared", "inputs_begun_together_are_independent"),
        ("keeps-shared", "inputs_begun_together_are_independent"),
        ("keeps-loudness", "inputs_started_together_are_independent"),
    ],
)
def test_what_keeps_state_is_found_by_the_check_meant_for_it_alone(install, component, check):
    assert broken(install, "keeps_state", f"/{component}/") == {check}


@pytest.mark.parametrize("component", ["centred", "counting"])
def test_statistics_that_depend_on_other_examples_are_found_by_one_check(install, component):
    failed = broken(install, "dependent_statistics", f"/{component}/")
    assert failed == {"statistics_of_a_part_are_part_of_the_statistics"}


def test_a_metric_that_is_not_a_number_on_an_empty_output_is_found_by_one_check(install):
    failed = broken(install, "dependent_statistics", "/ratio/")
    assert failed == {"an_empty_output_has_a_value"}


@pytest.mark.parametrize("component", ["frozen-in-init", "features-in-init"])
def test_what_is_set_in_a_constructor_is_no_fault(install, component):
    assert broken(install, "set_in_init", f"/{component}/") == set()
    assert named("set-in-init", f"/{component}/memory_has_the_declared_width")


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (
            "untyped",
            "spec_can_be_made_from_its_type",
            "input_spec of untyped_spec:Untyped, got none; "
            "write `def __init__(self, input_spec: LeafSpec, ...)`",
        ),
        ("inheriting", "spec_can_be_made_from_its_type", "untyped_spec:Inheriting, got none"),
        ("mistyped", "spec_can_be_made_from_its_type", "got <class 'int'>"),
        ("nameless", "signature_matches_record", "('input_spec',), got ()"),
        ("failing", "memory_has_the_declared_width", "no edges at all"),
    ],
)
def test_one_fault_is_one_failure_and_the_other_checks_say_why_they_are_skipped(
    install, component, check, sentence
):
    install("untyped_spec", core=True)
    failures, reasons = {}, set()
    for case in cases(load_host(), "untyped-spec"):
        if f"/{component}/" in case.id:
            try:
                case.run()
            except SkipTest as reason:
                reasons.add(str(reason))
            except Exception as error:
                failures[case.id.rpartition("/")[2]] = reason_of(error)
    assert failures.keys() == {check}
    assert sentence in failures[check]
    assert reasons in ({f"not run, as {check} fails"}, {f"fails as {check} does"})


def test_a_renderer_of_a_new_layout_is_drawn_with_the_memory_of_its_plugins_encoder(install):
    assert broken(install, "new_layout", "/circles/") == set()
    (case,) = named("new-layout", "circles/renderer_draws_every_record")
    case.run()


def test_a_renderer_that_draws_nothing_of_a_new_layout_is_found(install):
    assert broken(install, "new_layout", "/blank/") == {"renderer_draws_every_record"}


def test_a_renderer_of_a_layout_that_no_encoder_gives_is_skipped_with_the_reason(install):
    install("new_layout", "untyped_spec", core=True)
    (case,) = named("new-layout", "spiral/renderer_draws_every_record")
    with pytest.raises(SkipTest, match=r"no encoder gives .* 'spirals', and untyped-spec/untyped "):
        case.run()


def named(distribution, end):
    return [case for case in cases(load_host(), distribution) if case.id.endswith(end)]


def test_what_cannot_be_built_without_settings_is_skipped(install):
    install("bad_signatures", core=True)
    (case,) = [
        case
        for case in cases(load_host(), "bad-signatures")
        if "/outer/padding_changes_no_context" in case.id
    ]
    with pytest.raises(
        SkipTest, match=r"got none; run `multiattn check` with --set \S*heads=VALUE"
    ):
        case.run()


def test_a_model_is_tried_on_the_other_device_once_for_both_checks(monkeypatch):
    host = load_host()
    row = host.find("attention", "multiattn/additive")
    moves = []
    move = devices._move_parameters
    monkeypatch.setattr(devices, "_move_parameters", lambda *given: moves.append(move(*given)))
    for check in devices.DECODER_CHECKS:
        check(host, row)
    assert len(moves) == 1
