"""The base and the scores' explorer in the page alone: an exported file, opened without a kernel or a server."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from kit import Passage, Question, ScoreTable
from kit.losses import LOSSES
from kit.losses.gradients import gradient
from kit.widgets import ScoreDistributions
from kit.widgets.base import bundle

CHART = ".kit-chart .main-svg"
NAN = float("nan")


@pytest.fixture
def scores() -> ScoreDistributions:
    rng, ids = np.random.default_rng(0), [f"p{n}" for n in range(10)]
    corpus = {i: Passage(i, f"Title {i}", "text") for i in ids}
    questions = [Question(f"q{n}", f"Question {n}?", ("x",)) for n in range(30)]
    base = rng.normal(size=(30, 10)) + 2 * np.eye(30, 10)
    noises = {"teacher": 0, "before": rng.normal(size=(30, 10)) * 3, "after": 0.5}
    asked = [question.id for question in questions]
    tables = {name: ScoreTable(name, asked, [ids] * 30, base + noise) for name, noise in noises.items()}
    return ScoreDistributions(tables, questions, corpus, gold={f"q{n}": {f"p{n}"} for n in range(10)})


def numbers_in(page) -> dict[str, list[str]]:
    rows = page.locator("[data-panel=numbers] tbody tr").all_inner_texts()
    return {cells[0]: cells[1:] for cells in (re.split(r"\s*\t\s*", row) for row in rows)}


def as_numbers(cells: list[str]) -> list[float]:
    plain = [cell.replace("−", "-").replace("–", "nan") for cell in cells]
    return [float(cell.rstrip("%")) / (100 if cell.endswith("%") else 1) for cell in plain]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_pages_losses_are_the_librarys(chromium, loss):
    rng = np.random.default_rng(3)
    student, teacher = rng.normal(size=(4, 8)) * 2, rng.normal(size=(4, 8)) * 3
    teacher[0, 5:], teacher[1, 3], teacher[2, 1:], teacher[3, 0] = NAN, teacher[1, 2], NAN, -np.inf
    at = gradient(loss, student, teacher, ~np.isnan(teacher), temperature=0.7, teacher_temperature=2.0)
    page = chromium.new_page()
    page.add_script_tag(content=re.sub(r"^export default.*", "", bundle(("losses.js",)), flags=re.M))
    rows = [
        {"student": s, "teacher": [str(v) for v in t]} for s, t in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    found = page.evaluate(
        """([loss, rows]) => lossOver(loss, rows.map(({ student, teacher }) => ({ student,
        teacher: teacher.map((one) => one === "-inf" ? -Infinity : Number(one)) })), { student: 0.7, teacher: 2 })""",
        [loss, rows],
    )
    page.close()
    assert found["value"] == pytest.approx(at.value, rel=1e-6)
    np.testing.assert_allclose(found["gradients"], at.gradient, atol=1e-7)


@pytest.mark.parametrize(
    "change", [{}, {"question": "q3"}, {"loss": "mse", "temperature": 0.5, "teacher": "before"}], ids=str
)
def test_the_pages_numbers_are_pythons(scores, open_file, change):
    scores.set(**change)
    page = open_file(scores)
    page.wait_for_selector("[data-panel=numbers] tbody td")
    shown = numbers_in(page)
    for name, row in scores.numbers().iterrows():
        cells = next(cells for label, cells in shown.items() if label.split(" (")[0] == name)
        assert as_numbers(cells) == pytest.approx(row.tolist(), rel=5e-3, abs=6e-3, nan_ok=True)


def test_a_question_is_chosen_undone_done_again_and_stands_in_the_address(scores, open_file):
    page = open_file(scores)
    page.wait_for_selector(CHART)
    assert page.locator("[data-panel=gradient]").is_visible()
    page.get_by_label("filter question").fill("Question 3?")
    page.get_by_label("question", exact=True).select_option(label="q3: Question 3?")
    page.get_by_text("★ Title p3").first.wait_for()
    assert page.locator("[data-panel=gradient]").is_hidden()
    page.wait_for_function("() => location.hash === '#question=q3'")
    page.get_by_role("button", name="undo").click()
    page.wait_for_function("() => location.hash === ''")
    page.get_by_label("loss", exact=True).focus()
    page.keyboard.press("Control+y")
    page.wait_for_function("() => location.hash === '#question=q3'")
    page.evaluate("() => { location.hash = '#question=q4&show=shares&teacher_temperature=4&loss=nothing'; }")
    page.get_by_text("★ Title p4").first.wait_for()
    expect(page.get_by_label("teacher temperature, exact number")).to_have_value("4")
    expect(page.get_by_label("loss", exact=True)).to_have_value("0")  # an option that is none is left out
    page.get_by_role("button", name="back to the start").click()
    page.wait_for_function("() => location.hash === ''")


def test_an_address_opens_its_state_and_code_and_link_name_it(scores, open_file):
    page = open_file(scores, "#question=q3&loss=mse")
    page.get_by_text("★ Title p3").first.wait_for()
    assert page.get_by_text("mse(after, teacher) =").is_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="copy this state as Python code").click()
    page.get_by_text("copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == 'explorer.set(question="q3", loss="mse")'
    page.get_by_role("button", name="copy a link to this state").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).endsWith('.html#question=q3&loss=mse')")


def test_a_panel_is_saved_as_table_and_pictures(scores, open_file):
    page = open_file(scores)
    page.wait_for_selector(CHART)
    saved = {}
    for kind in ("CSV", "SVG", "PNG"):
        page.locator("[data-panel=margins] summary").click()
        with page.expect_download() as waiting:
            page.locator("[data-panel=margins]").get_by_role("button", name=kind, exact=True).click()
        saved[kind] = waiting.value.path().read_bytes()
    assert saved["CSV"].decode().splitlines()[0] == "table,question,margin" and saved["CSV"].count(b"\n") == 31
    assert saved["PNG"].startswith(b"\x89PNG") and saved["SVG"].lstrip().startswith(b"<svg")
    page.locator("[data-panel=margins]").get_by_role("button", name="table").click()
    assert page.locator("[data-panel=margins] tbody tr").count() == 30


def test_a_sliders_keys_and_box_move_it_and_a_choice_is_painted(scores, open_file):
    page = open_file(scores)
    page.wait_for_selector(CHART)
    slider = page.get_by_label("student temperature", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    box = page.get_by_label("student temperature, exact number")
    expect(box).to_have_value("1.12")
    box.fill("1000")
    page.keyboard.press("Tab")
    expect(box).to_have_value("100")
    page.get_by_label("question", exact=True).select_option("5")
    page.get_by_text("★ Title p4").first.wait_for()


def test_presenting_fills_the_screen_a_panel_at_a_time(scores, open_file):
    page = open_file(scores)
    page.wait_for_selector(CHART)
    page.get_by_role("button", name="fill the screen").click()
    assert page.locator(".kit-panel:visible").count() == 1
    first = page.locator(".kit-panel:visible").get_attribute("data-panel")
    page.keyboard.press("PageDown")
    assert page.locator(".kit-panel:visible").get_attribute("data-panel") != first
    page.get_by_role("button", name="leave the full screen").click()
    assert page.locator(".kit-panel:visible").count() == 4


@pytest.mark.parametrize(("size", "dark"), [((390, 800), False), ((390, 800), True), ((1366, 768), True)])
def test_nothing_is_wider_than_the_page_and_every_control_has_a_name(scores, open_file, pictures, size, dark):
    page = open_file(scores, "#question=q3&show=shares", size=size, dark=dark)
    page.wait_for_selector(CHART)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, summary")].filter((one) => one.checkVisibility()
        && !(one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText)).length"""
    )
    assert nameless == 0
    pictures(page, f"scores-{size[0]}-{'dark' if dark else 'light'}")
