"""What stands beside the marks of a still picture: the legend, colour bars, annotations, lines across."""

from __future__ import annotations

from html import escape
from typing import Any

import plotly.graph_objects as go

from kit.plots.still_axes import Axis
from kit.plots.still_lines import symbol
from kit.plots.still_marks import Canvas, bar_fill, colour_of, colours, dash_of, limits_of, nth
from kit.plots.still_text import SIZE, text_at, width_of
from kit.types import KitError

ROW = 19  # pixels from one row of a legend to the next
BAR = 14  # width of a colour bar
BAR_ROOM = 76  # that it needs with its numbers
Entry = tuple[float, int, Any]  # place from the left, the trace's number, the trace
Box = tuple[float, float, float, float]


def legend_rows(figure: go.Figure, traces: list[Any], width: int) -> list[list[Entry]]:
    """The legend's entries in rows. As plotly does: one trace alone has no legend unless it asks."""
    shown = [
        (number, trace)
        for number, trace in enumerate(traces)
        if trace.name and trace.showlegend is not False and trace.type != "heatmap"
    ]
    alone = len(traces) == 1 and not any(trace.showlegend for _, trace in shown)
    if figure.layout.showlegend is False or (alone and not figure.layout.showlegend):
        return []
    rows: list[list[Entry]] = []
    place = float(width)
    for number, trace in shown:
        wide = 54 + width_of(trace.name)
        if not rows or place + wide > width - 8:
            rows.append([])
            place = 8.0
        rows[-1].append((place, number, trace))
        place += wide
    return rows


def draw_legend(canvas: Canvas, rows: list[list[Entry]], top: float) -> str:
    parts = []
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * ROW
        for x, place, trace in row:
            parts.append(_key(canvas, trace, place, x, y) + text_at(trace.name, x + 36, y, anchor="start"))
    return "".join(parts)


def _key(canvas: Canvas, trace: Any, place: int, x: float, y: float) -> str:
    """The sample of a trace before its name."""
    if trace.type == "bar":
        fill = escape(bar_fill(canvas, trace, place))
        return f'<rect x="{x + 8:.1f}" y="{y - 6:.1f}" width="20" height="12" fill="{fill}"/>'
    mode, parts, colour = trace.mode or "lines+markers", [], colour_of(trace, place)
    if "lines" in mode:
        width = 2 if trace.line.width is None else trace.line.width
        look = f'stroke="{escape(trace.line.color or colour)}" stroke-width="{width:g}"'
        parts.append(f'<path d="M{x:.1f},{y:.1f}h30" fill="none" {look}{dash_of(trace.line.dash, width)}/>')
    if "markers" in mode:
        size = float(nth(trace.marker.size, 0) or 6)
        parts.append(symbol(str(nth(trace.marker.symbol, 0) or "circle"), x + 15, y, min(size, 13.0), colour))
    return "".join(parts)


def with_bars(traces: list[Any]) -> list[Any]:
    """The heatmaps that have a colour bar."""
    return [trace for trace in traces if trace.type == "heatmap" and trace.showscale is not False]


def draw_colour_bar(canvas: Canvas, trace: Any, layout: Any, box: Box, number: int) -> str:
    """The scale of a heatmap: its lowest value below, its highest above."""
    left, top, width, height = box
    x = left + width + 14 + BAR_ROOM * number
    low, high, scale = limits_of(trace, layout)
    bar = layout[trace.coloraxis].colorbar if trace.coloraxis else trace.colorbar
    shades = colours(scale, [0, 0.25, 0.5, 0.75, 1] if low <= high else [1, 0.75, 0.5, 0.25, 0])
    low, high = sorted((low, high))
    fill = canvas.gradient(shades)
    parts = [f'<rect x="{x:.1f}" y="{top:.1f}" width="{BAR}" height="{height:.1f}" fill="{fill}"/>']
    for share in (0, 0.5, 1):
        text = f"{low + share * (high - low):.3g}".replace("-", "−")
        parts.append(text_at(text, x + BAR + 4, top + height * (1 - share), anchor="start", size=12))
    if bar.title.text:
        parts.append(text_at(bar.title.text, x + BAR_ROOM - 6, top - 14, anchor="end", size=12))
    return "".join(parts)


def _place(axes: dict[str, Axis], reference: str | None, value: Any, letter: str, box: Box) -> float:
    """The pixel of a value in an axis' units, in shares of an axis' length, or in shares of the plot."""
    name = (reference or "paper").removesuffix(" domain")
    if name not in axes:
        low, high = (box[0], box[0] + box[2]) if letter == "x" else (box[1] + box[3], box[1])
        return low + float(value) * (high - low)
    axis = axes[name]
    if (reference or "").endswith(" domain"):
        return axis.low + float(value) * (axis.high - axis.low)
    return axis.at(axis.number(value))


def draw_annotation(note: Any, axes: dict[str, Axis], box: Box) -> str:
    if not note.text or note.visible is False:
        return ""
    x, y = _place(axes, note.xref, note.x, "x", box), _place(axes, note.yref, note.y, "y", box)
    size, tail = note.font.size or SIZE, ""
    if note.showarrow is not False and note.ax is not None:
        tail = f'<path d="M{x:.1f},{y:.1f}l{note.ax:g},{note.ay or 0:g}" stroke="currentColor" fill="none"/>'
        x, y = x + note.ax, y + (note.ay or 0)
    x, y = x + (note.xshift or 0), y - (note.yshift or 0)
    y += {"top": 0.6 * size, "bottom": -0.7 * size}.get(note.yanchor or "middle", 0.0)
    anchor = {"left": "start", "right": "end"}.get(note.xanchor or "center", "middle")
    return tail + text_at(note.text, x, y, anchor=anchor, size=size, turn=note.textangle or 0)


def draw_shape(shape: Any, axes: dict[str, Axis], box: Box) -> str:
    if shape.type not in ("line", "rect"):
        raise KitError("still", "shapes that are lines or rectangles", shape.type)
    x0, x1 = (_place(axes, shape.xref, value, "x", box) for value in (shape.x0, shape.x1))
    y0, y1 = (_place(axes, shape.yref, value, "y", box) for value in (shape.y0, shape.y1))
    width = 2 if shape.line.width is None else shape.line.width
    line = f'stroke="{escape(shape.line.color or "currentColor")}" stroke-width="{width:g}"'
    line += dash_of(shape.line.dash, width) if width else ""
    if shape.type == "line":
        return f'<path d="M{x0:.1f},{y0:.1f}L{x1:.1f},{y1:.1f}" fill="none" {line}/>'
    look = f'fill="{escape(shape.fillcolor or "none")}" opacity="{1 if shape.opacity is None else shape.opacity:g}"'
    place = f'x="{min(x0, x1):.1f}" y="{min(y0, y1):.1f}" width="{abs(x1 - x0):.1f}" height="{abs(y1 - y0):.1f}"'
    return f"<rect {place} {look} {line}/>"
