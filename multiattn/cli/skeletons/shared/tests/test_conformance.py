"""The checks of `multiattn check my-plugin`, one test each. Install the plugin first."""

import pytest

from multiattn import load_host
from multiattn.testing import cases


@pytest.mark.parametrize("case", cases(load_host(), "my-plugin"), ids=lambda case: case.id)
def test_it_keeps_its_contract(case):
    case.run()
