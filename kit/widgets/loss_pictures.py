"""Pictures and tables of a bench of losses: gradients, scores after some steps, the way there.

Pure: figures and HTML out; the arithmetic is in kit.widgets.loss_views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kit.plots.style import BLUE, DASHES, GREEN, GRID, ORANGE, SERIES, STRIPES, empty_figure, nth, short
from kit.widgets.captioned_table import captioned_table
from kit.widgets.loss_bench import LossBench
from kit.widgets.loss_gradients import Descent, takes_temperature
from kit.widgets.loss_views import gradient, loss_rows, seen_as

COLUMNS = 3  # panels beside each other
DRAWN = 40  # steps of a path
ROW, BETWEEN = 19, 66  # pixels: of a passage, between the panels
GAP = 0.03  # between panels, a share of the width


def gradient_figure(bench: LossBench, losses: Sequence[str]) -> go.Figure:
    """One panel a loss, one bar a passage: the gradient; a bar to the left is a score that a step would raise."""
    found = {loss: gradient(bench, loss) for loss in losses}
    traces, spans = [], []
    shown: set[str] = set()
    for number, at in enumerate(found.values()):
        values = at.gradient[0]
        for name, rows, marker in (
            ("a step raises the score", np.flatnonzero(values < 0), {"color": BLUE, "pattern": STRIPES}),
            ("a step lowers the score", np.flatnonzero(values >= 0), {"color": ORANGE}),
        ):
            moved = name not in shown and bool(values[rows].any())
            shown |= {name} if moved else set()
            if len(rows):
                traces.append({
                    "type": "bar", "orientation": "h", "width": 0.7, "name": name, "legendgroup": name,
                    "x": values[rows].tolist(), "y": rows.tolist(), "marker": marker, "showlegend": moved,
                    "hovertemplate": "%{customdata}: %{x:.4g}<extra></extra>", "customdata": _names(bench, rows),
                    **_axes(number),
                })  # fmt: skip
        far = 1.15 * (float(np.abs(values).max(initial=0.0)) or 1.0)
        spans.append((-far, far))
    titles = [f"{loss} = {_number(at.value)}" for loss, at in found.items()]
    return go.Figure(traces, _layout(titles, spans, bench))


def compared_figure(bench: LossBench, after: Mapping[str, Descent], view: str) -> go.Figure:
    """One panel a loss: each passage's score at the start, after the steps, and the teacher's, all seen as `view`."""
    teacher = seen_as(view, bench.teacher[None], bench.counted, bench.teacher_temperature)[0]
    rows, traces, span = np.flatnonzero(bench.counted), [], list(teacher[np.isfinite(teacher)])
    for number, one in enumerate(after.values()):
        start, end = seen_as(view, one.scores[[0, -1]], bench.counted, bench.temperature)
        lines = np.stack([start[rows], end[rows], np.full(len(rows), np.nan)], axis=1).ravel()
        traces.append({
            "type": "scatter", "x": lines.tolist(), "y": np.repeat(rows, 3).tolist(), "mode": "lines",
            "line": {"color": BLUE, "width": 3}, "hoverinfo": "skip", "showlegend": False, **_axes(number),
        })  # fmt: skip
        for name, x, marker in (
            ("teacher", teacher, {"symbol": "diamond", "color": ORANGE, "size": 11}),
            ("start", start, {"symbol": "circle-open", "color": BLUE, "size": 9, "line": {"width": 2}}),
            ("after the steps", end, {"symbol": "circle", "color": BLUE, "size": 9}),
        ):
            traces.append({
                "type": "scatter", "x": x[rows].tolist(), "y": rows.tolist(), "mode": "markers", "name": name,
                "legendgroup": name, "showlegend": number == 0, "marker": marker, **_axes(number),
                "customdata": _names(bench, rows),
                "hovertemplate": "%{customdata}: %{x:.4g}<extra>" + name + "</extra>",
            })  # fmt: skip
        span += [*start[rows], *([] if grown(one) else end[rows])]  # else those that run off would flatten all others
    low, high = float(min(span)), float(max(span))
    room = 0.06 * ((high - low) or 1.0)
    titles = [f"{loss}: {_number(one.losses[0])} → {_number(one.losses[-1])}" for loss, one in after.items()]
    return go.Figure(traces, _layout(titles, [(low - room, high + room)] * len(titles), bench))


def path_figure(bench: LossBench, path: Descent) -> go.Figure:
    """The way of each score under the bench's loss, step by step, and below it the loss."""
    steps = np.unique(np.linspace(0, len(path.losses) - 1, min(DRAWN, len(path.losses))).round().astype(int))
    traces = [
        {
            "type": "scatter", "x": steps.tolist(), "y": path.scores[steps, row].tolist(), "mode": "lines",
            "name": short(bench.labels[row]), "hovertemplate": "step %{x}: %{y:.4g}", "showlegend": True,
            "line": {"color": nth(SERIES, n), "dash": nth(DASHES, n + n // len(SERIES)), "width": 2}, **_axes(0),
        }
        for n, row in enumerate(np.flatnonzero(bench.counted).tolist())
    ]  # fmt: skip
    traces.append({
        "type": "scatter", "x": steps.tolist(), "y": path.losses[steps].tolist(), "mode": "lines", "name": bench.loss,
        "line": {"color": GREEN, "width": 2.5}, "showlegend": False, "hovertemplate": "step %{x}: %{y:.4g}", **_axes(1),
    })  # fmt: skip
    layout = empty_figure(height=430).layout.to_plotly_json()
    x, y = layout["xaxis"], layout["yaxis"]
    named = {**x["title"], "text": "step"}
    layout |= {
        "xaxis": {**x, "anchor": "y"}, "yaxis": {**y, "domain": [0.52, 1], "anchor": "x"},
        "xaxis2": {**x, "anchor": "y2", "title": named},
        "yaxis2": {**y, "domain": [0, 0.36], "anchor": "x2", "rangemode": "tozero"},
        "annotations": [_title(f"scores under {bench.loss}", 0.5, 1), _title(bench.loss, 0.5, 0.36)],
        "legend": {"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"},
    }  # fmt: skip
    return go.Figure(traces, layout)


def losses_html(bench: LossBench, after: Mapping[str, Descent]) -> str:
    """Every loss at the present scores, and after the steps where it is compared, as an HTML table."""
    rows = [
        [str(row["loss"]), *map(_number, list(row.values())[1:4]),
         "–" if np.isnan(row["wrong_pairs"]) else f"{row['wrong_pairs']:.0f}"]
        for row in loss_rows(bench, dict(after))
    ]  # fmt: skip
    steps = f"after {bench.steps} steps"
    header = ("loss", "now", "length of gradient", steps, f"pairs in the wrong order {steps}")
    return captioned_table(f"Each loss ({bench.optimiser}, rate {bench.rate:.3g})", header, rows)


def scores_html(bench: LossBench, after: Mapping[str, Descent]) -> str:
    """Each passage's scores: the teacher's, the student's now, and after the steps under each loss."""
    rows = [
        [label + ("" if bench.counted[n] else " (does not count)"), _number(bench.teacher[n]),
         _number(bench.student[n]), *(_number(one.scores[-1, n]) for one in after.values())]
        for n, label in enumerate(bench.labels)
    ]  # fmt: skip
    header = ("passage", "teacher", "start", *after)
    return captioned_table(f"Scores after {bench.steps} steps under each loss", header, rows)


def told(bench: LossBench, after: Mapping[str, Descent]) -> list[str]:
    """What must be said beside the pictures: the loss now, temperatures that are not taken, steps that ran away."""
    at = gradient(bench)
    lines = [f"{bench.loss} = {_number(at.value)}. A step goes against the gradient."]
    if not takes_temperature(bench.loss):
        lines.append(f"{bench.loss} takes no temperature: it compares the scores as they are.")
    away = [loss for loss, one in after.items() if grown(one)]
    if away:
        lines.append(f"Under {', '.join(away)} the loss has grown: the steps are too long, take a smaller rate.")
    return lines


def grown(path: Descent) -> bool:
    """Whether the steps went wrong: the loss ended higher than it began, or a score passed a million."""
    first, last = path.losses[0], path.losses[-1]
    return path.ran_away or not last <= first + 1e-6 * (1 + abs(first))


def _layout(titles: Sequence[str], spans: Sequence[tuple[float, float]], bench: LossBench) -> dict[str, Any]:
    """The layout of panels beside and below each other, with a row for each passage, the first on top.

    As plain dicts: a figure that is made anew at each move of a slider has no time for plotly's update methods.
    """
    lines, passages = -(-len(titles) // COLUMNS), len(bench.labels)
    height, top, bottom = lines * (ROW * passages + BETWEEN) - BETWEEN, 70, 34
    wide, high = (1 - GAP * (COLUMNS - 1)) / COLUMNS, ROW * passages / height
    base = empty_figure(height=height + top + bottom).layout.to_plotly_json()
    x, y = base.pop("xaxis"), base.pop("yaxis")
    names = [escape(label if len(label) <= 16 else label[:15] + "…") for label in bench.labels]
    ticks = {"tickvals": list(range(passages)), "ticktext": names, "range": [passages - 0.4, -0.6], "showgrid": False}
    layout, notes = base, []
    for number, (title, span) in enumerate(zip(titles, spans, strict=True)):
        line, column = divmod(number, COLUMNS)
        left, upper = column * (wide + GAP), 1 - line * (ROW * passages + BETWEEN) / height
        axis = "" if number == 0 else str(number + 1)
        layout[f"xaxis{axis}"] = {
            **x, "domain": [left, left + wide], "anchor": f"y{axis}", "range": list(span), "nticks": 4,
            "tickformat": ".3~g", "tickangle": 0, "zeroline": True, "zerolinecolor": GRID, "zerolinewidth": 2,
        }  # fmt: skip
        layout[f"yaxis{axis}"] = {
            **y, **ticks, "domain": [max(0.0, upper - high), upper], "anchor": f"x{axis}",
            "showticklabels": column == 0,
        }  # fmt: skip
        notes.append(_title(title, left + wide / 2, upper))
    legend = {**base["legend"], "y": 1 + 30 / height}
    return {**layout, "annotations": notes, "legend": legend, "margin": {**base["margin"], "t": top, "b": bottom}}


def _title(text: str, x: float, y: float) -> dict[str, Any]:
    return {
        "text": escape(text), "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "center",
        "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
    }  # fmt: skip


def _axes(number: int) -> dict[str, str]:
    return {"xaxis": f"x{number + 1}" if number else "x", "yaxis": f"y{number + 1}" if number else "y"}


def _names(bench: LossBench, rows: np.ndarray) -> list[str]:
    return [escape(bench.labels[row]) for row in rows]


def _number(value: float) -> str:
    """Three digits; what is left by rounding (below 1e-9) is 0."""
    return "–" if np.isnan(value) else f"{value if abs(value) > 1e-9 else 0.0:.3g}".replace("-", "−")
