"""An executed notebook as one HTML page: text, code, tables, still pictures; nothing is fetched and no script runs.

plotly figures become SVG, widgets their static views, TeX becomes MathML. Solutions are folded. Knows nothing of
kernels; `kit.course.execute` runs notebooks, `kit.course.site` makes the course of the pages.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from kit.course.execute import WIDGET
from kit.plots.still import still
from kit.report.page import STYLE
from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLOTLY = "application/vnd.plotly.v1+json"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
PAGE = """
:root{--jp-content-font-color1:var(--ink);--jp-content-font-color2:var(--soft);--jp-ui-font-color1:var(--ink);
--jp-ui-font-color2:var(--soft);--jp-layout-color0:var(--page);--jp-layout-color1:var(--page);
--jp-layout-color2:var(--card);--jp-border-color1:var(--line);--jp-border-color2:var(--line);
--jp-brand-color1:var(--accent);--keyword:#8a2be2;--string:#0a6640;--comment:#57606a;--number:#953800}
@media(prefers-color-scheme:dark){:root{--keyword:#c89bff;--string:#7fd6a8;--comment:#a3acb6;--number:#f0b27a}}
body{max-width:66rem}
pre{background:var(--card);border-radius:.4rem;padding:.6rem .8rem;overflow-x:auto;font-size:.86rem;line-height:1.5}
pre code{background:none;padding:0;font-size:inherit}
.out{border-left:.2rem solid var(--line);padding-left:.8rem;margin:.4rem 0 1.4rem;overflow-x:auto}
.out pre{background:none;padding:0;margin:.2rem 0}
.out svg{max-width:100%;height:auto}
.out pre{white-space:pre-wrap}
.dataframe{border:0}.dataframe th,.dataframe td{padding:.25rem .8rem .25rem 0;border-width:0 0 1px;
text-align:left!important;white-space:nowrap}
details{border:1px solid var(--line);border-radius:.4rem;padding:.3rem .8rem;margin:.6rem 0}
summary{cursor:pointer;color:var(--accent)}
math[display=block]{margin:.8rem 0;overflow-x:auto;max-width:100%}
.k,.kn,.ow,.kc{color:var(--keyword)}.s1,.s2,.sd,.sa,.si,.se,.sr{color:var(--string)}
.c1{color:var(--comment);font-style:italic}.mi,.mf,.mh{color:var(--number)}
.nav{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.9rem;margin:.6rem 0}
"""
TEX = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$\w])\$(?P<inline>[^$\n]+?)\$(?![\d$])", re.DOTALL)
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
OUTSIDE = re.compile(
    r"""<(?:script|link|iframe|object|embed)\b|\bsrc\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?http"""
)


def page_of(title: str, body: str) -> str:
    """A whole page around `body` (HTML), light or dark as the reader's system is; its policy forbids every request."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{escape(title)}</title>'
        f"<style>{STYLE}{PAGE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def render(notebook: NotebookNode, explorers: Mapping[str, str] = {}, *, links: Mapping[str, str] = {}) -> str:
    """The cells of an executed notebook as HTML; `explorers` {widget model: address of its exported page}.

    `links`: {address in the text: address on the page}, for the other notebooks. An output that would fetch something
    is a `KitError`.
    """
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(prose(cell.source, links))
        elif cell.cell_type == "code":
            shown = f"<pre><code>{highlighted(cell.source)}</code></pre>"
            outputs = "".join(filter(None, (output_html(one, explorers) for one in cell.outputs)))
            if outside := OUTSIDE.search(outputs):
                raise KitError(f"cell {cell.id}", "an output that fetches nothing", repr(outside[0]))
            told = shown + (f'<div class="out">{outputs}</div>' if outputs else "")
            solution = "solution" in cell.metadata.get("tags", ())
            parts.append(f"<details><summary>A solution</summary>{told}</details>" if solution else told)
    return "\n".join(parts)


def prose(text: str, links: Mapping[str, str] = {}) -> str:
    """Markdown as HTML, formulas as MathML.

    >>> prose("a **b**, $x$").strip().replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    '<p>a <strong>b</strong>, <math display="inline"><mrow><mi>x</mi></mrow></math></p>'
    """
    import mistune

    formulas: list[str] = []

    def set_aside(found: re.Match[str]) -> str:
        formulas.append(mathml(found["block"] or found["inline"], block=found["block"] is not None))
        return f"FORMULA{len(formulas) - 1}SET"

    pieces = CODE.split(text)
    pieces[::2] = [TEX.sub(set_aside, piece) for piece in pieces[::2]]
    shown = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])("".join(pieces))
    for number, formula in enumerate(formulas):
        shown = shown.replace(f"FORMULA{number}SET", formula)
    for given, target in links.items():
        shown = shown.replace(f'href="{escape(given)}"', f'href="{escape(target)}"')
    return shown.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def mathml(tex: str, *, block: bool) -> str:
    """A formula of TeX as MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    return convert(tex.strip(), display="block" if block else "inline")


def highlighted(code: str) -> str:
    """Python as HTML, its words in spans whose classes the page's style colours."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip("\n")


def output_html(output: Any, explorers: Mapping[str, str]) -> str:
    """One output of a cell as HTML; "" for what only a live page shows (a progress bar, a line on stderr)."""
    if output.output_type == "stream":
        return f"<pre>{escape(output.text.rstrip())}</pre>" if output.name == "stdout" and output.text.strip() else ""
    if output.output_type == "error":
        return f"<pre>{escape(output.ename)}: {escape(output.evalue)}</pre>"
    data = output.data
    for kind, shown in SHOWN.items():
        if kind in data:
            return shown(data[kind]) + _explorer_link(data, explorers)
    return "" if WIDGET in data else f"<pre>{escape(data.get('text/plain', ''))}</pre>"


def _explorer_link(data: Mapping[str, Any], explorers: Mapping[str, str]) -> str:
    address = explorers.get(data.get(WIDGET, {}).get("model_id", ""))
    if address is None:
        return ""
    return f'<p><a href="{escape(address)}">Open this explorer on its own page</a>, with what can be chosen there.</p>'


def _picture(figure: Mapping[str, Any]) -> str:
    return still(go.Figure({"data": decoded(figure["data"]), "layout": decoded(figure.get("layout", {}))}))


def decoded(value: Any) -> Any:
    """plotly's JSON with lists in place of the arrays (`dtype`, `bdata`, `shape`) that it packs in base64.

    >>> decoded({"y": {"dtype": "i1", "bdata": "AQI="}})
    {'y': [1, 2]}
    """
    if isinstance(value, Mapping):
        if "bdata" in value:
            numbers = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
            shape = [int(size) for size in str(value.get("shape", len(numbers))).split(",")]
            return numbers.reshape(shape).tolist()
        return {name: decoded(part) for name, part in value.items()}
    return [decoded(part) for part in value] if isinstance(value, list | tuple) else value


def _image(kind: str) -> Callable[[str], str]:
    return lambda data: f'<img alt="" src="data:{kind};base64,{escape("".join(data.split()))}">'


# What an output is shown as, the first of these that it has.
SHOWN: dict[str, Callable[[Any], str]] = {
    PLOTLY: _picture,
    "text/html": str,
    "image/svg+xml": str,
    "image/png": _image("image/png"),
    "text/markdown": prose,
}
