"""The explorer of losses: a student's scores moved by hand against a teacher's, gradients, and an optimiser's steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.losses import LOSSES
from kit.losses.gradients import OPTIMISERS, Descent, checked_loss, descend, gradient
from kit.types import KitError
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Control, Free, Number, Several
from kit.widgets.loss_presets import PRESETS
from kit.widgets.loss_state import LossState, loss_states, with_scores

if TYPE_CHECKING:
    import pandas

COMPARED = ("kl", "listnet", "mse", "margin_mse", "max_margin", "ranknet")
VIEWS = ("gradient", "scores", "scores minus their mean", "probabilities")
SETTINGS = ("loss", "temperature", "teacher_temperature", "optimiser", "learning_rate", "steps")


class LossLab(Explorer):
    """A workbench for the losses of `kit.LOSSES` on one question's scores at a time, at most 12 passages.

    `teacher` is (k,) or (q, k) scores or a ScoreTable, `student` alike (all 0 if there is none); `labels` name the
    passages; `losses` are those compared side by side. Arrows and bars show the gradient; a step goes against it.

    `student` and `loss` are the present scores and loss, and can be set; `step(n)` moves the scores, `compare()` says
    where each loss would take them. `state` and `set(...)`: question, preset, student (k scores, or None for the
    preset's), counted (k flags, or None), loss, teacher_temperature, temperature, view, compared, optimiser,
    learning_rate, steps.
    """

    modules = ("losses.js", "loss_sliders.js", "tour.js", "loss_lab.js")

    def __init__(
        self,
        teacher: Any,
        student: Any = None,
        *,
        labels: Sequence[str] | Sequence[Sequence[str]] | None = None,
        losses: Sequence[str] | None = None,
    ) -> None:
        self._questions = loss_states(teacher, student, labels)
        compared = list(COMPARED if losses is None else losses)
        for loss in compared:
            checked_loss(loss)
        if not compared:
            raise KitError("LossLab: losses", "at least one name of a loss", "none")
        names = list(self._questions)
        views = [("gradients", VIEWS[0]), *((f"{view} after the steps", view) for view in VIEWS[1:])]
        controls: list[Control] = [
            Choice("question", "question" if len(names) > 1 else "", names, names[0]),
            Choice("preset", "start from", list(PRESETS), "as given"),
            Choice("loss", "loss", list(LOSSES), "kl"),
            Number("teacher_temperature", "teacher temperature", 0.01, 100.0, 0.05, 1.0, log=True),
            Number("temperature", "student temperature", 0.01, 100.0, 0.05, 1.0, log=True),
            Several("compared", "compare", list(LOSSES), compared),
            Choice("view", "show", views, VIEWS[0]),
            Choice("optimiser", "optimiser", list(OPTIMISERS), "SGD"),
            Number("learning_rate", "learning rate", 0.001, 100.0, 0.05, 1.0, log=True),
            Number("steps", "steps", 1, 200, 1, 20),
            Free("student", None, self._checked_student),
            Free("counted", None, self._checked_counted),
        ]
        super().__init__("Loss lab", controls, self._for_page())

    def set(self, **changes: Any) -> None:
        """Change parts of the state by name; another question or preset brings its own scores."""
        begins_anew = {"student": None, "counted": None} if {"question", "preset"} & changes.keys() else {}
        super().set(**{**begins_anew, **changes})

    @property
    def student(self) -> np.ndarray:
        """The student's present scores (k,); can be set."""
        return self.current.student.copy()

    @student.setter
    def student(self, scores: Any) -> None:
        self.set(student=with_scores(self.current, scores).student.tolist())

    @property
    def loss(self) -> str:
        """The name of the loss whose gradient the arrows show; can be set."""
        return self.state["loss"]

    @loss.setter
    def loss(self, name: str) -> None:
        self.set(loss=name)

    @property
    def current(self) -> LossState:
        """The scores and settings as they are now."""
        state = self.state
        start = PRESETS[state["preset"]].applied(self._questions[state["question"]])
        scores = start.student if state["student"] is None else np.array(state["student"], dtype=float)
        mask = start.mask if state["counted"] is None else np.array(state["counted"], dtype=bool)
        return replace(start, student=scores, mask=mask, **{name: state[name] for name in SETTINGS})

    def gradient(self, loss: str | None = None) -> np.ndarray:
        """The gradient of a loss (the present one unless named) with respect to the student's scores (k,)."""
        return self._at(loss).gradient[0]

    def step(self, n: int = 1) -> np.ndarray:
        """The student's scores (k,) after `n` steps of the present loss and optimiser; the sliders move there."""
        self.set(student=self._path(self.loss, n).scores[-1].tolist())
        return self.student

    def compare(self) -> pandas.DataFrame:
        """One row a passage: teacher, start (the present scores), and the scores after the steps under each loss."""
        import pandas

        now = self.current
        after = {loss: self._path(loss, now.steps).scores[-1] for loss in self.state["compared"]}
        columns = {"teacher": now.teacher, "start": now.student, **after}
        return pandas.DataFrame(columns, index=pandas.Index(now.labels, name="passage"))

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """Each passage's scores, and the present loss's gradient."""
        now, at = self.current, self._at()
        columns = (now.labels, now.teacher, now.student, at.gradient[0])
        rows = [[label, *(f"{one:.3g}" for one in numbers)] for label, *numbers in zip(*columns, strict=True)]
        return f"{now.loss} = {at.value:.3g}", ["passage", "teacher", "student", "gradient"], rows

    def _at(self, loss: str | None = None) -> Any:
        now = self.current
        return gradient(
            loss or now.loss, now.student[None], now.teacher[None], now.counted[None],
            temperature=now.temperature, teacher_temperature=now.teacher_temperature,
        )  # fmt: skip

    def _path(self, loss: str, steps: int) -> Descent:
        now = self.current
        return descend(
            loss, now.student, now.teacher, now.counted, steps=steps, learning_rate=now.learning_rate,
            optimiser=now.optimiser, temperature=now.temperature, teacher_temperature=now.teacher_temperature,
        )  # fmt: skip

    def _for_page(self) -> dict[str, Any]:
        questions = self._questions
        starts = {name: [preset.applied(one) for one in questions.values()] for name, preset in PRESETS.items()}
        parts = {
            name: {part: np.stack([getattr(one, part) for one in states]) for part in ("teacher", "student", "counted")}
            for name, states in starts.items()
        }
        return {
            "questions": list(questions), "labels": [one.labels for one in questions.values()], "starts": parts,
            "notes": {name: preset.note for name, preset in PRESETS.items()}, "losses": list(LOSSES),
        }  # fmt: skip

    def _checked_student(self, scores: Any) -> list[float] | None:
        if scores is None:
            return None
        first = next(iter(self._questions.values()))
        return with_scores(first, scores).student.tolist()

    def _checked_counted(self, counted: Any) -> list[bool] | None:
        size = len(next(iter(self._questions.values())).labels)
        if counted is not None and (len(counted) != size or any(one not in (True, False) for one in counted)):
            raise KitError("counted", f"{size} flags, or None", repr(counted))
        return None if counted is None else [bool(one) for one in counted]
