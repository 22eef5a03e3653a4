"""Axes of a still picture (linear, logarithmic, categories): what they span, where a value lies, ticks and grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kit.plots.still_text import SIZE, text_at, width_of, written

GRID = 'stroke="currentColor" stroke-opacity="0.16"'
TICKS = 6  # about so many where the figure does not say


@dataclass
class Axis:
    """One axis: its units, from where to where they go, and (once placed) the pixels of its ends."""

    name: str  # "x", "y2", ...
    look: Any  # plotly's layout of it
    log: bool
    categories: list[str]
    span: tuple[float, float] = (0.0, 1.0)  # exponents where it is logarithmic
    low: float = 0.0
    high: float = 1.0
    ticks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def letter(self) -> str:
        return self.name[0]

    @property
    def domain(self) -> tuple[float, float]:
        return tuple(self.look.domain or (0.0, 1.0))

    def number(self, value: Any) -> float:
        """A value in the axis' units: a category's place, an exponent, or the number itself; NaN for none."""
        if value is None:
            return math.nan
        if self.categories and isinstance(value, str):
            return float(self.categories.index(value)) if value in self.categories else math.nan
        value = float(value)
        if self.log:
            return math.log10(value) if value > 0 else math.nan
        return value

    def at(self, number: float) -> float:
        """The pixel of a number in the axis' units."""
        start, end = self.span
        return self.low + (number - start) / ((end - start) or 1.0) * (self.high - self.low)

    def holds(self, pixel: float) -> bool:
        """Whether a pixel lies on the axis, or at most one beside it."""
        return min(self.low, self.high) - 1 <= pixel <= max(self.low, self.high) + 1

    def place(self, box: tuple[float, float, float, float]) -> None:
        left, top, width, height = box
        start, end = self.domain
        if self.letter == "x":
            self.low, self.high = left + start * width, left + end * width
        else:
            self.low, self.high = top + (1 - start) * height, top + (1 - end) * height

    def start(self, axes: dict[str, Axis]) -> float:
        """Where this axis stands on the other direction, in shares of the plot."""
        other = axes.get(self.look.anchor or ("y" if self.letter == "x" else "x"))
        return other.domain[0] if other else 0.0

    def room(self) -> float:
        """The pixels that its ticks' texts and its title need beside the plot."""
        title = 24.0 if self.look.title.text else 0.0
        if self.look.visible is False:
            return 0.0
        if self.look.showticklabels is False or not self.ticks:
            return title + 4
        if self.letter == "x":
            return title + 10 + 1.2 * SIZE * max(text.count("<br") + 1 for _, text in self.ticks)
        return title + 10 + max(width_of(text) for _, text in self.ticks)


def axes_of(figure: go.Figure, traces: list[Any]) -> dict[str, Axis]:
    """All axes that traces are drawn on, with their spans and ticks."""
    axes: dict[str, Axis] = {}
    for letter in "xy":
        used = dict.fromkeys((getattr(trace, f"{letter}axis") or letter) for trace in traces) or {letter: None}
        for name in used:
            look = figure.layout[f"{letter}axis{name[1:]}"]
            mine = [trace for trace in traces if (getattr(trace, f"{letter}axis") or letter) == name]
            axes[name] = _axis(name, look, mine, figure.layout)
    for axis in axes.values():
        if axis.look.matches in axes and not axis.look.range:
            axis.span = axes[axis.look.matches].span
        axis.ticks = _ticks(axis)
    return axes


def _axis(name: str, look: Any, traces: list[Any], layout: Any) -> Axis:
    texts: dict[str, None] = {}
    for trace in traces:
        for value in given(trace, name[0]):
            if isinstance(value, str):
                texts[value] = None
    axis = Axis(name, look, look.type == "log", list(texts))
    if look.range:
        axis.span = tuple(float(value) for value in look.range)
    else:
        axis.span = _automatic(axis, traces, layout)
    if look.autorange == "reversed":
        axis.span = axis.span[::-1]
    return axis


def given(trace: Any, letter: str) -> Any:
    values = getattr(trace, letter)
    if values is None and trace.type == "heatmap":
        return range(len(trace.z[0]) if letter == "x" else len(trace.z))
    if values is None:
        other = getattr(trace, "y" if letter == "x" else "x")
        return range(len(other) if other is not None else 0)
    return values


def _automatic(axis: Axis, traces: list[Any], layout: Any) -> tuple[float, float]:
    """From the lowest to the highest value, with the room that plotly leaves around marks."""
    ends: list[float] = []
    padded = False
    zero = axis.look.rangemode in ("tozero", "nonnegative")
    for trace in traces:
        numbers = [axis.number(value) for value in given(trace, axis.letter)]
        along = trace.type == "bar" and (trace.orientation == "h") == (axis.letter == "x")
        if along:
            base = float(trace.base or 0) if not isinstance(trace.base, (list, tuple, np.ndarray)) else 0.0
            numbers = [number + base for number in numbers] + [base]
            if layout.barmode in ("stack", "relative"):
                numbers = [*numbers, _stacked(traces, axis)]
        elif trace.type in ("bar", "heatmap"):
            numbers = [number + shift for number in numbers for shift in (-0.5, 0.5)]
        elif "lines" not in (trace.mode or "lines") or "markers" in (trace.mode or "") or axis.letter == "y":
            padded = True
        zero = zero or str(getattr(trace, "fill", None)) == f"tozero{axis.letter}"
        numbers += _error_ends(trace, axis)
        ends += [number for number in numbers if math.isfinite(number)]
    if not ends:
        return (0.0, 1.0)
    low, high = min(ends), max(ends)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero and not axis.log else (low, high)
    room = ((high - low) or abs(high) or 1.0) * (0.05 if padded or low == high else 0.0)
    bars = any(trace.type == "bar" for trace in traces) and not axis.categories
    top = room or (0.05 * (high - low) if bars else 0.0)
    return (low if zero and low == 0 else low - (room or (top if low < 0 else 0.0)), high + top)


def _error_ends(trace: Any, axis: Axis) -> list[float]:
    error = getattr(trace, f"error_{axis.letter}", None)
    if error is None or error.array is None or error.visible is False:
        return []
    minus = error.array if error.arrayminus is None else error.arrayminus
    values = [float(value) for value in given(trace, axis.letter)]
    ends = [value + float(up) for value, up in zip(values, error.array, strict=False)]
    return [axis.number(v) for v in [*ends, *(v - float(d) for v, d in zip(values, minus, strict=False))]]


def _stacked(traces: list[Any], axis: Axis) -> float:
    bars = [trace for trace in traces if trace.type == "bar"]
    columns = [np.nan_to_num(np.array([axis.number(v) for v in given(bar, axis.letter)])) for bar in bars]
    wide = max(map(len, columns))
    return float(sum(np.pad(column, (0, wide - len(column))) for column in columns).max())


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Places (in the axis' units) and texts of its ticks."""
    look, (start, end) = axis.look, sorted(axis.span)
    prefix, suffix = look.tickprefix or "", look.ticksuffix or ""
    if look.tickvals is not None:
        texts = look.ticktext
        if texts is None:
            texts = [v if isinstance(v, str) else written(float(v), look.tickformat) for v in look.tickvals]
        pairs = [(axis.number(value), str(text)) for value, text in zip(look.tickvals, texts, strict=False)]
    elif axis.categories:
        pairs = [(float(place), text) for place, text in enumerate(axis.categories)]
    elif axis.log:
        pairs = [(math.log10(value), written(value, look.tickformat)) for value in _decades(start, end)]
    else:
        step = float(look.dtick) if isinstance(look.dtick, int | float) else _step(end - start, look.nticks or TICKS)
        first = math.ceil(round(start / step, 6))
        values = [number * step for number in range(first, math.floor(round(end / step, 6)) + 1)]
        pairs = [(value, written(value or 0.0, look.tickformat, step=step)) for value in values]
    return [(place, prefix + text + suffix) for place, text in pairs if start - 1e-9 <= place <= end + 1e-9]


def _step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that makes at most about `count` ticks."""
    rough = (span or 1.0) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _decades(start: float, end: float) -> list[float]:
    factors = (1,) if end - start > 2 else (1, 2, 5)
    values = [f * 10.0**p for p in range(math.floor(start), math.ceil(end) + 1) for f in factors]
    skip = max(1, round((end - start) / 8)) if factors == (1,) else 1
    return [value for value in values if start - 1e-9 <= math.log10(value) <= end + 1e-9][::skip]


def draw_axis(axis: Axis, axes: dict[str, Axis], box: tuple[float, float, float, float]) -> str:
    """An axis' grid, ticks' texts and title."""
    look = axis.look
    if look.visible is False:
        return ""
    flat = axis.letter == "x"
    across = axes.get(look.anchor or "") or axes.get(("y" if flat else "x") + axis.name[1:])
    plot = (box[1] + box[3], box[1]) if flat else (box[0], box[0] + box[2])
    from_, to = (across.low, across.high) if across else plot
    places = [axis.at(place) for place, _ in axis.ticks] if look.showgrid is not False else []
    lines = [f"M{at:.1f},{from_:.1f}V{to:.1f}" if flat else f"M{from_:.1f},{at:.1f}H{to:.1f}" for at in places]
    parts = [f'<path d="{"".join(lines)}" fill="none" {GRID}/>'] if lines else []
    shown = [] if look.showticklabels is False else axis.ticks
    for place, text in _spread(axis, shown):
        if flat:
            drop = 12 + 0.6 * SIZE * text.count("<br")
            parts.append(text_at(text, axis.at(place), from_ + drop))
        else:
            parts.append(text_at(text, from_ - 6, axis.at(place), anchor="end"))
    return "".join(parts) + _title(axis, from_)


def _spread(axis: Axis, ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Every n-th tick, where all would run into each other."""
    if axis.letter == "y" or len(ticks) < 2:
        return ticks
    room = abs(axis.at(ticks[1][0]) - axis.at(ticks[0][0])) or 1.0
    widest = max(width_of(text) for _, text in ticks) + 6
    fixed = axis.look.tickvals is not None  # chosen by hand: none is left out
    return ticks if fixed else ticks[:: max(1, math.ceil(widest / room))]


def _title(axis: Axis, edge: float) -> str:
    text = axis.look.title.text
    if not text:
        return ""
    middle = (axis.low + axis.high) / 2
    room = axis.room()
    if axis.letter == "x":
        return text_at(text, middle, edge + room - 10)
    return text_at(text, edge - room + 10, middle, turn=-90)
