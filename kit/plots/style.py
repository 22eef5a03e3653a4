"""How the kit's pictures look: colours, dashes, an empty figure; and the checks of what a picture is given.

Backgrounds are transparent and text is a grey that reads on white and on black; colours are Okabe-Ito's and cividis,
and what a colour says, a pattern, a symbol or a label says too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from kit.types import KitError

BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GOLD, OTHER = ORANGE, BLUE  # colours of gold passages and of others
SERIES = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
DASHES = ("dot", "solid", "dash", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("square", "circle", "diamond", "triangle-up", "x", "star")
INK, GRID = "#7a7a7a", "rgba(128,128,128,0.25)"
STRIPES = {"shape": "/", "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.8)", "size": 7, "solidity": 0.35}
LABEL = 26  # characters of a label: more would leave a phone no room for the bars


def empty_figure(height: int) -> go.Figure:
    """An empty figure in the kit's style; its width is that of the page."""
    return styled(go.Figure(), height)


def panels(names: Sequence[str], height: int) -> go.Figure:
    """Panels below each other, `height` pixels each, titled by their names."""
    if not names:
        raise KitError("panels", "at least one name", "none")
    spacing = min(0.12, 70 / (height * len(names)))
    figure = make_subplots(rows=len(names), cols=1, subplot_titles=[escape(n) for n in names], vertical_spacing=spacing)
    figure.update_annotations(font_size=14)
    styled(figure, 110 + height * len(names))
    return figure.update_layout(margin_t=76, legend_y=1 + 30 / (height * len(names)))


def styled(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template="none", height=height, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 13}, margin={"l": 10, "r": 12, "t": 44, "b": 10}, barmode="overlay",
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "yref": "paper"},
        hoverlabel={"font": {"size": 13}},
    )  # fmt: skip
    figure.update_xaxes(
        automargin=True, gridcolor=GRID, zeroline=False, linecolor=GRID, title={"standoff": 8, "font": {"size": 13}}
    )
    figure.update_yaxes(
        automargin=True, gridcolor=GRID, zeroline=False, linecolor=GRID, title={"standoff": 8, "font": {"size": 13}}
    )
    return figure


def as_array(where: str, what: str, values: ArrayLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """The values as float64 of this shape (None: any length)."""
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(w is None or w == g for w, g in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise KitError(where, f"{what} of shape {wanted}", array.shape)
    return array


def as_shares(where: str, em: Mapping[str, float]) -> dict[str, float]:
    if not em:
        raise KitError(where, "at least one share", "none")
    for name, value in em.items():
        if not 0 <= value <= 1:
            raise KitError(f"{where}, {name!r}", "a share from 0 to 1", value)
    return dict(em)


def error_bars(
    where: str, shares: Mapping[str, float], intervals: Mapping[str, Sequence[float]] | None
) -> dict[str, object] | None:
    """plotly's error bars from lower and upper bounds, in the order of `shares`; None if there are none."""
    if intervals is None:
        return None
    for name, value in shares.items():
        if name not in intervals or not intervals[name][0] <= value <= intervals[name][1]:
            raise KitError(f"{where}, {name!r}", f"an interval around {value}", intervals.get(name))
    above = [intervals[name][1] - value for name, value in shares.items()]
    below = [value - intervals[name][0] for name, value in shares.items()]
    return {"array": above, "arrayminus": below, "color": INK, "thickness": 1.5, "width": 5}


def nth(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.25)"


def short(label: str) -> str:
    return escape(label if len(label) <= LABEL else label[: LABEL - 1].rstrip() + "…")


def written(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
