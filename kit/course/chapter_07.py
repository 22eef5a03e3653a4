"""Checkers of notebook 07: a step's loss, what a question shows in a step, the gain at k. Each names the mistake."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kit.course.verdict import Verdict, answer_of, not_yet, number_of, passed
from kit.losses import kl

StepLoss = Callable[[Float[Tensor, "q d"], Float[Tensor, "q k d"], Float[Tensor, "q k"], Bool[Tensor, "q k"]], Tensor]
_BEFORE = [1, 5, 3, np.inf, 20, 2, np.inf, 8, 1, 30, 5, 7, 1]
_AFTER = [1, 1, 5, 4, np.inf, 1, 9, 5, 2, 1, 3, 5, 1]
RANKS = (np.array(_BEFORE, dtype=float), np.array(_AFTER, dtype=float))


def check_step_loss(my_loss: StepLoss) -> Verdict:
    """Whether `my_loss(questions, passages, teacher, mask)` is FiD-KD's: KL of q.p / sqrt(d) to a fixed teacher."""
    draw = torch.Generator().manual_seed(7)
    questions, passages = torch.randn(3, 9, generator=draw), torch.randn(3, 4, 9, generator=draw)
    teacher = 2 * torch.randn(3, 4, generator=draw)
    mask = torch.tensor([[True] * 4, [True, True, True, False], [True, True, False, False]])
    asked, taught = questions.clone().requires_grad_(), teacher.clone().requires_grad_()
    mine = answer_of(my_loss, asked, passages, taught, mask)
    if isinstance(mine, Verdict):
        return mine
    if not isinstance(mine, Tensor) or mine.ndim != 0:
        return not_yet("One number was wanted: a tensor without dimensions, the mean over the questions.")
    dots = torch.einsum("qd,qkd->qk", questions, passages)  # (q, k)
    scores = dots / 3
    wanted = kl(scores, teacher, mask)
    if not torch.allclose(mine, wanted, rtol=1e-4):
        return _named(float(mine.detach()), float(wanted), {
            "The scores are q.p / sqrt(d): you left out the division by sqrt(d).": kl(dots, teacher, mask),
            "You divided by d: FiD-KD's scores are q.p / sqrt(d).": kl(dots / 9, teacher, mask),
            "The padding took part: set masked cells to -inf before the softmax, on both sides.": kl(scores, teacher),
            "KL has its sides exchanged: sum over p of log p - log r, with p the teacher's.": kl(teacher, scores, mask),
            "You divided by the number of passages once more (reduction='mean').": wanted / 4,
            "You summed over the questions: take the mean.": wanted * 3,
        })  # fmt: skip
    if not mine.requires_grad:
        return not_yet("The number is right, but nothing can be learned from it: do not detach the student's scores.")
    mine.backward()
    if asked.grad is None or not asked.grad.isfinite().all():
        return not_yet("The number is right, but the gradient is not finite: 0 x log 0 at masked cells.")
    if taught.grad is not None and bool((taught.grad != 0).any()):
        return not_yet("The teacher got a gradient: detach its scores, or it would learn to agree with the student.")
    return passed("with an optimiser around it this is FiD-KD's retriever training.")


def check_shown(my_shown: Callable[[Sequence[tuple[str, float]], int, random.Random], Sequence[str]]) -> Verdict:
    """Whether `my_shown(cells, count, rng)` gives the teacher's best passage and others drawn, each scored and once."""
    cells = [("a", 1.0), ("b", float("nan")), ("c", 5.0), ("d", 4.0), ("e", -2.0), ("f", float("nan")), ("g", 3.0)]
    real, drawn = {name for name, value in cells if value == value}, []
    for seed in range(40):
        mine = answer_of(my_shown, list(cells), 3, random.Random(seed))
        if isinstance(mine, Verdict):
            return mine
        names = [name[0] if isinstance(name, tuple) else name for name in mine]
        if set(names) & {"b", "f"}:
            return not_yet("b or f was shown, whose score is NaN: the teacher did not score it. (NaN != NaN.)")
        if len(set(names)) < len(names):
            return not_yet(f"{names}: a passage came twice. Draw without replacement, from all but the best.")
        if len(names) != 3 or not set(names) <= real:
            return not_yet(f"3 of the passages were wanted, given {names}.")
        if "c" not in names:
            return not_yet(f"{names}: c, which the teacher likes best, is missing. Keep it, and draw the others.")
        drawn.append(frozenset(names))
    if len(set(drawn)) == 1:
        return not_yet(f"Always {sorted(drawn[0])}: draw the others with `rng`, or the student never sees the rest.")
    if set().union(*drawn) != real:
        return not_yet(f"{sorted(real - set().union(*drawn))} never came in 40 draws: every scored passage may.")
    short = answer_of(my_shown, cells[:3], 5, random.Random(0))
    if isinstance(short, Verdict) or len(short) != 2:
        return not_yet("With fewer scored passages than `count`, show them all.")
    return passed("the student meets the best passage each time, and all others sooner or later.")


def check_gain(my_gain: Callable[[np.ndarray, np.ndarray, int], float]) -> Verdict:
    """Whether `my_gain(before, after, k)` is recall at k after less recall at k before; ranks may be inf."""
    before, after = RANKS
    for k in (1, 5, 20):
        mine = number_of(my_gain, before.copy(), after.copy(), k)
        if isinstance(mine, Verdict):
            return mine
        wanted = float((after <= k).mean() - (before <= k).mean())
        if abs(mine - wanted) > 1e-9:
            first, last = float((before <= k).mean()), float((after <= k).mean())
            return _named(mine, wanted, {
                "Rank k counts: a passage at rank 5 is found at k = 5 (use <=).":
                    float((after < k).mean() - (before < k).mean()),
                "The sign is turned: after less before.": -wanted,
                "Times 100: shares were wanted, 0 to 1.": 100 * wanted,
                "This is the relative gain: the papers' tables are of differences.": last / max(first, 1e-9) - 1,
                "This is the ratio: the papers' tables are of differences.": last / max(first, 1e-9),
                "You counted the questions that were won, without those that were lost.":
                    float(((after <= k) & (before > k)).mean()),
                "This is a count of questions: take the share.": wanted * len(before),
            })  # fmt: skip
    return passed("a gain counts what was won less what was lost.")


def _named(mine: float, wanted: float, mistakes: Mapping[str, float | Tensor]) -> Verdict:
    for message, value in mistakes.items():
        if abs(mine - float(value)) <= 1e-4 * max(1.0, abs(float(value))) and abs(float(value) - wanted) > 1e-6:
            return not_yet(message)
    return not_yet(f"On the checker's numbers it is {wanted:.4f}, yours is {mine:.4f}.")
