"""Checkers of notebook 07: a step's loss, the passages that a question shows in a step, the gain at k."""

import random

import numpy as np
import torch
from torch import Tensor

from checks.compare import Mistake, call, checker, compare_calls, number

INFINITE = "The number is right, but the gradient is not finite: at masked cells -inf times 0 is NaN."
RANKS = (
    np.array([1, 5, 3, np.inf, 20, 2, np.inf, 8, 1, 30, 5, 7, 1], dtype=float),
    np.array([1, 1, 5, 4, np.inf, 1, 9, 5, 2, 1, 3, 5, 1], dtype=float),
)


@checker
def check_step_loss(step_loss):
    """A verdict on `step_loss(questions, passages, teacher, mask)`: KL of q.p / sqrt(d) to a fixed teacher."""
    draw = torch.Generator().manual_seed(7)
    questions, passages = torch.randn(3, 9, generator=draw), torch.randn(3, 4, 9, generator=draw)
    teacher = 2 * torch.randn(3, 4, generator=draw)
    mask = torch.tensor([[True] * 4, [True, True, True, False], [True, True, False, False]])
    student_input, teacher_input = questions.clone().requires_grad_(), teacher.clone().requires_grad_()
    value = call(step_loss, student_input, passages, teacher_input, mask, copied=False)
    if not isinstance(value, Tensor) or value.ndim != 0:
        raise Mistake("One number was expected: a tensor without dimensions, the mean over the questions.")
    if value.isnan():
        raise Mistake("The loss is NaN: at masked cells -inf times 0 is NaN. Put 0 there after log_softmax.")
    slips = {
        "The scores are q.p / sqrt(d): you left out the division by sqrt(d).": {"root": 1.0},
        "You divided by d: FiD-KD's scores are q.p / sqrt(d).": {"root": 9.0},
        "The padding took part: set masked cells to -inf before the softmax, on both sides.": {"masked": False},
        "You masked cells after the softmax: set them to -inf before it, or padding takes a part of the probability.":
            {"late": True},
        "KL has its sides exchanged: sum over p of log p - log r, with p the teacher's.": {"exchanged": True},
        "The softmax goes over a question's passages (dim=1), not over the questions.": {"dim": 0},
        "You divided by the number of passages once more (reduction='mean').": {"factor": 1 / 4},
        "You summed over the questions: take the mean.": {"factor": 3.0},
        "The sign is wrong: log p - log r, weighted by p.": {"factor": -1.0},
        "This is the cross-entropy: subtract the teacher's entropy, which no student can change, to get KL.":
            {"entropy": False},
    }  # fmt: skip
    compare_calls(lambda *_: float(value.detach()), _step_loss, {"": (questions, passages, teacher, mask)}, slips)
    if not value.requires_grad:
        raise Mistake("The number is right, but nothing can be learned from it: do not detach the student's scores.")
    value.backward()
    if student_input.grad is None or not student_input.grad.isfinite().all():
        raise Mistake(INFINITE)
    if teacher_input.grad is not None and bool((teacher_input.grad != 0).any()):
        raise Mistake("The teacher got a gradient: detach its scores, or it would learn to agree with the student.")
    return "with an optimiser around it this is FiD-KD's retriever training."


def _step_loss(
    questions: Tensor, passages: Tensor, teacher: Tensor, mask: Tensor, root=3.0, masked=True, late=False,
    exchanged=False, dim=1, factor=1.0, entropy=True,
) -> float:  # fmt: skip
    student = torch.einsum("qd,qkd->qk", questions, passages) / root  # (q, k)
    sides = (student, teacher) if exchanged else (teacher, student)
    blank = ~mask if masked and not late else torch.zeros_like(mask)
    p, r = (side.masked_fill(blank, -1e9).log_softmax(dim) for side in sides)
    terms = p.exp() * (p - r if entropy else -r) * (mask if masked else 1)
    return float(terms.sum(1).mean() * factor)


@checker
def check_draw(draw):
    """A verdict on `draw(cells, count, rng)`: the teacher's best passage and others drawn, each scored and once."""
    cells = [("a", 1.0), ("b", float("nan")), ("c", 5.0), ("d", 4.0), ("e", -2.0), ("f", float("nan")), ("g", 3.0)]
    real, drawn = {name for name, value in cells if value == value}, []
    for seed in range(40):
        names = [name[0] if isinstance(name, tuple) else name for name in call(draw, cells, 3, random.Random(seed))]
        if set(names) & {"b", "f"}:
            raise Mistake("b or f was drawn, whose score is NaN: the teacher did not score it. (NaN != NaN.)")
        if len(set(names)) < len(names):
            raise Mistake(f"{names}: a passage came twice. Draw without replacement, from all but the best.")
        if len(names) != 3 or not set(names) <= real:
            raise Mistake(f"3 of the passages were expected, not {names}.")
        if "c" not in names:
            raise Mistake(f"{names}: c, which the teacher likes best, is missing. Keep it, and draw the others.")
        drawn.append(frozenset(names))
    if len(set(drawn)) == 1:
        raise Mistake(f"Always {sorted(drawn[0])}: draw the others with `rng`, or the student never sees the rest.")
    if missing := real - set().union(*drawn):
        raise Mistake(f"{sorted(missing)} never came in 40 draws: every scored passage may.")
    try:
        few = call(draw, cells[:3], 5, random.Random(0))
    except Mistake:
        few = ()
    if len(few) != 2:
        raise Mistake("With fewer scored passages than `count`, draw them all.")
    return "the student meets the best passage each time, and all others sooner or later."


@checker
def check_gain(gain):
    """A verdict on `gain(before, after, k)`: recall at k after less recall at k before; ranks may be inf."""
    cases = {f"This is at k = {k}.": (*RANKS, k) for k in (1, 5, 20)}
    compare_calls(lambda *case: number(call(gain, *case)), _gain, cases, {
        "Rank k counts: a passage at rank 5 is among the first 5 (use <=).": {"early": True},
        "The sign is wrong: after minus before.": {"factor": -1},
        "Times 100: shares were expected, 0 to 1.": {"factor": 100},
        "This is a count of questions: take the share.": {"factor": len(RANKS[0])},
        "This is the relative gain: the papers' tables are of differences.": {"form": lambda a, b: b / a - 1},
        "This is the ratio: the papers' tables are of differences.": {"form": lambda a, b: b / a},
        "You counted the questions that were won, without those that were lost.": {"won": True},
    })  # fmt: skip
    return "a gain counts what was won less what was lost."


def _gain(
    before: np.ndarray, after: np.ndarray, k: int, early=False, factor=1, form=lambda a, b: b - a, won=False
) -> float:
    first, last = ((ranks < k if early else ranks <= k) for ranks in (before, after))
    return float((last & ~first).mean() if won else form(max(first.mean(), 1e-9), last.mean())) * factor
