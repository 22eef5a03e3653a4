"""One question's scores: what a teacher and a student say, which passages count, and a loss's settings.

Made from arrays or score tables, with what a user may get wrong checked here. Knows no widgets and no figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kit.losses.gradients import OPTIMISERS, checked_loss
from kit.types import KitError, ScoreTable

MOST = 12  # passages: one slider each


@dataclass(frozen=True, eq=False)
class LossState:
    """One question: scores (k,), which passages count, and the settings of loss and optimiser."""

    teacher: Float[np.ndarray, " k"]  # NaN: not scored, does not count
    student: Float[np.ndarray, " k"]
    mask: Bool[np.ndarray, " k"]
    labels: tuple[str, ...]
    loss: str = "kl"
    temperature: float = 1.0
    teacher_temperature: float = 1.0
    optimiser: str = "SGD"
    learning_rate: float = 1.0
    steps: int = 20

    def __post_init__(self) -> None:
        checked_loss(self.loss)
        for name in ("temperature", "teacher_temperature", "learning_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise KitError(name, "a finite number above 0", getattr(self, name))
        if self.optimiser not in OPTIMISERS:
            raise KitError("optimiser", f"one of {', '.join(OPTIMISERS)}", repr(self.optimiser))

    @property
    def counted(self) -> Bool[np.ndarray, " k"]:
        """Where there is a passage that both score."""
        return self.mask & ~np.isnan(self.teacher) & np.isfinite(self.student)


def loss_states(
    teacher: object, student: object = None, labels: Sequence[str] | Sequence[Sequence[str]] | None = None
) -> dict[str, LossState]:
    """One state a question, by the question's id (or "question 1" ...), from arrays (k,) or (q, k) or score tables.

    No student: all scores 0. A student's table is aligned to the teacher's; a passage that it does not score does not
    count. More than 12 passages are a `KitError`: `table.top(12)` keeps the highest.
    """
    table = teacher if isinstance(teacher, ScoreTable) else None
    if isinstance(student, ScoreTable):
        if table is None:
            raise KitError("LossLab: student", "an array, as the teacher is one", "a ScoreTable")
        student = student.aligned_to(table).values
    values = _grid("LossLab: teacher", table.values if table is not None else teacher)
    q, k = values.shape
    if not 2 <= k <= MOST:
        raise KitError("LossLab", f"2 to {MOST} passages (ScoreTable.top({MOST}) keeps the highest)", k)
    scores = np.zeros((q, k)) if student is None else _grid("LossLab: student", student)
    if scores.shape != values.shape:
        raise KitError("LossLab: student", f"the teacher's shape {values.shape}", scores.shape)
    names = table.question_ids.tolist() if table is not None else [f"question {n + 1}" for n in range(q)]
    mask = table.mask if table is not None else np.ones((q, k), dtype=bool)
    rows = _labels(labels, table, q, k)
    return {
        name: _state(name, values[n], scores[n], mask[n], rows[n]) for n, name in enumerate(names)
    }  # fmt: skip


def with_scores(state: LossState, student: object) -> LossState:
    """The state with other scores of the student, (k,) finite numbers."""
    scores = _grid("student", student)
    if scores.shape != (1, len(state.labels)) or not np.isfinite(scores).all():
        raise KitError("student", f"{len(state.labels)} finite scores", np.asarray(student).tolist())
    return replace(state, student=scores[0])


def _state(name: str, teacher: np.ndarray, student: np.ndarray, mask: np.ndarray, labels: Sequence[str]) -> LossState:
    if np.isposinf(teacher).any() or np.isinf(student).any():
        raise KitError(f"LossLab, {name}", "finite scores (a teacher's may be -inf or NaN)", "an infinite one")
    mask = mask & ~np.isnan(student)
    state = LossState(teacher, np.nan_to_num(student), mask, tuple(labels))
    if not (state.counted & np.isfinite(teacher)).any():
        raise KitError(f"LossLab, {name}", "a passage that teacher and student score", "none")
    return state


def _labels(labels: Any, table: ScoreTable | None, q: int, k: int) -> list[list[str]]:
    if labels is None:
        ids = table.passage_ids.tolist() if table is not None else [[""] * k] * q
        return [[i or (f"passage {n + 1}" if table is None else "(none)") for n, i in enumerate(row)] for row in ids]
    rows = [list(labels)] * q if all(isinstance(label, str) for label in labels) else [list(row) for row in labels]
    if len(rows) != q or any(len(row) != k for row in rows):
        raise KitError("LossLab: labels", f"{k} labels, or {q} rows of them", f"{len(rows)} x {len(rows[0])}")
    return [[str(label) for label in row] for row in rows]


def _grid(where: str, values: object) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        grid = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise KitError(where, "scores (k,) or (q, k)", repr(values)) from None
    grid = grid[None] if grid.ndim == 1 else grid
    if grid.ndim != 2 or not len(grid):
        raise KitError(where, "scores (k,) or (q, k)", grid.shape)
    return grid
