"""FigureView in real front ends: drawn, clicked, light and dark, plotly.js once a page and nothing from outside."""

from __future__ import annotations

CELLS = [
    "# A figure's view",
    "from kit import plots\nfrom kit.widgets.figure_view import FigureView\nimport ipywidgets\n"
    "from kit.widgets.explorer import labelled_choice, labelled_slider",
    "bars = plots.passage_bars([3.0, 1.0, 2.0], ['Paris', 'Rome', 'Oslo'], [True, False, False])\n"
    "view, map = FigureView(bars, label='scores'), FigureView(plots.layer_head_map([[0.1, 0.9], [0.4, 0.6]]))\n"
    "told = ipywidgets.HTML('no click')\n"
    "def tell(trace, point): told.value = f'clicked {trace} {point}'\n"
    "view.on_click(tell), map.on_click(tell)\n"
    "control = labelled_slider('passages', 1, 9, 1, 3)\n"
    "control.observe(lambda _: view.show(plots.passage_bars(range(control.value), list('abcdefghi')[:control.value],"
    " [False] * control.value)), 'value')\n"
    "ipywidgets.VBox([control, labelled_choice('layer', ['all', '0']), view, told, map])",
    "FigureView(plots.recall_curves({'BM25': {1: .5, 5: .8}, 'student': {1: .6, 5: .9}}), label='recall')",
]
DRAWN = "(count) => document.querySelectorAll('.kit-figure .plot-container').length >= count"
SHOWN = "(text) => document.body.innerText.includes(text)"
PLOTLY = 1_000_000  # bytes: a message this large holds plotly.js


def click_mark(page, selector: str, number: int) -> None:
    """A click in the middle of a mark, by the mouse: plotly takes no other."""
    page.wait_for_timeout(300)
    box = page.locator(selector).nth(number).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.wait_for_timeout(200)
    page.mouse.down()
    page.mouse.up()


def test_lab_draws_figures_and_tells_clicks_and_sends_plotly_once(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS)
    page.wait_for_function(DRAWN, arg=3)
    assert page.locator(".kit-figure").first.get_attribute("aria-label") == "scores"
    click_mark(page, ".kit-figure .bars .point path", 2)
    page.wait_for_function(SHOWN, arg="clicked 1 1")
    click_mark(page, ".kit-figure .heatmaplayer image", 0)
    page.wait_for_function("() => /clicked 0 [0-3]/.test(document.body.innerText)")
    pictures(page, "figures-lab-light")
    assert len([size for size in page.received if size > PLOTLY]) == 1, sorted(page.received)[-5:]


def test_lab_dark_and_the_number_box_moves_the_picture(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS, dark=True)
    page.wait_for_function(DRAWN, arg=3)
    pictures(page, "figures-lab-dark")
    height = page.locator(".kit-figure").first.bounding_box()["height"]
    box = page.get_by_label("passages, exact number")
    box.fill("7")
    box.press("Enter")
    page.wait_for_function("() => document.querySelector('.kit-figure').querySelectorAll('.bars .point').length === 7")
    assert page.locator(".kit-figure").first.bounding_box()["height"] > height
    ink = "getComputedStyle(document.querySelector('.kit-figure .xtick text')).fill"
    assert min(int(part) for part in page.evaluate(ink).removeprefix("rgb(").split(")")[0].split(",")[:3]) > 150


def test_notebook7_draws_figures(notebook7, run_notebook, pictures):
    page = run_notebook(notebook7, CELLS)
    page.wait_for_function(DRAWN, arg=3)
    pictures(page, "figures-notebook7")
    assert len([size for size in page.received if size > PLOTLY]) == 1


def test_voila_draws_figures_and_answers(voila, run_notebook, pictures):
    page = run_notebook(voila, CELLS, dark=True)
    page.wait_for_function(DRAWN, arg=3)
    click_mark(page, ".kit-figure .bars .point path", 2)
    page.wait_for_function(SHOWN, arg="clicked 1 1")
    pictures(page, "figures-voila-dark")
    assert len([size for size in page.received if size > PLOTLY]) == 1


def test_a_still_picture_stands_in_while_the_kernel_is_busy(lab, run_notebook, pictures):
    cells = [*CELLS[1:3], "import time; time.sleep(600)"]
    page = run_notebook(lab, cells, wait=False)
    page.wait_for_function("() => document.querySelectorAll('.kit-figure > svg[role=img]').length === 2")
    assert page.locator(".kit-figure .plot-container").count() == 0
    pictures(page, "figures-busy")
    page.evaluate("() => globalThis.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    page.wait_for_function(DRAWN, arg=2)
    assert page.locator(".kit-figure > svg[role=img]").count() == 0
