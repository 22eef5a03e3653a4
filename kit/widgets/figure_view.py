"""One plotly figure as a widget: its JSON compressed in one trait, plotly.js sent once a page, clicks told to Python.

Knows nothing of what is drawn. plotly's own `FigureWidget` sends plotly.js with every widget; here the first view of a
page asks for it, and it goes as one compressed binary message, never into the notebook's file. A kernel that is running
a cell does not answer, so until it does, the page shows the figure as a still picture.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

from kit.plots.still import still
from kit.types import KitError

JS = Path(__file__).parent / "js"
ASK = "plotly.js"  # the message in which a page asks for it, and the one in which it comes


class FigureView(anywidget.AnyWidget):
    """A plotly figure that can be replaced and clicked; `label` is read out by screen readers.

    On a page narrower than `least_width` pixels the picture keeps that width and scrolls.

    A click tells the trace's number and the point's: for a heatmap, the cell's in reading order of `z`. Every click
    must have a keyboard path beside it (a dropdown, a box), for a picture does not take keys.

    >>> view = FigureView(go.Figure().add_bar(y=[2, 1]), label="Two bars")
    >>> view.figure.data[0].y
    (2, 1)
    """

    _esm = JS / "figure.js"
    _css = JS / "figure.css"
    _packed = traitlets.Bytes().tag(sync=True)  # the figure's JSON by gzip: a fifth of its size
    _height = traitlets.Int(400).tag(sync=True)  # pixels, known before the figure is unpacked: nothing jumps
    _still = traitlets.Unicode().tag(sync=True)
    _least_width = traitlets.Int(0).tag(sync=True)  # pixels: on a narrower page the picture scrolls within itself
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure: go.Figure | None = None, *, label: str = "", least_width: int = 0) -> None:
        self._figure: dict[str, Any] = {}
        super().__init__(label=label, _least_width=least_width)
        self._drawn = False  # by plotly.js, in some page
        self._callbacks: list[Callable[[int, int], None]] = []
        self.on_msg(self._receive)
        if figure is not None:
            self.show(figure)

    def show(self, figure: go.Figure) -> None:
        """Replace the picture."""
        self._figure = _as_json(figure)
        with self.hold_sync():
            self._packed = gzip.compress(json.dumps(self._figure, separators=(",", ":")).encode(), mtime=0)
            self._height = int(figure.layout.height or 400)
            self._still = "" if self._drawn else _placeholder(figure, self.label)

    @property
    def figure(self) -> go.Figure:
        """A copy of what is shown."""
        return go.Figure(self._figure or None)

    def on_click(self, callback: Callable[[int, int], None]) -> None:
        """Call `callback(trace, point)` at every click on a point, a bar or a cell."""
        self._callbacks.append(callback)

    def _receive(self, _: Any, message: dict[str, Any], buffers: list[bytes]) -> None:
        if message.get("kind") == ASK:
            self.send({"kind": ASK}, [compressed_plotlyjs()])
        if message.get("kind") == "drawn":
            self._drawn = True
        if message.get("kind") == "click":
            for callback in self._callbacks:
                callback(int(message["trace"]), int(message["point"]))


@cache
def compressed_plotlyjs() -> bytes:
    """plotly.js of the installed plotly, compressed by gzip: about 1.4 MB."""
    return gzip.compress(get_plotlyjs().encode(), compresslevel=6, mtime=0)


def _placeholder(figure: go.Figure, label: str) -> str:
    """The figure as SVG; nothing where it holds what a still picture does not know, for it is soon replaced."""
    try:
        return still(figure, title=label)
    except KitError:
        return ""


def _as_json(figure: go.Figure) -> dict[str, Any]:
    if not isinstance(figure, go.Figure):
        raise KitError("FigureView", "a plotly figure", type(figure).__name__)
    return json.loads(figure.to_json())
