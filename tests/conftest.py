"""What the core's tests share: double precision, small inputs, plugins installed for one test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from browser_fixtures import browser, open_page, serious_findings

from multiattn.engine.batch import Targets
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, length_mask
from multiattn.symbols import EOS, PAD

__all__ = ["browser", "open_page", "serious_findings"]  # fixtures

torch.set_num_threads(1)  # on tensors this small, threads only wait for one another

HOSTILE = Path(__file__).parent / "hostile"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install files of ``tests/hostile`` as plugins: ``missing_module`` is missing-module/plugin.

    Only they and what else ``MULTIATTN_PLUGINS`` allows are visible.
    """
    site = tmp_path / "site"
    site.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(HOSTILE))
    monkeypatch.syspath_prepend(str(site))

    def install_all(*modules: str, core: bool = False) -> None:
        for module in modules:
            metadata = site / f"{module}-1.0.dist-info"
            metadata.mkdir()
            name = module.replace("_", "-")
            (metadata / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            (metadata / "entry_points.txt").write_text(f"[multiattn.v1]\nplugin = {module}\n")
        allowed = [module.replace("_", "-") for module in modules]
        monkeypatch.setenv("MULTIATTN_PLUGINS", ",".join([*allowed, *["multiattn"] * core]))
        importlib.invalidate_caches()

    yield install_all
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith((str(HOSTILE), str(tmp_path))):
            del sys.modules[name]


@pytest.fixture
def double() -> Iterator[None]:
    """Float64 wherever no type is named, and the same random numbers in every order of tests."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def memory_of() -> Callable[..., Memory]:
    """Real slots per input -> a memory of random values, zeros behind them."""

    def draw(lengths: Sequence[int], width: int, *, slots: int = 0, summary: int = 0) -> Memory:
        mask = length_mask(torch.tensor(lengths), slots or max(lengths))
        values = torch.randn(*mask.shape, width) * mask.unsqueeze(-1)
        heads = torch.randn(len(lengths), summary) * mask.any(1, keepdim=True)
        return Memory(values, mask, Tokens(), heads if summary else None)

    return draw


@pytest.fixture
def targets_of() -> Callable[..., Targets]:
    """Words per input -> targets: EOS, then padding up to ``steps``."""

    def build(*sentences: Sequence[int], steps: int = 0) -> Targets:
        lengths = [len(words) + 1 for words in sentences]
        width = steps or max(lengths)
        rows = [[*words, EOS] + [PAD] * (width - len(words) - 1) for words in sentences]
        return Targets(torch.tensor(rows), torch.tensor(lengths))

    return build
