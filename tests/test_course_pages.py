"""The rendered course: pages that lead to each other, exported explorers, an index; nothing is fetched."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_cli import kit

from kit.course.hosting import Hosting, load_hosting, write_cells
from kit.course.site import find_notebooks, goals_of, make_course, title_of
from kit.pages.figures import SHARED
from kit.types import KitError

FIRST = [
    new_markdown_cell(
        "# 00 · First\n\n**You will** see a number, $x^2$. **You need** nothing. "
        "Then: [next](01_b.ipynb), [elsewhere](../no.md)"
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
    (out / "index.html").write_text("my own page")
    assert "index.html: wanted a name that is free for course" in kit(line).err
    (out / ".kit-course-pages.json").unlink()
    assert "wanted a new folder, or one with an earlier course" in kit(line).err
    assert (out / "index.html").read_text() == "my own page"


def test_a_page_has_text_code_output_and_picture(course):
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert '<h1 id="00-first">00 · First</h1>' in page and "<pre>six</pre>" in page
    assert "Plotly.newPlot" in page and 'class="kn">import' in page and "<msup>" in page
    assert re.search(r"<details><summary>A solution</summary>.*42.*</details>", page, re.DOTALL)


def test_pages_lead_to_each_other_and_to_hosts(course):
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert page.count('href="01_b.html"') == 3  # the text's link, and both bars
    assert ">elsewhere<" not in page and "elsewhere" in page  # a link that would be dead
    assert 'href="https://c/me/kit/00_a.ipynb"' in page and 'href="index.html"' in page
    index = (course / "index.html").read_text(encoding="utf-8")
    assert ">Loss lab</a>" in index and "<svg" in index
    assert "see a number" in index and "nothing" not in index and 'href="explorers/00_a-1-loss-lab.html"' in index


def test_an_explorer_is_shown_still_and_exported(course):
    exported = (course / "explorers" / "00_a-1-loss-lab.html").read_text(encoding="utf-8")
    page = (course / "00_a.html").read_text(encoding="utf-8")
    assert "<script" in exported or "<svg" in exported
    assert 'href="explorers/00_a-1-loss-lab.html"' in page and "application/vnd" not in page


def test_nothing_is_fetched(course):
    for path in course.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in page
        without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        assert not re.search(r'<link|\ssrc="(?!explorers/)|@import|url\(["\']?http', without_scripts), path.name
        assert set(re.findall(r'<script[^>]*\ssrc="(.*?)"', page)) <= {SHARED}, path.name


def test_hosting_is_filled_in_one_place(tmp_path):
    path = tmp_path / "hosting.toml"
    assert load_hosting(path).links("a.ipynb") == {}
    path.write_text('repository = ""\n[services]\nBinder = "https://b/{repository}/{branch}/{notebook}"\n')
    assert load_hosting(path).links("a.ipynb") == {}
    path.write_text('repository = "me/k"\n[services]\nBinder = "https://b/{repository}/{branch}/{notebook}"\n')
    hosting = load_hosting(path)
    assert hosting.links("a.ipynb") == {"Binder": "https://b/me/k/main/a.ipynb"}
    cells = hosting.cells("a.ipynb")
    assert cells["hosted-0"] == "Run it elsewhere: [Binder](https://b/me/k/main/a.ipynb)."
    assert '%pip install --quiet "kit[cpu,widgets] @ git+https://github.com/me/k@main"' in cells["setup-0"]


def test_links_and_set_up_are_written_once_after_the_title(tmp_path):
    path = written(tmp_path, "00_a", [new_markdown_cell("# A", id="c01"), new_code_cell("1", id="c02")])
    (tmp_path / "hosting.toml").write_text('repository = "me/k"\n[services]\nColab = "https://c/{notebook}"\n')
    for _ in range(2):
        write_cells(tmp_path)
        assert [cell.id for cell in nbformat.read(path, as_version=4).cells] == ["c01", "hosted-0", "setup-0", "c02"]
    assert "https://c/00_a.ipynb" in path.read_text()


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
