"""The conformance suite: a plugin's contract as plain functions with ids.

``cases(host)`` makes one case per component and check. `multiattn check DIST` runs the cases of one
distribution, and pytest runs all of them, so a registered component is tested automatically. A
case raises an AssertionError that says what was promised, what was found and where the promise
stands, or ``unittest.SkipTest`` if a component cannot be built without settings, or if an earlier
check has found the same fault. Components are built with their defaults, or with those of
``Host.with_defaults``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest import SkipTest

from multiattn.protocols import required_protocol
from multiattn.registry.host import Component, Host
from multiattn.testing import (
    attentions,
    corpora,
    decoders,
    devices,
    encoders,
    features,
    loading,
    metrics,
    objectives,
    readers,
    rendering,
    segmenters,
)

Check = Callable[[Host, Component], None]

_DECODER_CHECKS = (*decoders.CHECKS, *devices.DECODER_CHECKS)

CHECKS: dict[str, tuple[Check, ...]] = {
    "encoder": (
        *encoders.CHECKS,
        *features.CHECKS,
        *features.SLOT_CHECKS,
        *devices.ENCODER_CHECKS,
    ),
    "reader": readers.CHECKS,
    "corpus": corpora.CHECKS,
    "attention": (*attentions.CHECKS, *_DECODER_CHECKS),
    "fusion": _DECODER_CHECKS,
    "recurrence": _DECODER_CHECKS,
    "output": _DECODER_CHECKS,
    "decoder": _DECODER_CHECKS,
    "objective": objectives.OBJECTIVE_CHECKS,
    "scorer": objectives.SCORER_CHECKS,
    "metric": (loading.target_imports_no_torch, *metrics.METRIC_CHECKS),
    "normaliser": (loading.target_imports_no_torch, *metrics.NORMALISER_CHECKS),
    "aligner": rendering.ALIGNER_CHECKS,
    "segmenter": segmenters.CHECKS,
    "renderer": rendering.RENDERER_CHECKS,
    "recipe": (loading.recipes_load,),
}

# The checks that the others of a kind rely on: a target that can be called, and called rightly.
NEEDED: dict[str, tuple[Check, ...]] = {
    "encoder": (*loading.TARGET_CHECKS, encoders.spec_can_be_made_from_its_type),
    "recipe": (),
}


# The protocols that a check is about, where it is not the one that its kind requires.
PROTOCOLS: dict[Check, str] = {
    **dict.fromkeys(features.CHECKS, "FeatureEncoder"),
    **dict.fromkeys(features.SLOT_CHECKS, "SlotCountingEncoder"),
    readers.saved_reader_reads_the_same: "FittedReader",
    readers.reader_that_is_not_random_ignores_the_generator: "DeterministicReader",
    objectives.count_is_known_before_the_loss: "CountedObjective",
    corpora.groups_are_a_field_or_a_note: "GroupedCorpus",
}


@dataclass(frozen=True)
class Result:
    """The outcome of one check of one component or plugin, with the reason unless it passed."""

    component: str
    check: str
    outcome: Literal["passed", "failed", "skipped"]
    sentence: str = ""


@dataclass(frozen=True)
class Case:
    """One check of one component (``kind/dist/name``) or plugin; call ``run`` to run it."""

    component: str
    check: str
    run: Callable[[], None]

    @property
    def id(self) -> str:
        """Component and check, a name for the case."""
        return f"{self.component}/{self.check}"

    def result(self) -> Result:
        """Run the case, and say what came of it."""
        try:
            self.run()
        except SkipTest as reason:
            return Result(self.component, self.check, "skipped", str(reason))
        except AssertionError as error:
            return Result(self.component, self.check, "failed", str(error))
        return Result(self.component, self.check, "passed")


@dataclass(frozen=True)
class _Subject:
    """A plugin or a component, and its checks: what one of them has found no other reports.

    arguments: those of each check. see: where the contract stands. needed: checks, in order,
    without which no later one is run. found: each reason for which a check has failed, with the
    name of the first such check.
    """

    label: str
    arguments: tuple[Any, ...]
    see: str
    needed: Sequence[Callable[..., None]]
    found: dict[str, str] = field(default_factory=dict)

    def cases(self, others: Sequence[Callable[..., None]]) -> list[Case]:
        return [
            Case(self.label, check.__name__, functools.partial(self._run, check))
            for check in (*self.needed, *others)
        ]

    def _run(self, check: Callable[..., None]) -> None:
        for other in self.needed:
            if other is check:
                break
            if self._fails(other):
                raise SkipTest(f"not run, as {other.__name__} fails")
        try:
            check(*self.arguments)
        except SkipTest:
            raise
        except (Exception, SystemExit) as error:
            reason = reason_of(error)
            first = self.found.setdefault(reason, check.__name__)
            if first != check.__name__:
                raise SkipTest(f"fails as {first} does") from error
            raise AssertionError(self._with_reference(check, reason)) from error

    def _with_reference(self, check: Callable[..., None], reason: str) -> str:
        """The reason, and where to read what the check is about."""
        protocol = PROTOCOLS.get(check)
        see = self.see if protocol is None else f"multiattn.protocols.{protocol}"
        return reason if "; see " in reason else f"{reason}; see {see}"

    def _fails(self, check: Callable[..., None]) -> bool:
        try:
            check(*self.arguments)
        except (Exception, SystemExit):
            return True
        return False


def reason_of(error: BaseException) -> str:
    """Why a check failed, in one line; the name of an exception that no check raised itself."""
    sentence = " ".join(str(error).split())
    if isinstance(error, AssertionError) and sentence:
        return sentence
    return f"{type(error).__name__}: {sentence}"


def cases(host: Host, distribution: str | None = None) -> list[Case]:
    """Every check of every plugin and component, or of those of one distribution."""
    found: list[Case] = []
    for plugin in host.plugins:
        if distribution in (None, plugin.found.distribution):
            label = f"plugin/{plugin.found.label}"
            subject = _Subject(label, (plugin,), "multiattn.Record", (loading.it_loads,))
            found += subject.cases((loading.entry_module_imports_no_torch,))
    for row in host.rows:
        if distribution in (None, row.distribution):
            kind = row.record.kind
            needed = NEEDED.get(kind, loading.TARGET_CHECKS)
            label = f"{kind}/{row.full_name}"
            subject = _Subject(label, (host, row), _contract_of(row), needed)
            found += subject.cases(CHECKS.get(kind, ()))
    return found


def _contract_of(row: Component) -> str:
    """Where to read what a component of its kind must do."""
    protocol = required_protocol(row.record.kind)
    if protocol is None:
        return f"multiattn.{type(row.record).__name__}"
    return f"multiattn.protocols.{protocol.__name__}"
