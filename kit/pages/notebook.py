"""An executed notebook as one HTML page: text, code, outputs and a table of contents; nothing is fetched.

nbconvert fills the template beside this file; formulas become MathML, solutions are folded. Knows nothing of kernels
(`kit.pages.execute`) and of what a notebook is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from latex2mathml.converter import convert
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from plotly.offline import get_plotlyjs
from traitlets.config import Config

from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLACE = Path(__file__).parent
# Nothing may be fetched: script and style are inline, and pictures are saved through data and blob.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
PLOTLY = "application/vnd.plotly.v1+json"
# What an output is shown as: the first of these that it has.
SHOWN = [PLOTLY, "text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
OUTSIDE = re.compile(
    r"""<(?:script|link|iframe|object|embed)\b|\bsrc\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?http"""
)


@dataclass(frozen=True)
class Page:
    """What a page has beside its notebook: a title, HTML of its navigation, and where other things are.

    `links`: {address in the text: address on the page}; a relative address that is not among them loses its link.
    `explorers`: {widget model: {"name": ..., "address": ...}} of explorers that were exported.
    """

    title: str
    navigation: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    explorers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def render_notebook(notebook: NotebookNode, page: Page) -> str:
    """The page of an executed notebook, as HTML. Raises `KitError` if one of its outputs would fetch something.

    Cells with the tag "solution" are folded; of cells with the tag "hide-input" only the outputs are shown.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> "<title>One</title>" in render_notebook(new_notebook(cells=[new_code_cell("1 + 1")]), Page("One"))
    True
    """
    notebook, contents = deepcopy(notebook), []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            renderer = Prose(page.links)
            cell.source = MarkdownWithMath(renderer)(cell.source)
            contents += renderer.contents
        elif "hide-input" in cell.metadata.get("tags", ()):
            cell.metadata.transient = {"remove_source": True}
    figures = any(PLOTLY in output.get("data", ()) for cell in notebook.cells for output in cell.get("outputs", ()))
    parts = {
        "title": page.title, "navigation": page.navigation, "explorers": page.explorers, "contents": contents,
        "policy": POLICY, "style": style(), "head": f"<script>{get_plotlyjs()}</script>" if figures else "",
    }  # fmt: skip
    return _exporter().from_notebook_node(notebook, {"page": parts})[0]


def write_page(title: str, body: str) -> str:
    """A page around `body` (HTML) in the same style and under the same policy."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head = f"{head}{policy}<title>{escape(title)}</title><style>{style()}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def prose(text: str, links: Mapping[str, str] = {}) -> str:
    """Markdown as HTML, formulas as MathML.

    >>> prose("a **b**, $x$").strip().replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    '<p>a <strong>b</strong>, <math display="inline"><mrow><mi>x</mi></mrow></math></p>'
    """
    return MarkdownWithMath(Prose(links))(text)


class Prose(IPythonRenderer):
    """nbconvert's Markdown with MathML, headings that can be linked to (`contents`), and no dead links."""

    def __init__(self, links: Mapping[str, str]) -> None:
        super().__init__(escape=True)
        self.links, self.contents = links, []

    def inline_math(self, body: str) -> str:
        return convert(body.strip())

    def block_math(self, body: str) -> str:
        return convert(body.strip(), display="block")

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        name = re.sub(r"\W+", "-", re.sub(r"<[^>]*>|&\w+;", "", text)).strip("-").lower()
        if level == 2:
            self.contents.append((name, text))
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        url = self.links.get(url, url)
        there = "://" in url or url.startswith("#") or url in self.links.values()
        return super().link(text, url, title) if there else text

    def table(self, text: str) -> str:
        return f'<div class="scroll"><table>{text}</table></div>'


@cache
def style() -> str:
    """The style sheet of every page."""
    return (PLACE / "page.css").read_text(encoding="utf-8")


@cache
def _exporter() -> TemplateExporter:
    return TemplateExporter(
        config=Config(NbConvertBase={"display_data_priority": SHOWN}),
        extra_template_basedirs=[str(PLACE / "templates")],
        template_name="notebook",
        file_extension=".html",
        filters={
            "highlight_code": Highlight2HTML("python"),
            "markdown2html": prose,
            "nothing_fetched": _nothing_fetched,
            "figure": _figure,
        },
    )


def _nothing_fetched(html: str, cell: NotebookNode) -> str:
    if outside := OUTSIDE.search(html):
        raise KitError(f"cell {cell.id}", "an output that fetches nothing", repr(outside[0]))
    return html


def _figure(figure: Mapping[str, Any]) -> str:
    drawn = go.Figure(figure).update_layout(dragmode=False)  # a finger on a picture moves the page
    return drawn.to_html(
        full_html=False, include_plotlyjs=False, default_width="100%",
        default_height=f"{drawn.layout.height or 400}px", 
        config={"responsive": True, "displaylogo": False, "modeBarButtons": [["toImage"]]},
    )  # fmt: skip
