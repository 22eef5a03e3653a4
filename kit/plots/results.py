"""Pictures of results: recall, exact match and training, from plain figures. No state, no files, no models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kit.plots.style import (
    BLUE,
    DASHES,
    GREEN,
    SERIES,
    SYMBOLS,
    as_shares,
    empty_figure,
    error_bars,
    faint,
    nth,
    panels,
    short,
)
from kit.types import KitError

POINTS = 20  # fewer than these on a line are marked
LINES = ("solid", *DASHES[2:])  # of training runs


def recall_curves(recall: Mapping[str, Mapping[Any, float]]) -> go.Figure:
    """Recall at k of several retrievers: `{name: {k: share}}`, k as numbers or their strings, on a logarithmic axis.

    At each k the highest and the lowest value are written beside their points.

    >>> recall_curves({"BM25": {"1": 0.5, "5": 0.8}, "student": {1: 0.6, 5: 0.9}}).data[1].x
    (1, 5)
    """
    curves = {name: dict(sorted((int(k), float(v)) for k, v in shares.items())) for name, shares in recall.items()}
    if not any(curves.values()):
        raise KitError("recall_curves", "at least one share", "none")
    ks = sorted({k for shares in curves.values() for k in shares})
    ends = {k: sorted((shares[k], name) for name, shares in curves.items() if k in shares) for k in ks}
    figure = empty_figure(height=380)
    for number, (name, shares) in enumerate(curves.items()):
        highest = {k for k in shares if ends[k][-1][1] == name}
        lowest = {k for k in shares if ends[k][0][1] == name}
        figure.add_scatter(
            x=list(shares), y=list(shares.values()), name=escape(name), cliponaxis=False, mode="lines+markers+text",
            text=[f"{value:.1%}" if k in highest | lowest else "" for k, value in shares.items()],
            textposition=["top center" if k in highest else "bottom center" for k in shares],
            line={"color": nth(SERIES, number), "dash": nth(DASHES, number), "width": 2.5},
            marker={"symbol": nth(SYMBOLS, number), "size": 9},
            hovertemplate="k = %{x}: %{y:.1%}<extra>" + escape(name) + "</extra>",
        )  # fmt: skip
    room = 0.12 * (np.log10(ks[-1] / ks[0]) or 1.0)
    span = [float(np.log10(ks[0]) - room), float(np.log10(ks[-1]) + room)]
    figure.update_xaxes(type="log", tickvals=ks, ticktext=[str(k) for k in ks], title_text="k (passages)", range=span)
    floor = min(row[0][0] for row in ends.values()) - 0.15
    return figure.update_yaxes(tickformat=".0%", title_text="recall at k", range=[max(-0.06, floor), 1.06])


def evidence_bars(em: Mapping[str, float], intervals: Mapping[str, Sequence[float]] | None = None) -> go.Figure:
    """Exact match by the evidence that was read: `{name: share}`; the first, with all evidence, is drawn as a line too.

    Values stand below the bars, where the line does not cross them. `intervals`: `{name: (lower, upper bound)}`.

    >>> evidence_bars({"all": 0.8, "attention": 0.75, "random": 0.4}).data[0].y
    (0.8, 0.75, 0.4)
    """
    shares = as_shares("evidence_bars", em)
    figure = empty_figure(height=340)
    figure.add_bar(
        x=list(range(len(shares))), y=list(shares.values()), width=0.6, showlegend=False,
        marker={"color": [GREEN, *[BLUE] * (len(shares) - 1)]}, hovertemplate="%{y:.1%}<extra></extra>",
        error_y=error_bars("evidence_bars", shares, intervals),
    )  # fmt: skip
    figure.add_hline(y=next(iter(shares.values())), line={"color": GREEN, "dash": "dash", "width": 1.5})
    figure.update_xaxes(
        tickvals=list(range(len(shares))), showgrid=False, tickangle=0,
        ticktext=[f"<b>{value:.1%}</b><br>{short(name)}" for name, value in shares.items()],
    )  # fmt: skip
    return figure.update_yaxes(tickformat=".0%", title_text="exact match", range=[0, 1.03])


def exact_match_bars(
    em: Mapping[str, float | None], intervals: Mapping[str, Sequence[float]] | None = None
) -> go.Figure:
    """Exact match by kind of question: `{kind: share}`, first on top; None: no such question, no bar.

    `intervals`: `{kind: (lower, upper bound)}`, drawn as a line through the end of each bar.

    >>> exact_match_bars({"all": 0.8, "real": 0.9, "made": None}).data[0].x
    (0.8, 0.9)
    """
    shares = as_shares("exact_match_bars", {name: value for name, value in em.items() if value is not None})
    names = list(em)
    figure = empty_figure(height=80 + 34 * len(names))
    figure.add_bar(
        y=[names.index(name) for name in shares], x=list(shares.values()), orientation="h", marker={"color": BLUE},
        width=0.7, showlegend=False, hoverinfo="skip", error_x=error_bars("exact_match_bars", shares, intervals),
    )  # fmt: skip
    figure.add_scatter(
        y=[names.index(name) for name in shares], mode="text", text=[f" {value:.1%}" for value in shares.values()],
        x=[intervals[name][1] if intervals else value for name, value in shares.items()], cliponaxis=False,
        textposition="middle right", showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", title_text="exact match", range=[0, 1.14], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[short(name) for name in names], range=[len(names) - 0.4, -0.6],
        showgrid=False,
    )  # fmt: skip
    return figure


def training_curve(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, window: int = 1) -> go.Figure:
    """How figures went while training: rows with `step` and the figures `names`, one panel a name.

    A row may have a `run`: each run is a line. A row without a figure is left out of that figure's panel. With a
    `window` of several rows the line is the mean of as many up to each step, and the values themselves are faint.

    >>> training_curve([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}], ["loss"]).data[0].y
    (2.0, 1.5)
    """
    if window < 1:
        raise KitError("training_curve", "a window of at least 1", window)
    runs = list(dict.fromkeys(str(row.get("run", "")) for row in rows))
    figure = panels(list(names), height=200)
    for panel, name in enumerate(names, start=1):
        if not any(name in row for row in rows):
            raise KitError("training_curve", f"rows with {name!r}", sorted({key for row in rows for key in row}))
        for number, run in enumerate(runs):
            kept = [row for row in rows if str(row.get("run", "")) == run and row.get(name) is not None]
            steps, values = [row["step"] for row in kept], [row[name] for row in kept]
            means = [float(np.mean(values[max(0, end - window) : end])) for end in range(1, len(values) + 1)]
            mode = "lines+markers" if len(steps) < POINTS else "lines"
            shared = {"x": steps, "mode": mode, "legendgroup": run}
            line = {"color": nth(SERIES, number), "dash": nth(LINES, number), "width": 1.8}
            figure.add_scatter(
                y=values if window == 1 else means, name=escape(run), line=line, row=panel, col=1,
                showlegend=panel == 1 and len(runs) > 1,
                hovertemplate="step %{x}: %{y:.4g}<extra>" + escape(run) + "</extra>", **shared,
            )  # fmt: skip
            if window > 1:
                thin = {"color": faint(nth(SERIES, number)), "width": 1}
                figure.add_scatter(y=values, line=thin, showlegend=False, hoverinfo="skip", row=panel, col=1, **shared)
    figure.update_xaxes(title_text="step", row=len(names), col=1)
    return figure
