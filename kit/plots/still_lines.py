"""Lines, points, texts and filled areas of a still picture, drawn on placed axes."""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise
from typing import Any

from kit.plots.still_axes import given
from kit.plots.still_marks import Canvas, colour_of, dash_of, nth
from kit.plots.still_text import text_at
from kit.plots.style import faint

Point = tuple[float, float]
_POLYGONS = {  # corners at a size of 1
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "triangle-up": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "triangle-down": ((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    "triangle-left": ((-1.2, 0), (0.8, -1.1), (0.8, 1.1)),
    "triangle-right": ((1.2, 0), (-0.8, -1.1), (-0.8, 1.1)),
    "star": tuple(
        ((1.3 if corner % 2 == 0 else 0.55) * math.sin(corner * math.pi / 5),
         -(1.3 if corner % 2 == 0 else 0.55) * math.cos(corner * math.pi / 5))
        for corner in range(10)
    ),
}  # fmt: skip
_STROKES = {
    "x": ((-1, -1, 1, 1), (-1, 1, 1, -1)),
    "cross": ((-1, 0, 1, 0), (0, -1, 0, 1)),
    "line-ns": ((0, -1.3, 0, 1.3),),
    "line-ew": ((-1.3, 0, 1.3, 0),),
}


def draw_scatter(canvas: Canvas, trace: Any, place: int, below: list[Point]) -> tuple[str, list[Point]]:
    """A trace of lines, points and texts; and its points, for the next one that fills down to it."""
    x_axis, y_axis = canvas.axes_of(trace)
    points = [
        (x_axis.at(x_axis.number(x)), y_axis.at(y_axis.number(y)))
        for x, y in zip(given(trace, "x"), given(trace, "y"), strict=False)
    ]
    mode = trace.mode or ("lines+markers" if len(points) < 20 else "lines")
    colour = colour_of(trace, place)
    runs = _runs(points, bool(trace.connectgaps))
    parts = [_area(canvas, trace, colour, runs, below, (x_axis, y_axis))]
    if "lines" in mode:
        parts += [_line(trace, colour, run) for run in runs]
    finite = [(number, point) for number, point in enumerate(points) if all(map(math.isfinite, point))]
    seen = [(number, point) for number, point in finite if x_axis.holds(point[0]) and y_axis.holds(point[1])]
    if len(seen) < len(finite):
        parts = [f'<g clip-path="{canvas.clipped(x_axis, y_axis)}">', *parts, "</g>"]
    parts += [_error_bars(trace, number, point, (x_axis, y_axis), colour) for number, point in seen]
    if "markers" in mode:
        parts += [_point(trace, place, number, point) for number, point in seen]
    if "text" in mode:
        parts += [_label(trace, number, point) for number, point in seen]
    opacity = "" if trace.opacity is None else f' opacity="{trace.opacity:g}"'
    return f"<g{opacity}>{''.join(parts)}</g>", [point for _, point in finite]


def _runs(points: list[Point], joined: bool) -> list[list[Point]]:
    """The points in unbroken runs: a NaN breaks a line, unless gaps are joined."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if all(map(math.isfinite, point)):
            runs[-1].append(point)
        elif not joined:
            runs.append([])
    return [run for run in runs if run]


def _stepped(run: list[Point], shape: str | None) -> str:
    parts = [f"M{run[0][0]:.1f},{run[0][1]:.1f}"]
    for (x, _), (next_x, next_y) in pairwise(run):
        if shape == "hv":
            parts.append(f"H{next_x:.1f}V{next_y:.1f}")
        elif shape == "vh":
            parts.append(f"V{next_y:.1f}H{next_x:.1f}")
        elif shape == "hvh":
            parts.append(f"H{(x + next_x) / 2:.1f}V{next_y:.1f}H{next_x:.1f}")
        else:
            parts.append(f"L{next_x:.1f},{next_y:.1f}")
    return "".join(parts)


def _line(trace: Any, colour: str, run: list[Point]) -> str:
    width = 2 if trace.line.width is None else trace.line.width
    look = f'stroke="{escape(trace.line.color or colour)}" stroke-width="{width:g}" stroke-linejoin="round"'
    return f'<path d="{_stepped(run, trace.line.shape)}" fill="none" {look}{dash_of(trace.line.dash, width)}/>'


def _area(canvas: Canvas, trace: Any, colour: str, runs: list[list[Point]], below: list[Point], axes: Any) -> str:
    if trace.fill in (None, "none") or not runs:
        return ""
    shade = trace.fillcolor or (faint(colour) if colour.startswith("#") else colour)
    if trace.fillpattern.shape:
        ink = trace.fillpattern.fgcolor or colour
        shade = canvas.hatched(shade, trace.fillpattern.shape, ink, trace.fillpattern.size or 8)
    x_axis, y_axis = axes
    floor, wall = (axis.at(axis.span[0] if axis.log else 0.0) for axis in (y_axis, x_axis))
    parts = []
    for run in runs:
        path = _stepped(run, trace.line.shape)
        if trace.fill == "tozeroy":
            path += f"V{floor:.1f}H{run[0][0]:.1f}Z"
        elif trace.fill == "tozerox":
            path += f"H{wall:.1f}V{run[0][1]:.1f}Z"
        else:  # down to the trace before, or closed in itself
            back = below[::-1] if trace.fill in ("tonexty", "tonextx") else []
            path += "".join(f"L{x:.1f},{y:.1f}" for x, y in back) + "Z"
        parts.append(f'<path d="{path}" fill="{escape(shade)}" stroke="none"/>')
    return "".join(parts)


def _error_bars(trace: Any, number: int, point: Point, axes: Any, colour: str) -> str:
    parts = []
    for axis, error in zip(axes, (trace.error_x, trace.error_y), strict=True):
        if error.array is None or error.visible is False:
            continue
        values = trace.x if axis.letter == "x" else trace.y
        up = float(error.array[number])
        down = up if error.arrayminus is None or error.symmetric else float(error.arrayminus[number])
        ends = [axis.at(axis.number(float(values[number]) + reach)) for reach in (-down, up)]
        if not all(map(math.isfinite, (*ends, *point))):
            continue
        flat = axis.letter == "x"
        move = f"M{ends[0]:.1f},{point[1]:.1f}H" if flat else f"M{point[0]:.1f},{ends[0]:.1f}V"
        width, ink = error.thickness or 1.5, escape(error.color or _error_ink(trace, colour))
        parts.append(f'<path d="{move}{ends[1]:.1f}" fill="none" stroke="{ink}" stroke-width="{width:g}"/>')
    return "".join(parts)


def _error_ink(trace: Any, colour: str) -> str:
    """The colour of error bars: the points' own, or the text's where every point has another."""
    return colour if trace.marker.color is None or isinstance(trace.marker.color, str) else "currentColor"


def _point(trace: Any, place: int, number: int, point: Point) -> str:
    size = nth(trace.marker.size, number)
    look = trace.marker.opacity
    return symbol(
        str(nth(trace.marker.symbol, number) or "circle"), *point, 6 if size is None else float(size),
        colour_of(trace, place, number), opacity=None if look is None else nth(look, number),
    )  # fmt: skip


def symbol(name: str, x: float, y: float, size: float, colour: str, *, opacity: float | None = None) -> str:
    """A marker; one that is not known is a circle, `-open` ones are outlines."""
    open_ = name.endswith("-open")
    name, half, colour = name.removesuffix("-open").removesuffix("-dot"), size / 2, escape(colour)
    look = f'fill="none" stroke="{colour}" stroke-width="1.5"' if open_ else f'fill="{colour}"'
    look += "" if opacity is None else f' opacity="{opacity:g}"'
    if name in _POLYGONS:
        corners = " ".join(f"{x + half * dx:.1f},{y + half * dy:.1f}" for dx, dy in _POLYGONS[name])
        return f'<polygon points="{corners}" {look}/>'
    if name in _STROKES:
        moves = "".join(
            f"M{x + half * a:.1f},{y + half * b:.1f}L{x + half * c:.1f},{y + half * d:.1f}"
            for a, b, c, d in _STROKES[name]
        )
        return f'<path d="{moves}" stroke="{colour}" stroke-width="{max(1.5, size / 4):g}" fill="none"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half:g}" {look}/>'


def _label(trace: Any, number: int, point: Point) -> str:
    text = nth(trace.text, number)
    if not text:
        return ""
    where = nth(trace.textposition, number) or "middle center"
    reach = float(nth(trace.marker.size, number) or 6) / 2 if "markers" in (trace.mode or "") else 0.0
    x = point[0] + (reach + 3) * (("right" in where) - ("left" in where))
    y = point[1] + (reach + 9) * (("bottom" in where) - ("top" in where))
    anchor = "start" if "right" in where else "end" if "left" in where else "middle"
    font = trace.textfont
    colour = nth(font.color, number) if font.color is not None else ""
    return text_at(str(text), x, y, anchor=anchor, size=nth(font.size, number) or 13, colour=colour or "")
