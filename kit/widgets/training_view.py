"""A training while it runs: loss, evaluations and scores, redrawn now and then in the cell that trains.

The pictures are SVG, not plotly's: while a cell runs, a kernel does not answer its page, so plotly.js could not be
asked for. When the cell ends, or is interrupted, the widget gives way to the same picture as plain HTML, which every
saved notebook keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import Any
from uuid import uuid4

import ipywidgets
from IPython import get_ipython
from IPython.display import display

from kit.plots.still import still
from kit.train import TrainingHistory
from kit.types import KitError
from kit.widgets.explorer import Explorer
from kit.widgets.training_pictures import spread_figure, told, training_figure

FASTEST = 0.2  # seconds from one redraw to the next
TABLE_SHARE = 0.1  # of the time at most goes into calls of `table`


class TrainingView(Explorer):
    """What `kit.distil(..., callback=TrainingView())` draws: called with the training so far after each step.

    A redraw every `every` seconds at most. `table()`, where given, tells (values, gold) for a live score distribution
    (see `spread_figure`); it is called about a tenth of the time at most, and must leave the model as it found it. The
    view shows itself in the cell that trains, unless it was shown before or `display` is False (for a box of your own,
    or under Voila). An interrupt ends the training, and the picture stays.

    >>> view = TrainingView(display=False)
    >>> view(TrainingHistory(losses=[{"step": 1, "loss": 2.0}]))
    >>> view.text
    'step 1 · loss 2.000 (mean of the last 5) · 0 s'
    """

    def __init__(
        self, *, every: float = 1.0, table: Callable[[], tuple[Any, Any]] | None = None, display: bool = True
    ) -> None:
        if not every >= FASTEST:
            raise KitError("TrainingView, every", f"at least {FASTEST} seconds", every)
        self.every, self.table, self.displayed_by_itself = every, table, display
        self.training = TrainingHistory()
        self.text = told([])
        self._pictures = ""
        self._spread, self._table_again = "", 0.0
        self._begun: float | None = None
        self._drawn = -1.0  # when; by the clock of `_begun`
        self._shown: list[str] = []  # the outputs that hold this view
        self._waiting = False  # for the end of the cell
        self._page = ipywidgets.HTML(layout={"width": "100%"})
        super().__init__("Training", [self._page])
        self._draw(0.0)

    def __call__(self, training: TrainingHistory) -> None:
        """Take in the training so far; draw it if the last picture is old enough."""
        now = time.monotonic()
        if self._begun is None or training.losses is not self.training.losses:
            self._begun, self._drawn, self._table_again = now, -1.0, 0.0
        self.training = training
        self._await_end_of_cell()
        due = self._drawn < 0 or now - self._begun - self._drawn >= self.every
        if due or training.interrupted:
            self._draw(now - self._begun)

    def still(self) -> str:
        """The pictures as they are now, as HTML without script."""
        return self._pictures

    def finish(self) -> None:
        """Draw the last state, and leave it in the notebook as a picture that needs no widgets."""
        self._waiting = False
        if self._begun is not None:
            self._draw(time.monotonic() - self._begun if self._drawn >= 0 else 0.0, last=True)
        for name in self._shown:
            display(self._plain(), raw=True, display_id=name, update=True)
        self._shown, self._begun = [], None

    def _draw(self, seconds: float, *, last: bool = False) -> None:
        training = self.training
        losses, evaluations = training.losses, training.evaluations
        self.text = told(losses, evaluations, seconds=seconds, interrupted=training.interrupted)
        if losses and self.table is not None and (last or seconds >= self._table_again):
            begin = time.monotonic()
            self._spread = still(spread_figure(self.table), title="scores of gold and other passages")
            took = time.monotonic() - begin
            self._table_again = seconds + took / TABLE_SHARE
        curves = still(training_figure(losses, evaluations), title=f"training: {self.text}")
        self._pictures = f"<p>{escape(self.text)}</p>{_scrolled(curves)}{_scrolled(self._spread)}"
        self._page.value = self._pictures
        self._drawn = seconds

    def _await_end_of_cell(self) -> None:
        """In a notebook: show the view if it is nowhere yet, and wait for the end of the cell that trains."""
        shell = get_ipython()
        if shell is None or self._waiting or not self.displayed_by_itself:
            return
        self._waiting = True
        if not self._shown:
            display(self)

        def ended(*_: Any) -> None:
            shell.events.unregister("post_run_cell", ended)
            self.finish()

        shell.events.register("post_run_cell", ended)

    def _plain(self) -> dict[str, str]:
        return {"text/html": self._repr_mimebundle_()["text/html"], "text/plain": f"Training: {self.text}"}

    def _ipython_display_(self) -> None:
        """Shown under a name of its own, so that the picture can take the widget's place at the end."""
        name = uuid4().hex
        self._shown.append(name)
        display(self._repr_mimebundle_(), raw=True, display_id=name)


def _scrolled(picture: str) -> str:
    """A picture that a narrow page moves sideways within itself."""
    return f'<div style="overflow-x:auto">{picture}</div>' if picture else ""
