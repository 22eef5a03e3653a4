"""plotly figures in pages that fetch nothing: a page has plotly.js once, compressed, and under each figure its numbers.

A page of figures is `figure_html(figure, ...)` for each and then, once, `plotly_html()` and `drawing_html()`.
Explorers that draw for themselves take `plotly_html()` (an element whose text is plotly.js in base64 of gzip, with the
id `PLOTLY_ID`) in a page and `plotly_bundle()` over a notebook's connection. The bundle is plotly's "cartesian":
plotly-cartesian.txt beside this file says its version, its licence and how it was got. Needs no plotly in Python.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import Any

from kit.files import written_aside
from kit.pages.tables import table_html

PLACE = Path(__file__).parent
PLOTLY_ID = "kit-plotly"
MIME = "application/vnd.plotly.v1+json"  # of a figure in a notebook's file
NOTICE = "plotly.js, Copyright Plotly, Inc., MIT license"
SHARED = "plotly-cartesian.js"
HEIGHT = 400  # pixels of a figure that does not say
ROWS = 60  # of a table of numbers: longer ones are thinned


@cache
def plotly_bundle() -> bytes:
    """plotly.js, the cartesian bundle, compressed by gzip: half a megabyte."""
    return (PLACE / "plotly-cartesian.min.js.gz").read_bytes()


@cache
def plotly_html(address: str = "") -> str:
    """What a page of figures needs once, after them: an element with plotly.js, which does nothing by itself.

    0.66 MB of HTML; or, with the `address` of a file of `write_plotly`, a line.
    """
    if address:
        return f'<script src="{escape(address)}"></script>'
    return f'<script type="text/plain" id="{PLOTLY_ID}">{_in_base64()}</script><!-- {NOTICE} -->'


def write_plotly(folder: Path) -> str:
    """The name of a script in `folder` that many pages share: it puts the element of `plotly_html` into a page."""
    element = (
        f'Object.assign(document.createElement("script"), {{ type: "text/plain", id: "{PLOTLY_ID}", textContent }})'
    )
    with written_aside(folder / SHARED) as aside:
        text = f'// {NOTICE}\n{{\nconst textContent = "{_in_base64()}";\ndocument.head.append({element});\n}}\n'
        aside.write_text(text, encoding="utf-8")
    return SHARED


@cache
def drawing_html() -> str:
    """A style and a script that draw every figure of their page (`figure_html`) with the page's plotly.js."""
    style, script = ((PLACE / name).read_text(encoding="utf-8") for name in ("figures.css", "figures.js"))
    return f"<style>{style}</style><script>{script}</script>"


def figure_html(figure: Any, label: str = "", caption: str = "") -> str:
    """A figure as wide as its page and, folded below it, its numbers; `label` is plain text, `caption` HTML.

    `label` is what screen readers say, by default the titles of the axes. `figure` is a plotly figure, or the mapping
    that a notebook's file holds of one.

    >>> html = figure_html({"data": [{"type": "bar", "x": ["a<b"], "y": [2]}]}, "One bar")
    >>> html.count("a<b"), "a&lt;b</td>" in html, 'aria-label="One bar"' in html
    (0, True, True)
    """
    content = _content(figure)
    drawn = {"data": content.get("data", []), "layout": content.get("layout", {})}
    text = json.dumps(drawn, separators=(",", ":")).replace("<", "\\u003c")
    height = drawn["layout"].get("height") or HEIGHT
    label = label or ", ".join(filter(None, (_title(drawn["layout"].get(axis, {})) for axis in ("yaxis", "xaxis"))))
    return (
        f'<figure class="kit-plot"><div class="kit-picture" role="img" aria-label="{escape(label or "figure")}" '
        f'style="height:{height}px"></div><script type="application/json">{text}</script>'
        + (f"<figcaption>{caption}</figcaption>" if caption else "")
        + f"<details><summary>Numbers</summary>{figure_table(content) or 'none'}</details></figure>"
    )


def figure_table(figure: Any) -> str:
    """The numbers of a figure's bars, lines and maps as HTML tables, one a panel; "" if it has none.

    What a place on an axis is called there, it is called here. Of more than 60 rows some are left out, evenly.

    >>> figure_table({"data": [{"type": "bar", "x": [0.5, 1], "y": ["a", "b"], "orientation": "h"}]}).count("<tr>")
    3
    """
    content = _unpacked(_content(figure))
    layout = content.get("layout", {})
    panels: dict[tuple[str, str], list[Any]] = {}
    for trace in content.get("data", []):
        if trace.get("mode") != "text":  # words beside a mark, not a mark
            panels.setdefault((trace.get("xaxis", "x"), trace.get("yaxis", "y")), []).append(trace)
    notes = [note.get("text", "") for note in layout.get("annotations", ())]
    titles = notes if len(notes) == len(panels) else [""] * len(panels)
    pairs = zip(panels.items(), titles, strict=True)
    return "".join(_panel(layout, *axes, traces, title) for (axes, traces), title in pairs)


def _in_base64() -> str:
    return base64.b64encode(plotly_bundle()).decode()


def _content(figure: Any) -> Mapping[str, Any]:
    return json.loads(figure.to_json()) if hasattr(figure, "to_json") else figure


def _unpacked(value: Any) -> Any:
    """Lists in place of the arrays (`dtype`, `bdata`, `shape`) that plotly packs in base64."""
    if isinstance(value, Mapping):
        if "bdata" not in value:
            return {name: _unpacked(part) for name, part in value.items()}
        import numpy as np

        numbers = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
        return numbers.reshape([int(size) for size in str(value.get("shape", len(numbers))).split(",")]).tolist()
    return [_unpacked(part) for part in value] if isinstance(value, list | tuple) else value


def _panel(layout: Mapping[str, Any], x: str, y: str, traces: Sequence[Mapping[str, Any]], title: str) -> str:
    first, second = (layout.get(f"{name[0]}axis{name[1:]}", {}) for name in (x, y))
    if traces[0].get("type") == "heatmap":
        return _map(first, second, traces[0], title)
    if any(trace.get("orientation") == "h" for trace in traces):
        first, second, places, values = second, first, "y", "x"
    else:
        places, values = "x", "y"
    rows: dict[Any, dict[int, str]] = {}
    for number, trace in enumerate(traces):
        base = trace.get("base") or 0
        numbers = trace.get(values) or ()
        for place, value in zip(trace.get(places) or range(len(numbers)), numbers, strict=False):
            if value is not None:
                rows.setdefault(place, {})[number] = _written(value + base if base else value, second)
    if not rows:
        return ""
    ordered = sorted(rows) if all(isinstance(place, int | float) for place in rows) else list(rows)
    header = [_title(first), *(trace.get("name") or _title(second) for trace in traces)]
    cells = [
        [_called(place, first), *(rows[place].get(n, "") for n in range(len(traces)))] for place in _thinned(ordered)
    ]
    return table_html(_plain(title), header, cells)


def _map(first: Mapping[str, Any], second: Mapping[str, Any], trace: Mapping[str, Any], title: str) -> str:
    matrix = trace.get("z") or []
    columns, lines = (trace.get(name) or range(size) for name, size in (("x", len(matrix[0])), ("y", len(matrix))))
    header = [f"{_title(second)} \\ {_title(first)}", *(_called(place, first) for place in columns)]
    cells = [
        [_called(place, second), *(_written(v, {}) for v in row)] for place, row in zip(lines, matrix, strict=False)
    ]
    return table_html(_plain(title), header, _thinned(cells))


def _called(place: Any, axis: Mapping[str, Any]) -> str:
    names = dict(zip(axis.get("tickvals") or (), axis.get("ticktext") or (), strict=False))
    return _plain(str(names[place])) if place in names else _written(place, axis)


def _written(value: Any, axis: Mapping[str, Any]) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = f"{value:.1%}" if str(axis.get("tickformat", "")).endswith("%") else f"{value:.4g}"
    return text.replace("-", "−")


def _title(axis: Mapping[str, Any]) -> str:
    title = axis.get("title") or ""
    return _plain(title if isinstance(title, str) else title.get("text") or "")


def _plain(text: str) -> str:
    """The text without plotly's own few tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _thinned(rows: Iterable[Any]) -> list[Any]:
    kept = list(rows)
    return kept[:: -(-len(kept) // ROWS) or 1]
