"""A loss at some scores, its gradient by autograd, and where an optimiser moves the scores alone.

Arrays in, arrays out, in float64; the losses do the arithmetic.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float

from kit.arguments import one_of
from kit.losses.distillation import LOSSES
from kit.types import KitError

OPTIMISERS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}
FARTHEST = 1e6  # a score beyond it has run away


@dataclass(frozen=True, eq=False)
class LossAt:
    """A loss and its gradient with respect to the student's scores; 0 where a passage does not count."""

    value: float
    gradient: Float[np.ndarray, "q k"]


@dataclass(frozen=True, eq=False)
class Descent:
    """The scores and the loss before the first step and after each: x is steps + 1."""

    scores: Float[np.ndarray, "x k"]
    losses: Float[np.ndarray, " x"]
    ran_away: bool  # the steps ended early: a score passed a million


def takes_temperature(loss: str) -> bool:
    """Whether a loss of `kit.LOSSES` divides the scores by temperatures (the others take them as they are).

    >>> takes_temperature("kl"), takes_temperature("margin_mse"), takes_temperature("lambda_rank")
    (True, False, False)
    """
    function = checked_loss(loss)
    plain = function.func if isinstance(function, partial) else function
    return "teacher_temperature" in inspect.signature(plain).parameters


def checked_loss(loss: str) -> Callable[..., torch.Tensor]:
    """The function of a loss's name."""
    one_of("loss", loss, LOSSES)
    return LOSSES[loss]


def gradient(
    loss: str,
    student: Float[np.ndarray, "q k"],
    teacher: Float[np.ndarray, "q k"],
    mask: Bool[np.ndarray, "q k"] | None = None,
    *,
    temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> LossAt:
    """The loss, a mean over questions, and its gradient (q, k) with respect to the student's scores.

    A loss that takes no temperature leaves both aside. What the mask leaves out, and what the teacher did not score
    (NaN), may hold anything and has gradient 0.

    >>> gradient("mse", np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]])).gradient.tolist()  # 2 (s - t) / 2 cells
    [[0.0, -2.0]]
    """
    scores = torch.tensor(np.asarray(student, dtype=float), requires_grad=True)  # (q, k)
    value = _value(loss, scores, teacher, mask, temperature, teacher_temperature)
    (slope,) = torch.autograd.grad(value, scores)
    return LossAt(value.item(), slope.numpy() + 0.0)  # no minus zero


def descend(
    loss: str,
    student: Float[np.ndarray, " k"],
    teacher: Float[np.ndarray, " k"],
    mask: Bool[np.ndarray, " k"] | None = None,
    *,
    steps: int,
    learning_rate: float,
    optimiser: str = "SGD",
    temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Descent:
    """What `steps` steps of SGD or Adam on one question's scores alone do: scores (steps + 1, k) and losses.

    A retriever cannot move each score freely; this is what the loss asks for, not what a student can do.

    >>> descend("mse", np.zeros(2), np.array([2.0, 0.0]), steps=2, learning_rate=0.5).scores[:, 0].tolist()
    [0.0, 1.0, 1.5]
    """
    one_of("optimiser", optimiser, OPTIMISERS)
    if not (isinstance(steps, int) and steps >= 0):
        raise KitError("steps", "a whole number of at least 0", repr(steps))
    if not 0 < learning_rate < np.inf:
        raise KitError("learning_rate", "a finite number above 0", learning_rate)
    scores = torch.tensor(np.asarray(student, dtype=float)[None], requires_grad=True)  # (1, k)
    teacher, mask = np.asarray(teacher, dtype=float)[None], None if mask is None else np.asarray(mask)[None]
    engine = OPTIMISERS[optimiser]([scores], lr=learning_rate)
    rows, losses, ran_away = [scores.detach().numpy()[0].copy()], [], False
    finite = np.isfinite(rows[0])
    for _ in range(steps):
        value = _value(loss, scores, teacher, mask, temperature, teacher_temperature)
        engine.zero_grad()
        value.backward()
        engine.step()
        losses.append(value.item())
        rows.append(scores.detach().numpy()[0].copy())
        ran_away = not (np.abs(rows[-1][finite]) <= FARTHEST).all()
        if ran_away:
            break
    losses.append(_value(loss, scores, teacher, mask, temperature, teacher_temperature).item())
    return Descent(np.array(rows), np.array(losses), ran_away)


def _value(
    loss: str,
    student: torch.Tensor,
    teacher: np.ndarray,
    mask: np.ndarray | None,
    temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    both = {"temperature": temperature, "teacher_temperature": teacher_temperature}
    options = both if takes_temperature(loss) else {}
    counted = None if mask is None else torch.tensor(np.asarray(mask, dtype=bool))
    return checked_loss(loss)(student, torch.tensor(np.asarray(teacher, dtype=float)), counted, **options)
