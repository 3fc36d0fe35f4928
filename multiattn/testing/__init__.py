"""The conformance suite: a plugin's contract as plain functions with ids.

``cases(host)`` makes one case per component and check. `multiattn check DIST` runs the cases of one
distribution, and pytest runs all of them, so a registered component is tested automatically. A
check raises an AssertionError that says what is wrong, or ``unittest.SkipTest`` if a component
cannot be built without settings. Components are built with their defaults.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Case:
    """One check of one component or plugin; call ``run`` to run it."""

    id: str
    run: Callable[[], None]


def cases(host: Host, distribution: str | None = None) -> list[Case]:
    """Every check of every plugin and component, or of those of one distribution."""
    cases_found = [
        Case(f"plugin/{plugin.found.label}/{check.__name__}", functools.partial(check, plugin))
        for plugin in host.plugins
        if distribution in (None, plugin.found.distribution)
        for check in loading.PLUGIN_CHECKS
    ]
    for row in host.rows:
        if distribution not in (None, row.distribution):
            continue
        kind = row.record.kind
        common = () if kind == "recipe" else loading.TARGET_CHECKS
        cases_found += [
            Case(f"{kind}/{row.full_name}/{check.__name__}", functools.partial(check, host, row))
            for check in (*common, *CHECKS.get(kind, ()))
        ]
    return cases_found
