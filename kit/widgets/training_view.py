"""A training while it runs: its figures by step, and a scrubber over the scores of chosen questions.

While a cell runs, a kernel does not answer its page: plotly.js stands in a trait until the training ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any
from uuid import uuid4

import traitlets
from IPython import get_ipython
from IPython.display import display

from kit import plots
from kit.pages.figures import MIME, plotly_bundle
from kit.pages.tables import table_html
from kit.train import TrainingHistory
from kit.types import KitError, Passage, Question
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Free
from kit.widgets.packed import packed
from kit.widgets.training_data import WatchedScores, lines_of, status_line, table_of

FASTEST = 0.2  # seconds from one redraw to the next
TABLE_SHARE = 0.1  # of the time at most goes into calls of `table`


class TrainingView(Explorer):
    """What `kit.distil(..., callback=TrainingView())` draws: called with the training so far after each step.

    A redraw every `every` seconds at most. `table()`, if given, gives (values, gold) for the scores of chosen questions
    (see `WatchedScores`); it is called at once, then about a tenth of the time at most, and must leave the model as it
    found it. `questions` and `corpus` name what it scores.

    The view shows itself in the cell that trains, unless `display` is False (for a view that is shown already, or under
    Voila). An interrupt ends the training, and the view stays. When the cell ends, a plain figure takes its place,
    which a saved notebook keeps; `view` in a cell of its own is the explorer again, with its scrubber.

    `state` and `set(...)`, with a table: question (an id), table (a name), moment (a step; None: the last one).

    >>> view = TrainingView(display=False)
    >>> view(TrainingHistory(losses=[{"step": 1, "loss": 2.0}]))
    >>> view.text
    'step 1 · loss 2.000 (mean of the last 5) · 0 s'
    """

    modules = ("training.js",)
    _plotly = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        *,
        every: float = 1.0,
        table: Callable[[], tuple[Any, Any]] | None = None,
        questions: Sequence[Question] = (),
        corpus: Mapping[str, Passage] | None = None,
        display: bool = True,
    ) -> None:
        if not every >= FASTEST:
            raise KitError("TrainingView, every", f"at least {FASTEST} seconds", every)
        self.every, self.displays_itself = every, display
        self.history = TrainingHistory()
        self.watched = None if table is None else WatchedScores(table, questions, corpus)
        self.text = status_line(self.history)
        self._begun: float | None = None
        self._drawn, self._table_again = -1.0, 0.0  # seconds after `_begun`
        self._output = ""  # the display in the cell that trains
        self._waiting = False  # for the end of the cell
        super().__init__("Training", _controls(self.watched), self._for_page())

    def __call__(self, history: TrainingHistory) -> None:
        """Take in the training so far; draw it if the last picture is old enough."""
        now, another = time.monotonic(), history.losses is not self.history.losses
        if self.watched and another and self.history.losses:
            self.watched.clear()
        self.history = history
        if self._begun is None or another:
            self._begun, self._drawn, self._table_again = now, -1.0, 0.0
        self._join_cell()
        if self._drawn < 0 or now - self._begun - self._drawn >= self.every or history.interrupted:
            self._draw(now - self._begun)

    def finish(self) -> None:
        """Draw the last state; what the view showed by itself becomes a figure that needs no widgets."""
        self._waiting = False
        if self._begun is not None:
            self._draw(time.monotonic() - self._begun, last=True)
        self._plotly, self._begun = b"", None
        if self._output:
            display(self.record(), raw=True, display_id=self._output, update=True)
            self._output = ""

    def record(self) -> dict[str, Any]:
        """The training as a notebook keeps it: plotly's figure, and a table where that is not drawn."""
        words = {"text/plain": f"Training: {self.text}", "text/html": self._table()}
        if not self.history.losses:
            return words
        rows, names = [], []
        for line in lines_of(self.history):
            names.append(f"{line['name']}, mean of the last {line['window']}" if "means" in line else line["name"])
            values = line.get("means", line["values"]).tolist()
            rows += [{"step": step, names[-1]: one} for step, one in zip(line["steps"].tolist(), values, strict=True)]
        figure = plots.training_curve(rows, names)
        figure.update_layout(title={"text": escape(self.text), "font": {"size": 13}}, margin={"t": 70})
        return {MIME: json.loads(figure.to_json()), **words}

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The evaluations, or without any the loss at some steps."""
        return (self.text, *table_of(self.history))

    def _table(self) -> str:
        return f"<h3>Training</h3>{table_html(*self.summary())}"

    def _for_page(self) -> dict[str, Any]:
        watched = self.watched.for_page() if self.watched else None
        return {"text": self.text, "lines": lines_of(self.history), "watched": watched}

    def _draw(self, seconds: float, *, last: bool = False) -> None:
        history = self.history
        self.text = status_line(history, seconds)
        if self.watched and history.losses and (last or seconds >= self._table_again):
            begin = time.monotonic()
            self.watched.add(int(history.losses[-1]["step"]))
            self._table_again = seconds + (time.monotonic() - begin) / TABLE_SHARE
        self._data = packed(self._for_page())
        self._drawn = seconds

    def _join_cell(self) -> None:
        """In a notebook: show the view in the cell that trains, and wait for the cell's end."""
        shell = get_ipython()
        if shell is None or self._waiting:
            return
        self._waiting, self._plotly = True, plotly_bundle()
        if self.displays_itself:
            self._output = uuid4().hex
            data, metadata = self._repr_mimebundle_()
            display(data, raw=True, metadata=metadata, display_id=self._output)

        def ended(*_: Any) -> None:
            shell.events.unregister("post_run_cell", ended)
            self.finish()

        shell.events.register("post_run_cell", ended)


def _controls(watched: WatchedScores | None) -> list[Any]:
    if watched is None:
        return []
    tables = [Choice("table", "scores of", watched.names, watched.names[-1])] if len(watched.names) > 1 else []
    return [
        Choice("question", "question", watched.questions, watched.questions[0][1]),
        *tables,
        Free("moment", None, _checked_moment),
    ]


def _checked_moment(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise KitError("moment", "a step of the training, or None for the last", repr(value))
    return value
