"""The conformance suite over everything that is registered; and that it finds what is wrong."""

from __future__ import annotations

import pytest

from multiattn.plugins import load_host
from multiattn.testing import cases

CASES = cases(load_host(), "multiattn")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_core_component_keeps_its_contract(case):
    case.run()
