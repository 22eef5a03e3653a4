"""Bars and heatmaps of a still picture, drawn on placed axes; and the colours, dashes and hatches of all marks."""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from plotly.colors import DEFAULT_PLOTLY_COLORS, get_colorscale, sample_colorscale

from kit.plots.still_axes import Axis, given
from kit.plots.still_text import text_at, written

DASHES = {"dot": (1, 2), "dash": (4, 2.5), "longdash": (7, 3), "dashdot": (4, 2, 1, 2), "longdashdot": (7, 2, 1, 2)}
HATCHES = {
    "/": "M0,8L8,0M-2,2L2,-2M6,10L10,6", "\\": "M0,0L8,8M-2,6L2,10M6,-2L10,2", "-": "M0,4H8", "|": "M4,0V8",
    "x": "M0,8L8,0M0,0L8,8", "+": "M0,4H8M4,0V8", ".": "M3,4H5",
}  # fmt: skip
MANY_CELLS = 1000  # more are one small image, not a rectangle each


@dataclass
class Canvas:
    """The axes that marks are drawn on, and the hatches and gradients that they need."""

    axes: dict[str, Axis]
    patterns: list[str] = field(default_factory=list)

    def axes_of(self, trace: Any) -> tuple[Axis, Axis]:
        return self.axes[trace.xaxis or "x"], self.axes[trace.yaxis or "y"]

    def hatched(self, colour: str, shape: str, ink: str, size: float) -> str:
        """A fill of this colour with lines of `ink` over it."""
        name = f"@@hatch{len(self.patterns)}"
        self.patterns.append(
            f'<pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse" '
            f'patternTransform="scale({size / 8:.2f})"><rect width="8" height="8" fill="{escape(colour)}"/>'
            f'<path d="{HATCHES.get(shape, HATCHES["/"])}" stroke="{escape(ink)}" stroke-width="1.8"/></pattern>'
        )
        return f"url(#{name})"

    def clipped(self, x_axis: Axis, y_axis: Axis) -> str:
        """A border that nothing crosses: the part of the plot that two axes span."""
        name = f"@@clip{len(self.patterns)}"
        x, y = min(x_axis.low, x_axis.high), min(y_axis.low, y_axis.high)
        place = f'x="{x:.1f}" y="{y:.1f}" width="{abs(x_axis.high - x_axis.low):.1f}"'
        shape = f'<rect {place} height="{abs(y_axis.high - y_axis.low):.1f}"/>'
        self.patterns.append(f'<clipPath id="{name}">{shape}</clipPath>')
        return f"url(#{name})"

    def gradient(self, colours: Sequence[str]) -> str:
        """A fill that goes from the first colour, below, to the last, above."""
        name = f"@@scale{len(self.patterns)}"
        stops = "".join(
            f'<stop offset="{number / (len(colours) - 1):g}" stop-color="{colour}"/>'
            for number, colour in enumerate(colours)
        )
        self.patterns.append(f'<linearGradient id="{name}" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient>')
        return f"url(#{name})"


def nth(value: Any, number: int) -> Any:
    """The value of one mark, where all may share one."""
    if isinstance(value, list | tuple | np.ndarray):
        return value[number] if number < len(value) else None
    return value


def colour_of(trace: Any, place: int, number: int = 0) -> str:
    """The colour of a trace's n-th mark; without one, plotly's for the trace's place in the figure."""
    given_colour = trace.marker.color
    one = nth(given_colour, number)
    if isinstance(one, str):
        return one
    if one is not None and not isinstance(given_colour, str):
        values = np.asarray(given_colour, dtype=float)
        low = trace.marker.cmin if trace.marker.cmin is not None else np.nanmin(values)
        high = trace.marker.cmax if trace.marker.cmax is not None else np.nanmax(values)
        return colours(trace.marker.colorscale, [(float(one) - low) / ((high - low) or 1.0)])[0]
    line = getattr(trace, "line", None)
    return (line.color if line is not None else None) or DEFAULT_PLOTLY_COLORS[place % len(DEFAULT_PLOTLY_COLORS)]


def colours(scale: Any, shares: Sequence[float]) -> list[str]:
    """The colours at these shares of a colour scale (cividis unless given)."""
    scale = get_colorscale("cividis") if scale is None else [list(pair) for pair in scale]
    clipped = np.clip(np.nan_to_num(np.asarray(shares, dtype=float)), 0, 1).tolist()
    return sample_colorscale(scale, clipped)


def dash_of(name: str | None, width: float) -> str:
    """The attribute of a dashed line; nothing for a solid one."""
    parts = DASHES.get(name or "", ())
    if not parts and name and name[0].isdigit():
        return f' stroke-dasharray="{escape(name.replace("px", ""))}"'
    return f' stroke-dasharray="{" ".join(f"{part * max(width, 1):g}" for part in parts)}"' if parts else ""


def draw_bars(
    canvas: Canvas, trace: Any, place: int, rank: tuple[int, int], under: dict[tuple, float], mode: str
) -> str:
    """A trace of bars. `rank`: which of how many bar traces beside each other; `under`: where stacked bars begin."""
    x_axis, y_axis = canvas.axes_of(trace)
    flat = trace.orientation == "h"
    along, across = (x_axis, y_axis) if flat else (y_axis, x_axis)
    opacity = "" if trace.opacity is None else f' fill-opacity="{trace.opacity:g}"'
    parts = []
    pairs = zip(given(trace, across.letter), given(trace, along.letter), strict=False)
    for number, (where, length) in enumerate(pairs):
        middle, size = across.number(where), 0.0 if length is None else float(length)
        if not (math.isfinite(middle) and math.isfinite(size)):
            continue
        start = float(nth(trace.base, number) or 0.0)
        if mode in ("stack", "relative"):
            key = (across.name, middle, size < 0)
            start = under.get(key, 0.0)
            under[key] = start + size
        low, high = _breadth(trace, number, middle, rank if mode == "group" else (0, 1))
        ends = [_end(along, edge) for edge in (start, start + size)]
        sides = [across.at(low), across.at(high)]
        parts.append(_bar(canvas, trace, place, number, ends, sides, flat, opacity))
    return "".join(parts)


def _end(axis: Axis, value: float) -> float:
    """The pixel of a bar's end, within the plot; on a logarithmic axis bars stand on its edge."""
    pixel = axis.at(min(axis.span) if axis.log and value <= 0 else axis.number(value))
    return min(max(pixel, min(axis.low, axis.high)), max(axis.low, axis.high))


def _breadth(trace: Any, number: int, middle: float, rank: tuple[int, int]) -> tuple[float, float]:
    width = nth(trace.width, number)
    if width is None:
        width = 0.8 / rank[1]
        offset = -0.4 + width * rank[0]
    else:
        offset = -width / 2
    shift = nth(trace.offset, number)
    low = middle + (offset if shift is None else shift)
    return low, low + width


def _bar(
    canvas: Canvas, trace: Any, place: int, number: int, ends: list[float], sides: list[float], flat: bool, opacity: str
) -> str:
    xs, ys = (ends, sides) if flat else (sides, ends)
    x, y, width, height = min(xs), min(ys), abs(xs[1] - xs[0]), abs(ys[1] - ys[0])
    fill = bar_fill(canvas, trace, place, number)
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{escape(fill)}"{opacity}/>'
    text = nth(trace.text, number)
    if text in (None, "") or trace.textposition == "none":
        return shape
    inside = trace.textposition == "inside"
    middle = (x + width / 2, y + height / 2)
    if inside:
        colour = ink_on(colour_of(trace, place, number))
        return shape + text_at(str(text), *middle, size=12, colour=colour)
    backwards = ends[1] < ends[0] if flat else ends[1] > ends[0]
    if flat:
        edge = ends[1] + (-5 if backwards else 5)
        return shape + text_at(str(text), edge, middle[1], anchor="end" if backwards else "start")
    return shape + text_at(str(text), middle[0], ends[1] + (10 if backwards else -9))


def bar_fill(canvas: Canvas, trace: Any, place: int, number: int = 0) -> str:
    """The fill of a bar: its colour, hatched where the trace has a pattern."""
    colour, pattern = colour_of(trace, place, number), trace.marker.pattern
    shape = nth(pattern.shape, number)
    if not shape:
        return colour
    if pattern.fillmode == "overlay":
        return canvas.hatched(colour, shape, nth(pattern.fgcolor, number) or "#fff", nth(pattern.size, number) or 8)
    ground = nth(pattern.bgcolor, number) or "none"
    return canvas.hatched(ground, shape, nth(pattern.fgcolor, number) or colour, nth(pattern.size, number) or 8)


def limits_of(trace: Any, layout: Any) -> tuple[float, float, Any]:
    """The lowest and highest value of a heatmap's colours, and its scale."""
    shared = layout[trace.coloraxis] if trace.coloraxis else None
    low, high, scale = (
        (shared.cmin, shared.cmax, shared.colorscale) if shared else (trace.zmin, trace.zmax, trace.colorscale)
    )
    values = np.asarray(trace.z, dtype=float)
    known = values[np.isfinite(values)]
    low = float(known.min() if len(known) else 0.0) if low is None else float(low)
    high = float(known.max() if len(known) else 1.0) if high is None else float(high)
    if trace.zmid is not None and not shared:
        reach = max(high - trace.zmid, trace.zmid - low)
        low, high = trace.zmid - reach, trace.zmid + reach
    if (shared or trace).reversescale:
        low, high = high, low
    return low, high, scale


def draw_heatmap(canvas: Canvas, trace: Any, layout: Any) -> str:
    """A heatmap, a rectangle a cell or, where there are many, one image; texts of cells on top."""
    x_axis, y_axis = canvas.axes_of(trace)
    values = np.asarray(trace.z, dtype=float)  # (rows, columns)
    low, high, scale = limits_of(trace, layout)
    shades = colours(scale, ((values - low) / ((high - low) or 1.0)).ravel())
    columns = [x_axis.number(value) for value in given(trace, "x")]
    rows = [y_axis.number(value) for value in given(trace, "y")]
    if values.size > MANY_CELLS:
        return _image(values, shades, _edges(x_axis, columns), _edges(y_axis, rows))
    parts = []
    for (row, column), value in np.ndenumerate(values):
        if not math.isfinite(value):
            continue
        shade = shades[row * values.shape[1] + column]
        left, right = sorted(_cell(x_axis, columns, column))
        top, bottom = sorted(_cell(y_axis, rows, row))
        gap_x, gap_y = (trace.xgap or 0) / 2, (trace.ygap or 0) / 2
        parts.append(
            f'<rect x="{left + gap_x:.1f}" y="{top + gap_y:.1f}" width="{max(0.5, right - left - 2 * gap_x):.1f}" '
            f'height="{max(0.5, bottom - top - 2 * gap_y):.1f}" fill="{shade}"/>'
        )
        if text := _cell_text(trace, row, column, value):
            parts.append(text_at(text, (left + right) / 2, (top + bottom) / 2, size=12, colour=ink_on(shade)))
    return "".join(parts)


def _edges(axis: Axis, places: list[float]) -> tuple[float, float]:
    return _cell(axis, places, 0)[0], _cell(axis, places, len(places) - 1)[1]


def _cell(axis: Axis, places: list[float], number: int) -> tuple[float, float]:
    """The pixels of a cell's two edges: halfway to its neighbours."""
    here = places[number]
    before = places[number - 1] if number else None
    after = places[number + 1] if number + 1 < len(places) else None
    step = (after - here) if after is not None else (here - before) if before is not None else 1.0
    low = here - (step if before is None else here - before) / 2
    high = here + (step if after is None else after - here) / 2
    return axis.at(low), axis.at(high)


def _cell_text(trace: Any, row: int, column: int, value: float) -> str:
    form = trace.texttemplate
    if not form:
        return ""
    own = "" if trace.text is None else str(trace.text[row][column])

    def fill(found: re.Match[str]) -> str:
        return own if found[1] == "text" else written(value, found[2]) if found[1] == "z" else ""

    return re.sub(r"%\{(\w+)(?::([^}]*))?\}", fill, form)


def _image(values: np.ndarray, shades: list[str], across: tuple[float, float], down: tuple[float, float]) -> str:
    """The cells as a PNG of a pixel each, stretched to the edges; cells without a value are clear."""
    pixels = np.zeros((*values.shape, 4), dtype=np.uint8)  # (rows, columns, red green blue alpha)
    pixels[..., :3] = np.array([_parts(shade) for shade in shades]).reshape(*values.shape, 3)
    pixels[..., 3] = np.where(np.isfinite(values), 255, 0)
    if across[1] < across[0]:
        pixels = pixels[:, ::-1]
    if down[1] < down[0]:
        pixels = pixels[::-1]
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()
    return (
        f'<image x="{min(across):.1f}" y="{min(down):.1f}" width="{abs(across[1] - across[0]):.1f}" '
        f'height="{abs(down[1] - down[0]):.1f}" preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _parts(colour: str) -> list[int]:
    """Red, green and blue of `#rrggbb` or `rgb(...)`."""
    if colour.startswith("#"):
        return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return [round(float(part)) for part in re.findall(r"[\d.]+", colour)[:3]]


def ink_on(shade: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = _parts(shade)
    return "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#fff"
