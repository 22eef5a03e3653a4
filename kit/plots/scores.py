"""Pictures of scores of passages: arrays in, a plotly figure out. No state, no files, no models.

A gold passage is one that holds the answer to the question. The pictures of results (kit.plots.results) and of tokens
(kit.plots.shading) are named here too: `kit.plots` is all that a notebook needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from kit.plots.style import GOLD, OTHER, STRIPES, as_array, empty_figure, faint, panels, short, written
from kit.types import KitError

BINS = 30


def passage_bars(
    scores: ArrayLike, labels: Sequence[str], gold: ArrayLike, *, name: str = "score", from_lowest: bool = False,
    percent: bool = False,
) -> go.Figure:  # fmt: skip
    """One horizontal bar a passage, first on top: scores (k,), labels (k), gold (k,) bool.

    Gold passages are striped and have a star. Bars begin at 0, or at the lowest score with `from_lowest`: right for
    logits, of which only differences mean something. With `percent` the scores are shares, written as percentages. A
    NaN is a passage without a score: no bar.

    >>> [len(trace.y) for trace in passage_bars([3.0, 1.0, 2.0], ["a", "b", "c"], [True, False, False]).data]
    [1, 2]
    """
    values = as_array("passage_bars", "scores", scores, (len(labels),))
    marked = as_array("passage_bars", "gold", gold, (len(labels),)).astype(bool)
    known = values[np.isfinite(values)]
    base = float(known.min()) if from_lowest and len(known) else 0.0
    figure, texts = empty_figure(height=90 + 30 * len(labels)), [f"{v:.1%}" if percent else written(v) for v in values]
    for is_gold, title in ((True, "★ gold passage"), (False, "other passage")):
        rows = np.flatnonzero((marked == is_gold) & np.isfinite(values)).tolist()
        figure.add_bar(
            y=rows, x=values[rows] - base, base=base, orientation="h", name=title, width=0.72,
            marker={"color": GOLD, "pattern": STRIPES} if is_gold else {"color": OTHER},
            text=[texts[row] for row in rows], textposition="outside", cliponaxis=False,
            customdata=[[escape(labels[row]), texts[row]] for row in rows],
            hovertemplate="%{customdata[0]}<br>" + escape(name) + " %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    low, high = (min(base, known.min()), max(base, known.max())) if len(known) else (0.0, 1.0)
    room = 0.18 * ((high - low) or 1.0)
    figure.update_xaxes(title_text=escape(name), range=[low - room * bool(low < base), high + room * bool(high > base)])
    figure.update_xaxes(tickformat=".0%" if percent else None)
    figure.update_yaxes(
        tickvals=list(range(len(labels))), range=[len(labels) - 0.4, -0.6], showgrid=False,
        ticktext=[("★ " if star else "") + short(label) for label, star in zip(labels, marked, strict=True)],
    )  # fmt: skip
    return figure


def layer_head_map(matrix: ArrayLike, *, name: str = "value", from_zero: bool = False) -> go.Figure:
    """A map of one value for each layer and head: matrix (n, h); layer 0, the first, is the lowest row.

    Values are written into the cells where there are at most 64. Colours begin at the lowest value, or `from_zero`.

    >>> layer_head_map([[0.1, 0.2], [0.3, 0.4]]).data[0].z.shape
    (2, 2)
    """
    values = as_array("layer_head_map", "matrix", matrix, (None, None))
    layers, heads = values.shape
    written = "%{z:.2f}" if np.nanmax(np.abs(values), initial=0.0) >= 0.1 else "%{z:.2g}"
    figure = empty_figure(height=110 + max(110, 36 * layers))  # at least what a colour bar needs
    figure.add_heatmap(
        z=values, x=list(range(heads)), y=list(range(layers)), colorscale="cividis", xgap=2, ygap=2,
        texttemplate=written if values.size <= 64 else None, zmin=0 if from_zero else None,
        zmax=np.nanmax(values, initial=0.0) if from_zero else None,
        colorbar={"title": {"text": escape(name)}, "nticks": 5},
        hovertemplate="layer %{y}, head %{x}<br>" + escape(name) + " %{z:.4g}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="head", dtick=1 if heads <= 16 else 4, showgrid=False)
    figure.update_yaxes(title_text="layer", dtick=1 if layers <= 12 else 4, showgrid=False)
    return figure


def score_distributions(values: Mapping[str, ArrayLike], gold: ArrayLike) -> go.Figure:
    """How scores spread, gold passages against others: one panel a series of scores (q, k), gold (q, k) bool.

    Each panel has its own scale; heights are shares of the gold passages, and of the others, in one of 30 bins. NaNs
    are left out; arrays of any one shape will do.

    >>> len(score_distributions({"teacher": [[2.0, 1.0]], "student": [[0.2, 0.1]]}, [[True, False]]).data)
    4
    """
    marked = np.asarray(gold, dtype=bool)
    figure = panels(list(values), height=190)
    for row, (name, scores) in enumerate(values.items(), start=1):
        cells = as_array("score_distributions", name, scores, marked.shape)
        known = cells[np.isfinite(cells)]
        if not len(known):
            raise KitError(f"score_distributions, {name!r}", "at least one score", "none")
        edges = np.histogram_bin_edges(known, BINS)
        for is_gold, title in ((False, "other passages"), (True, "★ gold passages")):
            chosen = cells[(marked == is_gold) & np.isfinite(cells)]
            shares = np.histogram(chosen, edges)[0] / max(1, len(chosen))
            colour = GOLD if is_gold else OTHER
            figure.add_scatter(
                x=[edges[0], *edges], y=[0.0, *shares, 0.0], line={"shape": "hv", "color": colour, "width": 2,
                "dash": "solid" if is_gold else "dot"}, fill="tozeroy", fillcolor=faint(colour),
                fillpattern={"shape": "/", "fgcolor": colour, "size": 8, "solidity": 0.2}
                if is_gold else None, mode="lines", name=title, legendgroup=title, showlegend=row == 1, row=row, col=1,
                hovertemplate="from %{x:.3g}: %{y:.1%}<extra>" + title + "</extra>",
            )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def rank_changes(
    before: ArrayLike, after: ArrayLike, labels: Sequence[str], gold: ArrayLike, *,
    names: tuple[str, str] = ("before", "after"),
) -> go.Figure:  # fmt: skip
    """How passages change places: scores before (k,) and after (k,), labels (k), gold (k,) bool; rank 1 on top.

    One line a passage, from its rank by `before` to its rank by `after`; ties keep the given order.

    >>> rank_changes([1.0, 2.0], [2.0, 1.0], ["a", "b"], [True, False]).data[0].y
    (2, 1)
    """
    count = len(labels)
    ranks = []
    for name, scores in zip(names, (before, after), strict=True):
        values = as_array("rank_changes", name, scores, (count,))
        if not np.isfinite(values).all():
            raise KitError(f"rank_changes, {name!r}", "a score for every passage", "NaN or an infinite one")
        ranks.append(np.argsort(np.argsort(-values, kind="stable")) + 1)
    marked = as_array("rank_changes", "gold", gold, (count,)).astype(bool)
    figure = empty_figure(height=110 + 30 * count)
    shown: set[bool] = set()
    for left, right, label, star in zip(*(rank.tolist() for rank in ranks), labels, marked.tolist(), strict=True):
        figure.add_scatter(
            x=[0, 1], y=[left, right], mode="lines+markers+text", cliponaxis=False, legendgroup=str(star),
            text=["", f"  {right}. {'★ ' if star else ''}{short(label)}"], textposition="middle right",
            name="★ gold passage" if star else "other passage", showlegend=star not in shown,
            line={"color": GOLD if star else OTHER, "width": 4 if star else 2, "dash": "solid" if star else "dot"},
            marker={"symbol": "star" if star else "circle", "size": 13 if star else 8},
            hovertemplate=f"{escape(label)}: {left} → {right}<extra></extra>",
        )  # fmt: skip
        shown.add(star)
    figure.update_xaxes(tickvals=[0, 1], ticktext=[escape(name) for name in names], range=[-0.12, 2.3], showgrid=False)
    figure.update_yaxes(range=[count + 0.6, 0.4], tickvals=list(range(1, count + 1)), title_text="rank", showgrid=False)
    return figure
