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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from traitlets.config import Config

from kit.pages.figures import MIME, drawing_html, figure_html, plotly_html
from kit.pages.page import POLICY, style
from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLACE = Path(__file__).parent
# What an output is shown as: the first of these that it has.
SHOWN = [MIME, "text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
OUTSIDE = re.compile(
    r"""<(?:script|link|iframe|object|embed)\b|\bsrc\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?http"""
)


@dataclass(frozen=True)
class Page:
    """What a page has beside its notebook: a title, HTML of its navigation, and where other things are.

    `links`: {address in the text: address on the page}; a relative address that is not among them loses its link.
    `explorers`: {widget model: {"name": ..., "address": ...}} of explorers that were exported. `plotly`: address of a
    file from `kit.pages.figures.write_plotly`, for pages that share one; without it a page of figures holds its own.
    """

    title: str
    navigation: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    explorers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plotly: str = ""


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
    figures = any(MIME in output.get("data", ()) for cell in notebook.cells for output in cell.get("outputs", ()))
    parts = {
        "title": page.title, "navigation": page.navigation, "explorers": page.explorers, "contents": contents,
        "policy": POLICY + "; frame-src 'self' file:" * bool(page.explorers), "style": style(), 
        "drawing": plotly_html(page.plotly) + drawing_html() if figures else "",
    }  # fmt: skip
    return _exporter().from_notebook_node(notebook, {"page": parts})[0]


def prose(text: str, links: Mapping[str, str] = {}) -> str:
    """Markdown as HTML, formulas as MathML.

    >>> prose("a **b**, $x$").strip().replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    '<p>a <strong>b</strong>, <math display="inline"><mrow><mi>x</mi></mrow></math></p>'
    """
    return str(MarkdownWithMath(Prose(links))(text))


class Prose(IPythonRenderer):
    """nbconvert's Markdown with MathML, headings that can be linked to (`contents`), and no dead links."""

    def __init__(self, links: Mapping[str, str]) -> None:
        super().__init__(escape=True)
        self.links = links
        self.contents: list[tuple[str, str]] = []

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
            "figure": figure_html,
        },
    )


def _nothing_fetched(html: str, cell: NotebookNode) -> str:
    if outside := OUTSIDE.search(html):
        raise KitError(f"cell {cell.id}", "an output that fetches nothing", repr(outside[0]))
    return html
