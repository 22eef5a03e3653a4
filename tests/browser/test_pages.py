"""A page of figures in a real browser, opened as a file: drawn, nothing asked for, as wide as a phone or as paper."""

from __future__ import annotations

from kit import plots
from kit.pages import figures
from kit.pages.page import page_html

DRAWN = "() => document.querySelectorAll('.kit-picture .main-svg:first-child').length === 2"
WIDTHS = """() => [...document.querySelectorAll('.kit-picture .main-svg')].map(
    (one) => [one.getBoundingClientRect().width, one.closest('.kit-plot').clientWidth])"""


def test_figures_are_drawn_from_the_page_alone(chromium, tmp_path, pictures):
    drawn = [plots.passage_bars([2.0, 1.0], ["a", "b"], [True, False]), plots.recall_curves({"BM25": {1: 0.5, 5: 0.8}})]
    body = "".join(figures.figure_html(figure, "a picture") for figure in drawn)
    html = page_html("Figures", body + figures.plotly_html() + figures.drawing_html())
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function(DRAWN)
    pictures(page, "page-of-figures")
    assert asked == [(tmp_path / "page.html").as_uri()] and errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".kit-picture .bars .point").count() == 2
    page.set_viewport_size({"width": 1000, "height": 800})
    page.wait_for_function(f"() => ({WIDTHS})().every(([picture, room]) => picture === room && room > 900)")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 500, "height": 700})
    assert all(picture <= room for picture, room in page.evaluate(WIDTHS))
    page.close()


def test_pages_share_a_file_with_plotly(chromium, tmp_path):
    name = figures.write_plotly(tmp_path)
    body = figures.figure_html(plots.evidence_bars({"all": 0.8})) + figures.plotly_html(name) + figures.drawing_html()
    (tmp_path / "page.html").write_text(page_html("One", body), encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(".kit-picture .bars .point")
    page.close()


def test_numbers_stand_in_where_scripts_cannot_draw(chromium, tmp_path):
    body = figures.figure_html(plots.evidence_bars({"all": 0.8}), "evidence") + figures.drawing_html()
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body>{body}</body>", encoding="utf-8")  # no plotly.js in it
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("() => document.querySelector('.kit-plot details').open")
    assert "80.0%" in page.inner_text("body") and "its numbers stand below" in page.inner_text("body")
    page.close()
