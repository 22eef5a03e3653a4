"""Pages of notebooks: what is shown, what is folded, and that nothing is fetched."""

from __future__ import annotations

import json
import re

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_cli import kit

from kit.course.execute import execute
from kit.course.render import decoded, highlighted, mathml, page_of, prose, render
from kit.course.site import Hosting, find_notebooks, goals_of, load_hosting, make_course, title_of
from kit.types import KitError

FIRST = [
    new_markdown_cell(
        "# 00 · First\n\n**You will** see a number, $x^2$. **You need** nothing. Then: [next](01_b.ipynb)"
    ),
    new_code_cell("import plotly.graph_objects as go\nprint('six')\ngo.Figure().add_bar(x=['a', 'b'], y=[1, 2])"),
    new_code_cell("from kit.widgets import LossLab\nLossLab([2.0, 1.0, 0.0])"),
    new_code_cell("6 * 7", metadata={"tags": ["solution"], "jupyter": {"source_hidden": True}}),
]


def written(folder, name, cells):
    path = folder / f"{name}.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def shown(*outputs, **metadata):
    return render(new_notebook(cells=[new_code_cell("x", outputs=list(outputs), metadata=metadata)]))


def result(**data):
    return new_output("execute_result", {kind.replace("_", "/"): value for kind, value in data.items()})


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    paths = [written(folder, "00_a", FIRST), written(folder, "01_b", [new_markdown_cell("# 01 · Second")])]
    make_course(folder / "site", paths, Hosting("me/kit", "main", {"Colab": "https://c/{repository}/{notebook}"}))
    return folder / "site"


def test_a_course_that_stopped_is_made_again_in_its_folder(tmp_path):
    source, out = tmp_path / "notebooks", tmp_path / "site"
    source.mkdir()
    line = f"kit course --folder {source} --out {out}"
    written(source, "00_a", [new_markdown_cell("# 00 · First"), new_code_cell("assert False", id="bad")])
    assert "00_a.ipynb, cell bad: wanted a cell that runs, given AssertionError" in kit(line).err
    assert not (out / "index.html").exists()
    written(source, "00_a", [new_markdown_cell("# 00 · First")])
    assert kit(line).code == 0 and (out / "index.html").exists()


def test_a_page_has_text_code_output_and_picture(course):
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert "<h1>00 · First</h1>" in page and "<pre>six</pre>" in page
    assert page.count("<svg") > 1 and 'class="kn">import' in page and "<msup>" in page
    assert re.search(r"<details><summary>A solution</summary>.*42.*</details>", page, re.DOTALL)


def test_pages_lead_to_each_other_and_to_hosts(course):
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert page.count('href="01_b.html"') == 3  # the text's link, and both bars
    assert 'href="https://c/me/kit/00_a.ipynb"' in page and 'href="index.html"' in page
    index = (course / "index.html").read_text(encoding="utf-8")
    assert "see a number" in index and "nothing" not in index and 'href="explorers/00_a-1.html"' in index


def test_an_explorer_is_shown_still_and_exported(course):
    exported = (course / "explorers" / "00_a-1.html").read_text(encoding="utf-8")
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert "<script" in exported or "<svg" in exported
    assert 'href="explorers/00_a-1.html"' in page and "application/vnd" not in page


def test_nothing_is_fetched(course):
    for path in course.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in page
        assert not re.search(r'<link|\ssrc="|@import|url\(["\']?http', page), path.name
    assert "<script" not in (course / "00_a.html").read_text(encoding="utf-8")


def test_a_cell_that_fails_is_named(tmp_path):
    path = written(tmp_path, "bad", [new_code_cell("x = 1", id="c01"), new_code_cell("1 / 0", id="c02")])
    with pytest.raises(KitError, match=r"bad\.ipynb, cell c02: .* ZeroDivisionError: division by zero"):
        execute(path)


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
    assert (
        shown(new_output("stream", name="stderr", text="warned")) == '<pre><code><span class="n">x</span></code></pre>'
    )


def test_a_progress_bar_is_left_out():
    bar = new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "0%"}
    )
    assert "0%" not in shown(bar)


def test_a_figure_becomes_a_still_picture():
    figure = go.Figure().add_bar(y=np.array([1.0, 2.0]), width=np.array([0.5, 0.5])).add_heatmap(z=np.eye(2))
    data = {"application/vnd.plotly.v1+json": json.loads(figure.to_json())}
    assert "bdata" in figure.to_json()
    assert "<svg" in shown(new_output("display_data", data))
    assert decoded(json.loads(figure.to_json())["data"])[1]["z"] == [[1.0, 0.0], [0.0, 1.0]]


def test_a_picture_that_cannot_be_drawn_is_named(tmp_path):
    path = written(tmp_path, "00_pie", [new_markdown_cell("# Pie"), new_code_cell(PIE, id="c02")])
    with pytest.raises(KitError, match=r"00_pie\.ipynb, still: wanted traces of the types .* given pie"):
        make_course(tmp_path / "site", [path])


PIE = "import plotly.graph_objects as go\ngo.Figure().add_pie(values=[1, 2])"


def test_formulas_are_mathml_and_code_is_not_a_formula():
    assert "<mfrac>" in prose("so $$\\frac{1}{2}$$ and") and 'display="block"' in prose("$$x$$")
    assert "<math" not in prose("`$x$` and\n\n```\n$y$ and $z$\n```\n")
    assert "<math" not in prose("costs 5$ or 6$")
    assert "<msqrt>" in mathml("\\sqrt d", block=False)


def test_text_and_titles_are_escaped():
    assert "<b>" not in prose("a <b>c</b>")
    assert "<title>a &lt; b</title>" in page_of("a < b", "")
    assert "&lt;" in highlighted("a < b")


def test_hosting_is_filled_in_one_place(tmp_path):
    path = tmp_path / "hosting.toml"
    assert load_hosting(path).links("a.ipynb") == {}
    path.write_text('repository = ""\n[services]\nBinder = "https://b/{repository}/{branch}/{notebook}"\n')
    assert load_hosting(path).links("a.ipynb") == {"Binder": ""}
    path.write_text('repository = "me/k"\n[services]\nBinder = "https://b/{repository}/{branch}/{notebook}"\n')
    assert load_hosting(path).links("a.ipynb") == {"Binder": "https://b/me/k/main/a.ipynb"}


@pytest.mark.parametrize("text", ["repository = ", '[services]\nBinder = "{owner}"', '[services]\nBinder = "{}"'])
def test_a_broken_hosting_file_is_named(tmp_path, text):
    (tmp_path / "hosting.toml").write_text(text)
    with pytest.raises(KitError, match=r"hosting\.toml: wanted repository, branch"):
        load_hosting(tmp_path / "hosting.toml")


def test_notebooks_are_found_by_the_beginnings_of_their_names(tmp_path):
    paths = [written(tmp_path, name, []) for name in ("00_a", "01_b")]
    assert find_notebooks(tmp_path) == paths and find_notebooks(tmp_path, ["01"]) == paths[1:]
    with pytest.raises(KitError, match="--only: wanted beginnings of 00_a, 01_b, given '7'"):
        find_notebooks(tmp_path, ["7"])
    with pytest.raises(KitError, match="a folder with notebooks"):
        find_notebooks(tmp_path / "empty")


def test_a_notebook_without_a_title_is_refused():
    with pytest.raises(KitError, match="a heading"):
        title_of(new_notebook(cells=[new_code_cell("# not this")]))
    assert goals_of(new_notebook(cells=[])) == ""
