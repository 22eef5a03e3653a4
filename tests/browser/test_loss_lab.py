"""The loss lab in the page alone: scores moved by keys and by the mouse, steps that are Python's, presets."""

from __future__ import annotations

import pytest

from kit.widgets import LossLab
from kit.widgets.loss_lab import VIEWS

RANGE, BOX = '.kit-sliders input[type="range"]', '.kit-sliders input[type="number"]'
TEACHER, STUDENT = [4.0, 2.5, 1.0, 0.5, -1.0], [0.3, 1.2, -0.4, 2.0, 0.9]


def scores_in(page) -> list[float]:
    return [float(box.input_value()) for box in page.locator(BOX).all()]


def table_of(page, panel: str) -> dict[str, list[float]]:
    button = page.locator(f"[data-panel={panel}]").get_by_role("button", name="table", exact=True)
    if button.count() and button.get_attribute("aria-pressed") == "false":
        button.click()
    rows = [row.split("\t") for row in page.locator(f"[data-panel={panel}] tbody tr").all_inner_texts()]
    plain = lambda cell: float(cell.strip().replace("−", "-").replace("–", "nan"))  # noqa: E731
    return {name.strip(): [plain(cell) for cell in cells] for name, *cells in rows}


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_the_pages_steps_are_pythons(open_file, optimiser):
    lab = LossLab(TEACHER, STUDENT, losses=["kl", "mse", "margin_mse", "lambda_rank"])
    lab.set(optimiser=optimiser, learning_rate=0.3, loss="js", teacher_temperature=2.0, view="scores")
    page = open_file(lab)
    compared = table_of(page, "compared")
    for name, row in lab.compare().iterrows():
        assert compared[name] == pytest.approx(row.drop("start").tolist(), rel=2e-3, abs=2e-3)
    page.get_by_role("button", name="take one step").click()
    page.wait_for_function("() => location.hash.includes('student')")
    assert scores_in(page) == pytest.approx(lab.step(1).tolist(), abs=1e-3)
    page.get_by_role("button", name="take all steps").click()
    page.wait_for_timeout(300)
    assert scores_in(page) == pytest.approx(lab.step(20).tolist(), abs=2e-3)
    page.get_by_role("button", name="back to the scores of the start").click()
    page.wait_for_timeout(300)
    assert scores_in(page) == pytest.approx(STUDENT)


def test_scores_are_moved_by_keys_and_mouse_and_a_passage_can_be_left_out(open_file):
    page = open_file(LossLab(TEACHER, STUDENT))
    page.locator(RANGE).nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => document.querySelector('{BOX}').value === '0.5'")
    track = page.locator(".kit-track").nth(1).bounding_box()
    page.mouse.move(track["x"] + 0.5 * track["width"], track["y"] + 14)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.98 * track["width"], track["y"] + 14, steps=4)
    page.mouse.up()
    assert scores_in(page)[1] > 4
    page.locator(BOX).nth(1).fill("1")
    page.locator(BOX).nth(1).press("Tab")
    page.get_by_label("passage 2 counts").uncheck()
    page.get_by_role("button", name="take one step").click()
    page.wait_for_function(f"() => Number(document.querySelector('{BOX}').value) > 0.6")
    assert scores_in(page)[1] == 1
    for _ in range(2):
        page.keyboard.press("Control+z")
    page.wait_for_function("() => document.querySelectorAll('.kit-slider.off').length === 0")


def test_presets_bring_their_own_scores_and_views_change_the_picture(open_file, pictures):
    page = open_file(LossLab(TEACHER, STUDENT), "#loss=mse")
    page.get_by_label("start from").select_option(label="student = teacher + 3")
    page.get_by_text("margin_mse and kl are 0").wait_for()
    page.get_by_text("mse = 9.").wait_for()
    assert scores_in(page) == pytest.approx([score + 3 for score in TEACHER])
    page.get_by_label("start from").select_option(label="padded passage")
    page.wait_for_selector(".kit-slider.off")
    for view in VIEWS[1:]:
        page.get_by_label("show", exact=True).select_option(label=f"{view} after the steps")
        page.get_by_text(f"{view[0].upper()}{view[1:]} after 20 steps").wait_for()
    pictures(page, "loss-lab")


@pytest.mark.parametrize("size", [(1366, 768), (930, 640)])
def test_sliders_and_the_compared_losses_are_on_one_screen(open_file, size):
    page = open_file(LossLab(list(range(8))), size=size)
    page.wait_for_selector("[data-panel=compared] .main-svg")
    boxes = [page.locator(f"[data-panel={name}]").bounding_box() for name in ("scores", "compared")]
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2
    assert all(box["y"] + box["height"] <= size[1] for box in boxes)


def test_the_tour_notices_what_was_done_and_can_be_left_and_begun_again(open_file):
    page = open_file(LossLab(TEACHER, STUDENT))
    page.get_by_role("button", name="begin the guided tour").click()
    page.get_by_text("Step 1 of 5").wait_for()
    assert page.locator(".kit-pointed").get_attribute("data-panel") == "scores"
    page.locator(RANGE).nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Step 2 of 5").wait_for()
    page.get_by_label("loss", exact=True).select_option(label="mse")
    page.get_by_text("Step 3 of 5").wait_for()
    page.get_by_role("button", name="skip this step").click()
    page.get_by_text("Step 4 of 5").wait_for()
    page.get_by_role("button", name="leave the tour").click()
    assert page.locator(".kit-tour").is_hidden() and page.locator(".kit-pointed").count() == 0
    page.get_by_role("button", name="begin the guided tour").click()
    page.get_by_text("Step 1 of 5").wait_for()
