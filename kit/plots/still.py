"""A plotly figure as one <svg> string: what is seen where neither widgets nor scripts run.

Covers what the kit's figures use: bars, lines, points, texts, areas, heatmaps, panels, axes of all three kinds,
legends, annotations, lines across. Text has the colour of the text around the picture, so it reads on light and on
dark pages. Axes, marks and the rest stand in the files still_*.py beside this one.
"""

from __future__ import annotations

import re
from hashlib import sha256
from html import escape, unescape
from typing import Any

import plotly.graph_objects as go

from kit.plots.still_axes import Axis, axes_of, draw_axis
from kit.plots.still_legend import (
    BAR_ROOM,
    ROW,
    Box,
    draw_annotation,
    draw_colour_bar,
    draw_legend,
    draw_shape,
    legend_rows,
    with_bars,
)
from kit.plots.still_lines import draw_scatter
from kit.plots.still_marks import Canvas, draw_bars, draw_heatmap
from kit.plots.still_text import SIZE, text_at, width_of
from kit.types import KitError

KNOWN = ("bar", "scatter", "scattergl", "heatmap")
HEIGHT = 400  # of a figure that does not say


def still(figure: go.Figure, *, width: int = 720, title: str = "") -> str:
    """The figure as SVG, `width` pixels wide and at most as wide as the page; `title` is what screen readers say.

    On a narrow page it shrinks to seven tenths, so that its text can still be read, and scrolls where what holds it has
    `overflow-x: auto`.

    A trace or a shape of a kind that is not known is an error, never left out.

    >>> picture = still(go.Figure().add_bar(x=["a", "b"], y=[1, 2]), title="Two bars")
    >>> picture.count("<rect"), "<title>Two bars</title>" in picture, "<script" in picture
    (2, True, False)
    """
    if not isinstance(figure, go.Figure):
        raise KitError("still", "a plotly figure", type(figure).__name__)
    traces = [trace for trace in figure.data if trace.visible in (None, True)]
    for trace in traces:
        if trace.type not in KNOWN:
            raise KitError("still", f"traces of the types {', '.join(KNOWN)}", trace.type)
    layout, axes = figure.layout, axes_of(figure, traces)
    height = int(layout.height or HEIGHT)
    legend = legend_rows(figure, traces, width)
    box = _plot_area(layout, traces, axes, (width, height), len(legend))
    for axis in axes.values():
        axis.place(box)
    canvas = Canvas(axes)
    parts = [draw_axis(axis, axes, box) for axis in axes.values()]
    parts += [draw_shape(shape, axes, box) for shape in layout.shapes if shape.layer == "below"]
    parts += _marks(canvas, traces, layout)
    parts += [draw_shape(shape, axes, box) for shape in layout.shapes if shape.layer != "below"]
    parts += [draw_colour_bar(canvas, trace, layout, box, n) for n, trace in enumerate(with_bars(traces))]
    parts += [draw_annotation(note, axes, box) for note in layout.annotations]
    parts.append(draw_legend(canvas, legend, 30.0 if layout.title.text else 6.0))
    if layout.title.text:
        parts.append(text_at(layout.title.text, width / 2, 14, size=16))
    return _document("".join(canvas.patterns), "".join(parts), (width, height), title or _told(layout))


def _marks(canvas: Canvas, traces: list[Any], layout: Any) -> list[str]:
    """Every trace's marks, in the figure's order."""
    bars = [trace for trace in traces if trace.type == "bar"]
    under: dict[tuple, float] = {}
    before: list[tuple[float, float]] = []
    parts = []
    for place, trace in enumerate(traces):
        if trace.type == "bar":
            beside = [bar for bar in bars if (bar.xaxis, bar.yaxis) == (trace.xaxis, trace.yaxis)]
            groups = list(dict.fromkeys(bar.offsetgroup or id(bar) for bar in beside))
            rank = (groups.index(trace.offsetgroup or id(trace)), len(groups))
            parts.append(draw_bars(canvas, trace, place, rank, under, layout.barmode or "group"))
        elif trace.type == "heatmap":
            parts.append(draw_heatmap(canvas, trace, layout))
        else:
            drawn, before = draw_scatter(canvas, trace, place, before)
            parts.append(drawn)
    return parts


def _plot_area(layout: Any, traces: list[Any], axes: dict[str, Axis], size: tuple[int, int], rows: int) -> Box:
    """Left, top, width and height of the area that the axes' domains divide."""
    margin = layout.margin
    left = max((axis.room() for axis in axes.values() if axis.letter == "y" and axis.start(axes) < 0.02), default=0.0)
    bottom = max((axis.room() for axis in axes.values() if axis.letter == "x" and axis.start(axes) < 0.02), default=0.0)
    last = [axis.ticks[-1][1] for axis in axes.values() if axis.letter == "x" and axis.ticks]
    right = max([12.0, *(width_of(text) / 2 for text in last)]) + BAR_ROOM * len(with_bars(traces))
    head = [note for note in layout.annotations if note.yref in (None, "paper") and (note.y or 0) >= 0.99]
    top = (30 if layout.title.text else 8) + ROW * rows + (1.6 * SIZE if head or with_bars(traces) else 6)
    left, bottom = max(left, (margin.l or 0) / 2) + 2, max(bottom, 6.0) + 4
    return left, top, max(40.0, size[0] - left - right), max(40.0, size[1] - top - bottom)


def _told(layout: Any) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", layout.title.text or "")).strip() or "plot"


def _document(patterns: str, body: str, size: tuple[int, int], title: str) -> str:
    width, height = size
    style = f"min-width:{0.7 * width:.0f}px;max-width:100%;height:auto"
    mark = "k" + sha256((patterns + body).encode()).hexdigest()[:8]  # the patterns of two pictures must not mix
    defined = f"<defs>{patterns}</defs>" if patterns else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" style="{style}" font-size="{SIZE}" fill="currentColor" '
        f'font-family="system-ui,-apple-system,Segoe UI,Roboto,DejaVu Sans,sans-serif"><title>{escape(title)}</title>'
        f"{(defined + body).replace('@@', mark)}</svg>"
    )
