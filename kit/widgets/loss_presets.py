"""Starts of the loss lab that show something: scores made from a question's own. Pure: states in, states out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kit.widgets.loss_state import LossState


@dataclass(frozen=True)
class Preset:
    """A start: a state made from a state, and what to look at."""

    note: str
    applied: Callable[[LossState], LossState]


def _shifted(state: LossState) -> LossState:
    return replace(state, student=_finite(state.teacher) + 3.0)


def _scaled(state: LossState) -> LossState:
    return replace(state, student=_finite(state.teacher) * 2.0)


def _even(state: LossState) -> LossState:
    return replace(state, student=np.zeros(len(state.labels)))


def _reversed(state: LossState) -> LossState:
    teacher = _finite(state.teacher)
    order = np.argsort(teacher, kind="stable")
    student = np.empty_like(teacher)
    student[order] = teacher[order[::-1]]
    return replace(state, student=student)


def _one_hot(state: LossState) -> LossState:
    teacher = np.where(np.isnan(state.teacher), np.nan, 0.0)
    teacher[int(np.argmax(np.where(state.mask, _finite(state.teacher), -np.inf)))] = 10.0
    return replace(state, teacher=teacher, student=np.zeros(len(state.labels)))


def _padded(state: LossState) -> LossState:
    mask, student = state.mask.copy(), state.student.copy()
    last = int(np.flatnonzero(state.counted)[-1])
    mask[last], student[last] = False, _finite(state.teacher).max() + 3.0
    return replace(state, mask=mask, student=student)


PRESETS: dict[str, Preset] = {
    "as given": Preset("The scores as they were given. Move a slider: the arrows are where a step would go.", replace),
    "student = teacher + 3": Preset(
        "margin_mse and kl are 0: they do not see a constant. mse is 9 and pulls every score down. ranknet and "
        "max_margin see only the order.", _shifted),
    "student = teacher × 2": Preset(
        "The order is the teacher's, the margins are twice its own: mse, margin_mse and kl pull the scores together, "
        "ranknet, which sees only the order, pushes them further apart.", _scaled),
    "student all 0": Preset("A student that knows nothing: all passages have the same probability.", _even),
    "order reversed": Preset("Every pair is in the wrong order. Which loss turns them round in the fewest steps?",
                             _reversed),
    "one-hot teacher": Preset(
        "The teacher gives 10 to one passage and 0 to the others: kl lifts that passage and lowers all others alike. "
        "Raise the teacher's temperature and its pull grows weaker.", _one_hot),
    "padded passage": Preset(
        "The last passage does not count: its score is far off, its gradient is 0 under every loss, and it stays "
        "where it is.", _padded),
}  # fmt: skip


def _finite(teacher: np.ndarray) -> np.ndarray:
    """The teacher's scores with its lowest finite one in place of NaN and -inf."""
    return np.where(np.isfinite(teacher), teacher, teacher[np.isfinite(teacher)].min())
