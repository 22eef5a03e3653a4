"""An executed notebook as a page: what is shown, what is folded, and that nothing is fetched."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kit.pages.execute import execute_notebook
from kit.pages.notebook import Page, prose, render_notebook
from kit.pages.page import page_html
from kit.types import KitError


def shown(*outputs, **metadata):
    """The page's body of one cell."""
    cell = new_code_cell("x", outputs=list(outputs), metadata=metadata)
    return render_notebook(new_notebook(cells=[cell]), Page("One")).split("<main>")[1].split("</main>")[0].strip()


def result(**data):
    return new_output("execute_result", {kind.replace("_", "/"): value for kind, value in data.items()})


def test_a_cell_that_fails_is_named(tmp_path):
    notebook = new_notebook(cells=[new_code_cell("x = 1", id="c01"), new_code_cell("1 / 0", id="c02")])
    with pytest.raises(KitError, match=r"bad\.ipynb, cell c02: .* ZeroDivisionError: division by zero"):
        execute_notebook(notebook, folder=tmp_path, name="bad.ipynb")


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/require.js"></script>',
        '<img src="https://elsewhere/x.png">',
        "<style>@import 'https://x'</style>",
        "<p style='background:url(http://x)'>",
    ],
)
def test_an_output_that_would_fetch_something_is_refused(html):
    with pytest.raises(KitError, match="an output that fetches nothing"):
        shown(result(text_html=html))


def test_outputs_are_shown_as_the_best_of_their_kinds():
    assert "<p>yes</p>" in shown(result(text_html="<p>yes</p>", text_plain="no"))
    assert "a &lt; b" in shown(result(text_plain="a < b"))
    assert 'src="data:image/png;base64,QUJD"' in shown(result(image_png="QUJD\n"))
    assert "<pre>said</pre>" in shown(new_output("stream", name="stdout", text="said\n"))
    assert "warned" not in shown(new_output("stream", name="stderr", text="warned"))
    assert shown(new_output("error", ename="Oops", evalue="a < b")).count("Oops: a &lt; b") == 1


def test_a_progress_bar_is_left_out():
    bar = new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "0%"}
    )
    assert "0%" not in shown(bar)


def test_a_figure_is_drawn_by_plotly_which_a_page_holds_once():
    figure = go.Figure().add_bar(y=np.array([1.0, 2.0]))
    output = new_output("display_data", {"application/vnd.plotly.v1+json": json.loads(figure.to_json())})
    page = render_notebook(new_notebook(cells=[new_code_cell("x", outputs=[output, output])]), Page("Two"))
    body, end = page.split("<main>")[1].split("</main>")
    assert body.count('<figure class="kit-plot">') == 2 and "<td" in body
    assert end.count('id="kit-plotly"') == 1 and len(page) < 800_000 and "script-src 'unsafe-inline'" in page
    shared = render_notebook(new_notebook(cells=[new_code_cell("x", outputs=[output])]), Page("One", plotly="p.js"))
    assert '<script src="p.js"></script>' in shared and len(shared) < 20_000
    assert "<script" not in render_notebook(new_notebook(cells=[new_code_cell("x")]), Page("None"))


def test_solutions_are_folded_and_inputs_can_be_hidden():
    assert shown(tags=["solution"]).startswith("<details><summary>A solution</summary>")
    hidden = shown(result(text_html="<b>only this</b>"), tags=["hide-input"])
    assert hidden == '<div class="out alone"><b>only this</b></div>'


def test_an_explorer_is_shown_and_linked_by_its_name():
    both = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/html": "<p>fallback</p>"}
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", both)])])
    page = render_notebook(notebook, Page("One", explorers={"m": {"name": "Loss lab", "address": "loss-lab.html"}}))
    assert 'title="Loss lab" src="loss-lab.html"></iframe>' in page and '<a href="loss-lab.html">Loss lab' in page
    assert "frame-src 'self' file:" in page and "<p>fallback</p>" not in page
    assert "<p>fallback</p>" in render_notebook(notebook, Page("Not exported"))


def test_a_page_has_contents_and_no_dead_links():
    text = "# Title\n\n## One & two\n\n[there](01.ipynb), [gone](../docs/no.md), [far](https://example.org)"
    page = render_notebook(new_notebook(cells=[new_markdown_cell(text)]), Page("One", links={"01.ipynb": "01.html"}))
    assert '<a href="#one-two">One &amp; two</a>' in page and '<h2 id="one-two">' in page
    assert '<a href="01.html">there</a>, gone, <a href="https://example.org">far</a>' in page


def test_formulas_are_mathml_and_code_is_not_a_formula():
    assert "<mfrac>" in prose("so $$\\frac{1}{2}$$ and") and 'display="block"' in prose("$$x$$")
    assert "<math" not in prose("`$x$` and\n\n```\n$y$ and $z$\n```\n")
    assert "<math" not in prose("costs \\$5 or \\$6") and "<msqrt>" in prose("$\\sqrt d$")


def test_text_and_titles_are_escaped():
    assert "<b>" not in prose("a <b>c</b>")
    assert "<title>a &lt; b</title>" in page_html("a < b", "")
    assert "<title>a &lt; b</title>" in render_notebook(new_notebook(), Page("a < b"))
