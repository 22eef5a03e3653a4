"""What a training looks like while it runs: its rows in, a plotly figure and a line of text out. Pure.

The loss of every step is noisy, so its mean over the last steps is drawn over it; shares (agreement with the teacher,
recall, exact match) stand in a panel of their own, figures of other kinds below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kit.plots import score_distributions
from kit.plots.style import BLUE, DASHES, GREEN, SERIES, SKY, SYMBOLS, nth, panels
from kit.types import KitError, ScoreTable

MOST_POINTS = 300  # of a line: more cannot be seen, and a picture stays below some 20 kB
AGREEMENT = "agreement"  # the one share that distil logs at every step
Rows = Sequence[Mapping[str, float]]


def training_figure(losses: Rows, evaluations: Rows = ()) -> go.Figure:
    """The loss by step, shares of steps and evaluations, and a panel for each further figure of evaluations.

    >>> training_figure([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]).data[0].y
    (2.0, 1.0)
    """
    figures = dict.fromkeys(name for row in evaluations for name in row if name != "step")
    shares = [name for name in figures if all(0 <= row[name] <= 1 for row in evaluations if name in row)]
    others = [name for name in figures if name not in shares]
    agreed = any(AGREEMENT in row for row in losses)
    below = (["shares"] if shares or agreed else []) + others
    figure = panels(["loss", *below], height=170)
    _add_noisy(figure, losses, "loss", BLUE, row=1)
    if agreed:
        _add_mean(figure, losses, AGREEMENT, GREEN, row=2, dash="dot")
    for number, name in enumerate(shares):
        _add_evaluations(figure, evaluations, name, number, row=2)
    for number, name in enumerate(others):
        _add_evaluations(figure, evaluations, name, number, row=len(below) - len(others) + number + 2)
    last = max([row["step"] for row in (*losses, *evaluations)], default=1)
    figure.update_xaxes(range=[min(1, last - 1), max(last, 2)])
    if below[:1] == ["shares"]:
        figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%", row=2, col=1)
    return figure.update_xaxes(title_text="step", row=len(below) + 1, col=1)


def window_of(count: int) -> int:
    """Of how many steps the mean is drawn: a twentieth of them, between 5 and 200."""
    return min(200, max(5, count // 20))


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, `window` in all.

    >>> running_mean([1.0, 3.0, 5.0, 7.0], 2)
    [1.0, 2.0, 4.0, 6.0]
    """
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return ((sums[ends] - sums[starts]) / (ends - starts)).tolist()


def thinned(
    places: Sequence[float], values: Sequence[float], most: int = MOST_POINTS
) -> tuple[list[float], list[float]]:
    """At most `most` points evenly from a line's, its first and last among them.

    >>> thinned([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], most=3)
    ([1, 3, 5], [5, 3, 1])
    """
    if len(places) <= most:
        return list(places), list(values)
    chosen = np.linspace(0, len(places) - 1, most).round().astype(int).tolist()
    return [places[n] for n in chosen], [values[n] for n in chosen]


def _known(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    told = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [step for step, _ in told], [value for _, value in told]


def _add_noisy(figure: go.Figure, rows: Rows, name: str, colour: str, *, row: int) -> None:
    steps, values = thinned(*_known(rows, name))
    figure.add_scatter(
        x=steps, y=values, mode="lines", name=f"{name} of a step", line={"color": SKY, "width": 1},
        row=row, col=1, hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    _add_mean(figure, rows, name, colour, row=row, dash="solid")


def _add_mean(figure: go.Figure, rows: Rows, name: str, colour: str, *, row: int, dash: str) -> None:
    steps, values = _known(rows, name)
    window = window_of(len(values))
    steps, values = thinned(steps, running_mean(values, window))
    figure.add_scatter(
        x=steps, y=values, mode="lines", name=f"{name}, mean of the last {window}", row=row, col=1,
        line={"color": colour, "width": 2.5, "dash": dash}, hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )  # fmt: skip


def _add_evaluations(figure: go.Figure, rows: Rows, name: str, number: int, *, row: int) -> None:
    steps, values = _known(rows, name)
    figure.add_scatter(
        x=steps, y=values, mode="lines+markers", name=escape(name), row=row, col=1, cliponaxis=False,
        line={"color": nth(SERIES[1:], number), "dash": nth(DASHES[1:], number), "width": 2.5},
        marker={"symbol": nth(SYMBOLS, number), "size": 9}, hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )  # fmt: skip


def told(losses: Rows, evaluations: Rows = (), *, seconds: float | None = None, interrupted: bool = False) -> str:
    """The last figures in one line of plain text.

    >>> told([{"step": 7, "loss": 0.5}], [{"step": 7, "recall@1": 0.25}], seconds=3.2)
    'step 7 · loss 0.500 (mean of the last 5) · recall@1 0.250 · 3 s'
    """
    if not losses:
        return "no step yet"
    steps, values = _known(losses, "loss")
    window = window_of(len(values))
    parts = [f"step {steps[-1]:g}", f"loss {running_mean(values, window)[-1]:.3f} (mean of the last {window})"]
    if evaluations:
        parts += [f"{name} {value:.3f}" for name, value in evaluations[-1].items() if name != "step"]
    if seconds is not None:
        parts.append(f"{seconds:.0f} s")
    return " · ".join([*parts, *(["interrupted"] if interrupted else [])])


def spread_figure(table: Callable[[], tuple[Any, Any]]) -> go.Figure:
    """How the scores that `table()` gives spread now: (values, gold), of one shape (q, k).

    `values` is a `ScoreTable`, an array, or {name: array}; `gold` is True where a passage is gold.
    """
    given = table()
    if not isinstance(given, tuple) or len(given) != 2:
        raise KitError("TrainingView, table", "a function that gives (values, gold)", type(given).__name__)
    values, gold = given
    if isinstance(values, ScoreTable):
        values = {values.name: values.values}
    named = values if isinstance(values, Mapping) else {"scores now": values}
    return score_distributions(named, gold)
