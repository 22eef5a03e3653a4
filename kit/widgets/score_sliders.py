"""Rows of sliders for one question's scores: drag, arrow keys or a number; the teacher's score and a step's way beside.

A widget of plain inputs, so that keys work in every front end. Knows no losses: what it draws as arrows is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets

from kit.types import KitError

JS = Path(__file__).parent / "js"


class ScoreSliders(anywidget.AnyWidget):
    """`scores` and `counted`, moved by hand; beside each the teacher's score and an arrow for its `push`.

    A NaN of the teacher is a passage without a mark. The sliders' range grows with the scores and the teacher's.

    >>> ScoreSliders(["a", "b"], [1.0, 2.0], [0.0, 5.0]).bounds
    (-1.0, 6.0)
    """

    _esm = JS / "score_sliders.js"
    _css = JS / "score_sliders.css"
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    teacher = traitlets.List().tag(sync=True)  # None: no mark
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    counted = traitlets.List(traitlets.Bool()).tag(sync=True)
    push = traitlets.List(traitlets.Float()).tag(sync=True)
    bounds = traitlets.Tuple(traitlets.Float(), traitlets.Float()).tag(sync=True)

    def __init__(self, labels: Sequence[str], teacher: Sequence[float], scores: Sequence[float]) -> None:
        super().__init__(
            labels=list(labels), teacher=_marks(teacher), scores=[float(score) for score in scores],
            counted=[True] * len(labels), push=[0.0] * len(labels), bounds=bounds_of(teacher, scores),
        )  # fmt: skip

    def show(
        self, labels: Sequence[str], teacher: Sequence[float], scores: Sequence[float], counted: Sequence[bool]
    ) -> None:
        """Replace all rows."""
        with self.hold_sync():
            self.labels, self.teacher = list(labels), _marks(teacher)
            self.counted, self.push = [bool(one) for one in counted], [0.0] * len(self.labels)
            self.scores, self.bounds = [float(score) for score in scores], bounds_of(teacher, scores)

    @traitlets.validate("scores")
    def _finite(self, proposal: dict) -> list[float]:
        scores = [float(score) for score in proposal["value"]]
        if len(scores) != len(self.labels) or not all(map(math.isfinite, scores)):
            raise KitError("scores", f"{len(self.labels)} finite numbers", scores)
        return scores


def bounds_of(teacher: Sequence[float], scores: Sequence[float]) -> tuple[float, float]:
    """A range of whole numbers with a little room around all finite values.

    >>> bounds_of([0.0, float("nan")], [9.5, 2.0])
    (-1.0, 11.0)
    """
    known = [float(value) for value in [*teacher, *scores] if math.isfinite(value)] or [0.0]
    return float(math.floor(min(known)) - 1), float(math.ceil(max(known)) + 1)


def _marks(teacher: Sequence[float]) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in teacher]
