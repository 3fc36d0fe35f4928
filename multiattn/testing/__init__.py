"""The conformance suite: a plugin's contract as plain functions with ids.

``cases(host)`` makes one case per component and check. `multiattn check DIST` runs the cases of one
distribution, and pytest runs all of them, so a registered component is tested automatically. A
check raises an AssertionError that says what is wrong, or ``unittest.SkipTest`` if a component
cannot be built without settings, or if an earlier check has found the same fault. Components are
built with their defaults.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import SkipTest

from multiattn.registry.host import Component, Host
from multiattn.testing import (
    attentions,
    decoders,
    encoders,
    loading,
    metrics,
    objectives,
    rendering,
)

Check = Callable[[Host, Component], None]

CHECKS: dict[str, tuple[Check, ...]] = {
    "encoder": encoders.CHECKS,
    "attention": (*attentions.CHECKS, *decoders.CHECKS),
    "fusion": decoders.CHECKS,
    "recurrence": decoders.CHECKS,
    "output": decoders.CHECKS,
    "decoder": decoders.CHECKS,
    "objective": objectives.OBJECTIVE_CHECKS,
    "scorer": objectives.SCORER_CHECKS,
    "metric": (loading.target_imports_no_torch, *metrics.METRIC_CHECKS),
    "normaliser": (loading.target_imports_no_torch, *metrics.NORMALISER_CHECKS),
    "aligner": rendering.ALIGNER_CHECKS,
    "renderer": rendering.RENDERER_CHECKS,
    "recipe": (loading.recipes_load,),
}


# The checks that the others of a kind rely on: a target that can be called, and called rightly.
NEEDED: dict[str, tuple[Check, ...]] = {
    "encoder": (*loading.TARGET_CHECKS, encoders.spec_can_be_made_from_its_type),
    "recipe": (),
}


@dataclass(frozen=True)
class Case:
    """One check of one component or plugin; call ``run`` to run it."""

    id: str
    run: Callable[[], None]


@dataclass(frozen=True)
class _Subject:
    """A plugin or a component, and its checks: what one of them has found no other reports.

    arguments: those of each check. needed: checks, in order, without which no later one is run.
    found: each reason for which a check has failed, with the name of the first such check.
    """

    arguments: tuple[Any, ...]
    needed: Sequence[Callable[..., None]]
    found: dict[str, str] = field(default_factory=dict)

    def cases(self, label: str, others: Sequence[Callable[..., None]]) -> list[Case]:
        return [
            Case(f"{label}/{check.__name__}", functools.partial(self._run, check))
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
        except Exception as error:
            first = self.found.setdefault(reason_of(error), check.__name__)
            if first != check.__name__:
                raise SkipTest(f"fails as {first} does") from error
            raise

    def _fails(self, check: Callable[..., None]) -> bool:
        try:
            check(*self.arguments)
        except Exception:
            return True
        return False


def reason_of(error: Exception) -> str:
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
            subject = _Subject((plugin,), (loading.it_loads,))
            found += subject.cases(
                f"plugin/{plugin.found.label}", (loading.entry_module_imports_no_torch,)
            )
    for row in host.rows:
        if distribution in (None, row.distribution):
            kind = row.record.kind
            subject = _Subject((host, row), NEEDED.get(kind, loading.TARGET_CHECKS))
            found += subject.cases(f"{kind}/{row.full_name}", CHECKS.get(kind, ()))
    return found
