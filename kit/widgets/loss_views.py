"""What the losses make of a bench: gradients, steps, each loss's numbers, and presets that show something.

Pure: a bench in, arrays and rows of numbers out. The pictures of them are kit.widgets.loss_pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from kit.losses import LOSSES
from kit.types import KitError
from kit.widgets.loss_bench import LossBench
from kit.widgets.loss_gradients import Descent, LossAt, descend, loss_at

COMPARED = ("kl", "listnet", "mse", "margin_mse", "max_margin", "ranknet")
VIEWS = ("scores", "scores minus their mean", "shares")


@dataclass(frozen=True)
class Preset:
    """A start that shows something: a bench made from a bench, and what to look at."""

    note: str
    made: Callable[[LossBench], LossBench]


def gradient(bench: LossBench, loss: str | None = None) -> LossAt:
    """The loss at the present scores and its gradient (1, k); the bench's own loss unless named."""
    return loss_at(
        loss or bench.loss, bench.student[None], bench.teacher[None], bench.counted[None],
        temperature=bench.temperature, teacher_temperature=bench.teacher_temperature,
    )  # fmt: skip


def path(bench: LossBench, loss: str | None = None, steps: int | None = None) -> Descent:
    """The bench's optimiser on the student's scores alone, from where they are."""
    return descend(
        loss or bench.loss, bench.student, bench.teacher, bench.counted, steps=bench.steps if steps is None else steps,
        rate=bench.rate, optimiser=bench.optimiser, temperature=bench.temperature,
        teacher_temperature=bench.teacher_temperature,
    )  # fmt: skip


def paths(bench: LossBench, losses: Sequence[str]) -> dict[str, Descent]:
    """The path under each loss, from the same start."""
    return {loss: path(bench, loss) for loss in losses}


def seen_as(
    view: str, scores: Float[np.ndarray, "x k"], counted: Bool[np.ndarray, " k"], temperature: float = 1.0
) -> Float[np.ndarray, "x k"]:
    """Rows of scores as one of `VIEWS`: as they are, minus their mean, or as shares; NaN where they do not count.

    >>> seen_as("scores minus their mean", np.array([[3.0, 1.0, 9.0]]), np.array([True, True, False])).tolist()
    [[1.0, -1.0, nan]]
    """
    if view not in VIEWS:
        raise KitError("view", f"one of {', '.join(VIEWS)}", repr(view))
    kept = np.where(counted, scores, np.nan)
    if view == "scores" or not counted.any():
        return kept
    if view == "shares":
        weights = np.exp((kept - np.nanmax(kept, axis=1, keepdims=True)) / temperature)
        return weights / np.nansum(weights, axis=1, keepdims=True)
    finite = np.where(np.isfinite(kept), kept, np.nan)
    return kept - np.nanmean(finite, axis=1, keepdims=True)


def wrong_pairs(scores: Float[np.ndarray, " k"], teacher: Float[np.ndarray, " k"], counted: np.ndarray) -> int:
    """How many pairs of counted passages the scores put in another order than the teacher (its ties are no pairs).

    >>> wrong_pairs(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 2.0]), np.array([True, True, True]))
    2
    """
    mine, theirs = scores[counted], teacher[counted]
    return int(((theirs[:, None] > theirs[None]) & (mine[:, None] <= mine[None])).sum())


def loss_rows(bench: LossBench, after: dict[str, Descent]) -> list[dict[str, float | str]]:
    """One row a loss of `kit.LOSSES`: its value, its gradient's length, and where it has a path what that ends in."""
    rows = []
    for loss in LOSSES:
        at = gradient(bench, loss)
        row = {"loss": loss, "value": at.value, "gradient": float(np.linalg.norm(at.gradient))}
        end = {"after": float("nan"), "wrong_pairs": float("nan")}
        if loss in after:
            end["after"] = float(after[loss].losses[-1])
            end["wrong_pairs"] = wrong_pairs(after[loss].scores[-1], bench.teacher, bench.counted)
        rows.append({**row, **end})
    return rows


def _shifted(bench: LossBench) -> LossBench:
    return replace(bench, student=_finite(bench.teacher) + 3.0)


def _scaled(bench: LossBench) -> LossBench:
    return replace(bench, student=_finite(bench.teacher) * 2.0)


def _even(bench: LossBench) -> LossBench:
    return replace(bench, student=np.zeros(len(bench.labels)))


def _reversed(bench: LossBench) -> LossBench:
    teacher = _finite(bench.teacher)
    order = np.argsort(teacher, kind="stable")
    student = np.empty_like(teacher)
    student[order] = teacher[order[::-1]]
    return replace(bench, student=student)


def _one_hot(bench: LossBench) -> LossBench:
    teacher = np.where(np.isnan(bench.teacher), np.nan, 0.0)
    teacher[int(np.argmax(np.where(bench.mask, _finite(bench.teacher), -np.inf)))] = 10.0
    return replace(bench, teacher=teacher, student=np.zeros(len(bench.labels)))


def _padded(bench: LossBench) -> LossBench:
    mask, student = bench.mask.copy(), bench.student.copy()
    last = int(np.flatnonzero(bench.counted)[-1])
    mask[last], student[last] = False, _finite(bench.teacher).max() + 3.0
    return replace(bench, mask=mask, student=student)


PRESETS: dict[str, Preset] = {
    "as given": Preset("The scores as they were given. Move a slider: the arrows are where a step would go.", replace),
    "student = teacher + 3": Preset(
        "margin_mse and kl are 0: they do not see a constant. mse is 9 and pulls every score down. ranknet and "
        "max_margin see only the order.", _shifted),
    "student = teacher × 2": Preset(
        "The order is the teacher's, the margins are twice its own: mse, margin_mse and kl pull the scores together, "
        "ranknet, which sees only the order, pushes them further apart.", _scaled),
    "student all 0": Preset("A student that knows nothing: every share is the same.", _even),
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
