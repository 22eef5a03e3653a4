"""The loss lab in JupyterLab and Notebook 7: scores moved by keys and by the mouse, what follows, and the export."""

from __future__ import annotations

import pytest

from kit.widgets import LossLab

CELLS = [
    "# The loss lab",
    "from kit.widgets import LossLab\nlabels = ['Paris', 'Rome', 'Oslo']\n"
    "lab = LossLab([4.0, 2.5, -1.0], [0.0, 1.0, 2.0], labels=labels)\nlab.choose(rate=4.0)\nlab",
]
RANGE, BOX = '.kit-sliders input[type="range"]', '.kit-sliders input[type="number"]'


def brought_up(page) -> None:
    page.wait_for_function("() => document.querySelectorAll('.kit-figure .main-svg').length >= 3")
    page.locator(".kit-sliders").evaluate("element => element.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(500)


def held(page, number: int, value: str) -> None:
    page.wait_for_function(f"() => document.querySelectorAll('{BOX}')[{number}].value === '{value}'")


def test_lab_moves_scores_by_keys_and_mouse_and_takes_a_step(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS, dark=True)
    brought_up(page)
    page.locator(RANGE).nth(0).focus()
    before = sum(page.received)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    held(page, 0, "0.2")
    page.wait_for_timeout(2000)
    assert 0 < sum(page.received) - before < 100_000  # two keys, a few redraws
    track = page.locator(".kit-sliders .track").nth(1).bounding_box()
    page.mouse.move(track["x"] + 0.5 * track["width"], track["y"] + 14)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.98 * track["width"], track["y"] + 14, steps=4)
    page.mouse.up()
    assert float(page.locator(BOX).nth(1).input_value()) > 4
    page.locator(BOX).nth(1).fill("1")
    page.locator(BOX).nth(1).press("Tab")
    page.keyboard.press("Space")  # Rome does not count now
    page.wait_for_timeout(1000)
    # ipywidgets holds changes back while the kernel is busy, and a click would overtake them
    page.wait_for_function("() => /\\| Idle/.test(document.body.innerText)")
    page.get_by_role("button", name="one step").click()
    page.wait_for_function(f"() => Number(document.querySelectorAll('{BOX}')[0].value) > 0.5")
    held(page, 1, "1")
    assert page.get_by_label("rate, exact number").input_value() == "4"  # what was set is not rounded
    pictures(page, "loss-lab-dark")
    assert page.errors == []


def test_notebook7_takes_the_arrow_keys(notebook7, run_notebook, pictures):
    page = run_notebook(notebook7, CELLS)
    brought_up(page)
    page.locator(RANGE).nth(2).focus()
    page.keyboard.press("ArrowLeft")
    held(page, 2, "1.9")
    pictures(page, "loss-lab-notebook7")


@pytest.fixture
def file_page(chromium, tmp_path):
    path = LossLab([4.0, 2.5, -1.0], [0.0, 1.0, 2.0]).export_html(tmp_path / "lab.html")
    page = chromium.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    yield page
    page.close()


def test_the_exported_file_switches_without_script(file_page):
    assert file_page.get_by_text("margin_mse and kl are 0").is_hidden()
    file_page.get_by_label("as it is now").focus()
    file_page.keyboard.press("ArrowDown")
    file_page.keyboard.press("ArrowDown")
    assert file_page.get_by_text("margin_mse and kl are 0").is_visible()
    seen = [svg.is_visible() for svg in file_page.locator("svg").all()]
    assert sum(seen) == 3
