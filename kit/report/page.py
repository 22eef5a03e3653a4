"""The pieces of a page in one file: sections, tiles, tables, pictures. Every text is escaped, nothing is fetched.

Light and dark follow the reader's system, and so do the pictures' texts and grids. Knows nothing of what is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--page:#fff;--card:#f4f6f8;--line:#d0d7de;--accent:#00609a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#a3acb6;--page:#16181d;--card:#20242b;--line:#3a4149;
--accent:#56b4e9}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:58rem;padding:1rem 1.1rem 4rem;background:var(--page);color:var(--ink);
font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.25;margin:.8rem 0 .4rem}
h2{font-size:1.3rem;margin:3rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:2rem 0 .3rem}
p,ul,ol{max-width:44rem}
a{color:var(--accent)}
code{background:var(--card);padding:.1em .3em;border-radius:.25em;font-size:.92em}
nav ol{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;padding:0;margin:1rem 0;list-style-position:inside;max-width:none}
.tiles{display:grid;grid-template-columns:repeat(3,1fr);gap:.7rem;margin:1.2rem 0;padding:0}
@media(max-width:38rem){.tiles{grid-template-columns:repeat(2,1fr)}}
.tiles div{background:var(--card);border-radius:.6rem;padding:.7rem .9rem}
.tiles dt{font-size:.85rem;color:var(--soft);line-height:1.35}
.tiles dd{margin:0;font-size:1.6rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles dd.note{font-size:.85rem;font-weight:400;line-height:1.35}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.3rem}
th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}
figure{margin:1rem 0}
figcaption{max-width:44rem;margin-top:.4rem}
blockquote{margin:1rem 0;padding:.4rem 1rem;border-left:.25rem solid var(--accent);
background:var(--card);font-size:1.1rem}
.card{background:var(--card);border-radius:.6rem;padding:.2rem 1rem;margin:.8rem 0}
.passages li{margin:.5rem 0}
.soft{color:var(--soft)}
.js-plotly-plot :is(.xtick,.ytick,.x2tick,.y2tick,.x3tick,.y3tick) text,.js-plotly-plot .infolayer text,
.js-plotly-plot :is(.barlayer,.scatterlayer) text{fill:var(--ink)!important}
.js-plotly-plot .gridlayer path{stroke:var(--line)!important}
.js-plotly-plot .modebar-btn path{fill:var(--soft)!important}
.js-plotly-plot .modebar-group{background:transparent!important}
@media print{h2,h3{break-after:avoid}figure,tr,@media(max-width:38rem){.tiles{grid-template-columns:repeat(2,1fr)}}
.tiles div{break-inside:avoid}nav{display:none}}
"""
# Nothing may be fetched: the page's own script and style are inline, and pictures are saved through data and blob.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of HTML parts, with plotly.js in it once; `title` is plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><script>{get_plotlyjs()}</script></head>\n<body>\n"
        "<noscript><p>The pictures of this page need JavaScript; the tables hold their numbers.</p></noscript>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A section of HTML parts under a heading, with `name` as its anchor.

    >>> section("one", "A < B", "<p>x</p>")
    '<section id="one"><h2>A &lt; B</h2>\\n<p>x</p></section>'
    """
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>\n' + "\n".join(parts) + "</section>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; words between backticks are code.

    >>> paragraph("run `kit` & look")
    '<p>run <code>kit</code> &amp; look</p>'
    """
    return f"<p{f' class={escape(kind)!r}' if kind else ''}>{coded(text)}</p>"


def coded(text: str) -> str:
    """Escaped text in which words between backticks are code."""
    pieces = escape(text, quote=False).split("`")
    if len(pieces) % 2 == 0:
        return escape(text, quote=False)
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def bullets(items: Iterable[str]) -> str:
    """A list of plain texts; words between backticks are code."""
    return "<ul>" + "".join(f"<li>{coded(item)}</li>" for item in items) + "</ul>"


def tiles(rows: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures, each a (label, value, note) of plain text."""
    cells = (
        f'<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd><dd class="note soft">{escape(note)}</dd></div>'
        for label, value, note in rows
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table of plain texts; its first `words` columns are text, the others are numbers, to the right.

    >>> table("c", ["name", "n"], [["a", "1"]]).count("number")
    2
    """

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = ["" if column < words else ' class="number"' for column in range(len(cells))]
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{line(header, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def picture(name: str, figure: go.Figure, text: str) -> str:
    """A plotly figure as wide as the page, and below it what is seen (plain text); `name` differs for each picture."""
    shown = go.Figure(figure).update_layout(dragmode=False)  # a finger on a picture moves the page
    html = shown.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"picture-{name}", default_width="100%",
        default_height=f"{shown.layout.height or 400}px", 
        config={"responsive": True, "displaylogo": False, "modeBarButtons": [["toImage"]]},
    )  # fmt: skip
    return f"<figure>{html}<figcaption>{coded(text)}</figcaption></figure>"


def percent(share: float | None) -> str:
    """A share as a percentage; a dash where there is none.

    >>> percent(0.125), percent(None)
    ('12.5%', '–')
    """
    return "–" if share is None or share != share else f"{share:.1%}"
