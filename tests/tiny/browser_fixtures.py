"""A browser for the tests of pages: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
ARGUMENTS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Skips where there is no chromium, but fails if MULTIATTN_BROWSER=required."""
    path = shutil.which("chromium")
    if path is None and os.environ.get("MULTIATTN_BROWSER") == "required":
        pytest.fail("expected chromium, which MULTIATTN_BROWSER=required asks for, got none")
    if path is None:
        pytest.skip("needs chromium, such as Debian's package")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(params=SIZES)
def open_page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens pages on a desktop and on a phone; an error on one of them fails the test."""
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    errors: list[str] = []

    def opened(target: Path | str) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: _is_error(line) and errors.append(line.text))
        page.goto(target.as_uri() if isinstance(target, Path) else target)
        return page

    yield opened
    context.close()
    assert errors == []


def _is_error(line: Any) -> bool:
    """Whether a line of the console is one; a request that the server refuses is none."""
    return line.type == "error" and "responded with a status of 4" not in line.text


@pytest.fixture
def serious_findings() -> Callable[[Any], list[str]]:
    """What axe finds on a page that keeps people out: of impact serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def findings(page: Any) -> list[str]:
        violations = axe.run(page).response["violations"]
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in violations
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    return findings
