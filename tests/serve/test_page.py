"""The page in a browser: files, the microphone, texts, examples, settings, links."""

from __future__ import annotations

import pytest
import tiny_runs
from served import Running

import multiattn
from multiattn.serve.limits import Limits


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A server of two runs that read texts."""
    run = tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("text")))
    predictors = {
        name: multiattn.load(run.path, host=tiny_runs.host(), device="cpu")
        for name in ("first", "second")
    }
    with Running(predictors, Limits()) as address:
        yield address


def test_a_picture_is_dropped_and_answered(address, folders, open_page):
    page = open_page(f"{address}/#run=pictures")
    file = folders["pictures"].parent / "data/pictures/one.png"
    page.get_by_label("file for photo").set_input_files(file)
    page.locator("img.chosen").wait_for()
    page.get_by_role("button", name="Predict").click()
    page.locator(".ma-photo img").wait_for()
    assert page.locator(".answer h2").inner_text() == "pictures"
    assert page.get_by_role("link", name="link to this answer").count() == 0


def test_the_microphone_is_recorded_at_sixteen_kilohertz(address, open_page):
    page = open_page(f"{address}/#run=sounds")
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop").click()
    page.locator(".shown audio").wait_for()
    # the page's policy forbids what Playwright's own waiting would evaluate
    loaded = """(audio) => new Promise((done) => {
      const tell = () => done(audio.duration);
      if (audio.readyState >= 1) tell(); else audio.addEventListener("loadedmetadata", tell);
    })"""
    assert 0.8 < page.locator(".shown audio").evaluate(loaded) < 4
    page.get_by_role("button", name="Predict").click()
    page.locator(".ma-time img").first.wait_for()


def test_an_example_has_a_link_that_asks_again(address, open_page):
    page = open_page(f"{address}/#run=pictures")
    page.get_by_text("Examples of the test split").click()
    page.locator("#examples button").first.click()
    link = page.get_by_role("link", name="link to this answer")
    link.wait_for()
    text = page.locator(".ma-words").inner_text()
    again = open_page(address + "/" + link.get_attribute("href"))
    again.locator(".ma-words").wait_for(state="attached")
    assert again.locator(".ma-words").inner_text() == text


def test_runs_answer_side_by_side_with_the_settings_of_the_page(texts, open_page, serious_findings):
    page = open_page(texts)
    page.get_by_label("letters").fill("abc")
    page.get_by_text("Search settings").click()
    page.get_by_label("n best").fill("2")
    page.keyboard.press("Enter")
    page.locator(".answer multiattn-view").nth(1).locator(".ma-words").wait_for(state="attached")
    assert page.locator(".answer h2").all_inner_texts() == ["first", "second"]
    assert page.locator(".answer").first.locator(".ma-outputs li").count() == 2
    page.get_by_role("link", name="link to this answer").first.click()
    page.locator("#run-second:not(:checked)").wait_for()
    assert page.get_by_label("n best").input_value() == "2"
    assert serious_findings(page) == []
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0


def test_a_refusal_is_shown_in_a_sentence(texts, open_page):
    page = open_page(f"{texts}/#run=first")
    page.get_by_label("letters").fill("x" * 20_000)
    page.get_by_role("button", name="Predict").click()
    assert "at most 10,000 characters" in page.get_by_role("alert").inner_text()
