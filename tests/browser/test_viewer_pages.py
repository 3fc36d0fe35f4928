"""The viewer in a browser: by mouse, by keyboard and by screen reader, on a desktop and a phone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import seen

from multiattn.prediction.source_use import SourceUse
from multiattn.registry.host import load_host

WORDS = ".ma-words button"
DARKNESS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const { width, height } = canvas;
  const at = (x, y) => data[4 * (Math.round(y * height) * width + Math.round(x * width)) + 3];
  return [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)];
}"""


@pytest.fixture
def host():
    for plugin in ("multiattn_audio", "multiattn_image", "multiattn_text"):
        pytest.importorskip(plugin)
    return load_host()


@pytest.fixture
def show(open_page, tmp_path):
    """Opens the page of a prediction."""

    def shown(prediction):
        file = tmp_path / "page.html"
        file.write_text(prediction.as_html("A page"), "utf-8")
        return open_page(file)

    return shown


def test_the_photograph_stays_bright_where_the_word_looked(host, show):
    page = show(seen.caption(host))
    shade = page.locator(".ma-photo canvas")
    for word, cell in (("red", 1), ("dog", 3)):
        page.locator(WORDS, has_text=word).click()
        darkness = shade.evaluate(DARKNESS)
        assert min(range(4), key=darkness.__getitem__) == cell
        assert (
            f"row {cell // 2 + 1}, column {cell % 2 + 1}" in page.locator(".ma-status").inner_text()
        )
    page.get_by_role("button", name="by cell").click()
    assert len(set(shade.evaluate(DARKNESS))) == 2
    image, square = (page.locator(css).bounding_box() for css in (".ma-photo img", ".ma-seen"))
    assert image["width"] == pytest.approx(2 * image["height"], abs=2)
    assert square["width"] == pytest.approx(image["height"], abs=2)
    assert square["x"] - image["x"] == pytest.approx(image["width"] / 4, abs=2)


def test_all_words_are_shown_side_by_side(host, show):
    page = show(seen.caption(host))
    page.get_by_role("button", name="all words").click()
    assert page.locator(".ma-many figcaption").all_inner_texts() == ["a", "red", "dog"]
    red, blue = (
        page.locator(".ma-many canvas")
        .nth(index)
        .evaluate(
            "(c) => [...c.getContext('2d').getImageData(c.width / 4, c.height / 4, 1, 1).data]"
        )
        for index in (0, 2)
    )
    assert red[0] > blue[0] + 50  # the first word looks at the red half, at the top


def test_words_are_stepped_through_by_keyboard(host, show):
    page = show(seen.translation(host))
    page.keyboard.press("Tab")
    chosen = page.locator(f"{WORDS}[aria-pressed=true]")
    for key, text in (
        ("ArrowRight", "dog"),
        ("ArrowRight", "red"),
        ("Home", "the"),
        ("End", "red"),
    ):
        page.keyboard.press(key)
        assert chosen.all_inner_texts() == [text]
        assert page.evaluate("document.activeElement.textContent") == text
    assert "german: most at “rote”" in page.locator(".ma-status").inner_text()
    page.keyboard.press("Escape")
    assert chosen.count() == 0


def test_links_join_the_words_that_belong_together(host, show):
    page = show(seen.translation(host))
    assert page.locator(".ma-links path").count() == 3
    page.locator(WORDS, has_text="dog").click()
    path = page.locator(".ma-links path").get_attribute("d")
    start, end = float(path[1:].split(",")[0]), float(path.split(" ")[-1].split(",")[0])
    source, target = (
        page.locator(f".ma-line span >> text={word}").bounding_box() for word in ("Hund", "dog")
    )
    left = page.locator(".ma-links svg").bounding_box()["x"]
    assert start + left == pytest.approx(source["x"] + source["width"] / 2, abs=2)
    assert end + left == pytest.approx(target["x"] + target["width"] / 2, abs=2)
    page.locator("summary", has_text="Heat map").click()
    row = page.locator("details[open] tbody tr").nth(1)
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["4", "8", "84", "4"]


def test_a_right_to_left_source_is_laid_out_from_the_right(host, show):
    labels = ("▁כלב", "▁אדום")
    made = seen.prediction("red dog", host, hebrew=("כלב אדום", seen.Tokens(), labels, [1, 0]))
    page = show(made)
    first, second = page.locator(".ma-line").first.locator("span").all()
    assert first.bounding_box()["x"] > second.bounding_box()["x"]


def test_a_word_of_a_recording_plays_where_it_was_said(host, show, tmp_path):
    page = show(seen.transcript(host, tmp_path))
    lane = page.locator(".ma-lane button")
    assert lane.all_inner_texts() == ["one", "two"]
    page.wait_for_function("document.querySelector('audio').readyState >= 2")
    lane.last.click()
    page.wait_for_function("document.querySelector('audio').currentTime >= 1.0")
    page.wait_for_function("document.querySelector('audio').paused")
    assert 1.0 <= page.evaluate("document.querySelector('audio').currentTime") < 1.6
    assert "two" in page.locator(".ma-status").inner_text()
    spectrogram = page.locator(".ma-time img").bounding_box()
    said = lane.last.bounding_box()["x"] - spectrogram["x"]
    assert said / spectrogram["width"] == pytest.approx(0.5, abs=0.02)
    page.locator("summary", has_text="Times as a table").click()
    row = page.locator("details[open] tbody tr").nth(1)
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["1.00", "1.10", "90 %"]


def test_several_sources_have_a_panel_each(host, show):
    page = show(seen.described(host))
    assert page.locator(".ma-panel h3").all_inner_texts() == ["photo", "english"]
    page.locator(WORDS, has_text="Hund").click()
    status = page.locator(".ma-status").inner_text()
    assert "photo: most at row 2, column 2" in status
    assert "english: most at “dog”" in status


def test_what_each_source_counted_is_a_table_of_the_words(host, show):
    use = SourceUse({"photo": [0.25, 0.6, 0.0], "english": [0.75, 0.4, 1.0]}, {})
    page = show(replace(seen.described(host), source_use=lambda: use))
    rows = page.locator("table", has_text="share of photo").locator("tbody tr")
    rows.first.wait_for()
    assert [row.locator("td").all_inner_texts() for row in rows.all()] == [
        ["25 %", "60 %"],
        ["75 %", "40 %"],
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anyone_out(host, show, tmp_path, serious_findings, scheme):
    for made in (seen.caption(host), seen.described(host), seen.transcript(host, tmp_path)):
        page = show(made)
        page.emulate_media(color_scheme=scheme)
        page.locator(WORDS).first.click()
        for summary in page.locator("summary").all():
            summary.click()
        assert serious_findings(page) == []
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
