"""The report in a browser."""

from __future__ import annotations

import pytest
import tiny_runs

from multiattn.report.page import write_report
from multiattn.runs.evaluate import evaluate
from multiattn.runs.system import open_system
from multiattn.training.accelerator import start_accelerator

MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    started = tiny_runs.start(tmp_path_factory.mktemp("trained"))
    tiny_runs.trained(started)
    system = open_system(started.run, tiny_runs.host())
    accelerator = start_accelerator(started.settings, started.run)
    evaluate(system, "test", "", tiny_runs.splits_of(started), accelerator)
    file = started.run.path / "report.html"
    write_report([started.run], tiny_runs.host(), file)
    return file


def test_examples_are_filtered_by_kind_and_searched(report, open_page):
    page = open_page(report)
    examples = page.locator("article.example")
    count = examples.count()
    page.get_by_label("show").select_option("worst")
    assert examples.locator("visible=true").first.get_attribute("data-kind") == "worst"
    assert page.locator("article.example:visible").count() == 4 < count
    page.get_by_label("show").select_option("")
    page.get_by_label("search").first.fill("nothing has this text")
    assert page.locator("article.example:visible").count() == 0
    page.get_by_label("search").first.fill("")
    assert page.locator("article.example:visible").count() == count


def test_a_report_opens_its_examples_in_the_viewer_and_fits_the_screen(report, open_page):
    page = open_page(report)
    page.locator(".ma-words button").first.click()
    assert "letters: most at" in page.locator(".ma-status").first.inner_text()
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0
    assert report.stat().st_size <= MOST_BYTES


def test_nothing_serious_keeps_anyone_out_of_a_report(report, open_page, serious_findings):
    page = open_page(report)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert serious_findings(page) == []
