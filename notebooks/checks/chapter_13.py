"""Checkers of notebook 13: whether a loss or a teacher of one's own does what the kit asks of it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from checks.compare import Mistake, call, checker
from kit.types import ScoreTable

STUDENT = torch.tensor([[1.0, 0.2, -0.5, 7.0], [0.3, 0.9, 0.1, 0.4]])
TEACHER = torch.tensor([[2.0, -1.0, 0.5, -9.0], [0.0, 0.5, 3.0, 1.0]])
MASK = torch.tensor([[True, True, True, False], [True, True, True, True]])


@checker
def check_own_loss(loss):
    """A verdict on `loss(student (q, k), teacher (q, k), mask) -> scalar`: what `kit.distil` needs of any loss."""
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    value = call(loss, student, teacher, mask=MASK, copied=False)
    _check_value(value)
    value.backward()
    gradient, value = student.grad, float(value.detach())
    if gradient is None or not gradient.abs().sum() > 0:
        raise Mistake("The student gets no gradient: do not use argmax, .item(), .detach() or numpy on its scores.")
    if teacher.grad is not None and teacher.grad.abs().sum() > 0:
        raise Mistake("The teacher gets a gradient: it is a constant, use teacher.detach().")
    if gradient[~MASK].abs().sum() > 0:
        raise Mistake("A masked cell gets a gradient: padding must not be trained on.")
    other = float(loss(STUDENT.masked_fill(~MASK, -50.0), TEACHER.masked_fill(~MASK, 80.0), mask=MASK))
    if abs(other - value) > 1e-5:
        raise Mistake("The value changes with what stands in a masked cell: leave those cells out.")
    padded = float(loss(pad(STUDENT, (0, 3)), pad(TEACHER, (0, 3)), mask=pad(MASK, (0, 3))))
    if abs(padded - value) > 1e-5:
        raise Mistake("More padding changes the value: you divided by all cells, divide by the real ones.")
    if float(loss(STUDENT - 1e-3 * gradient, TEACHER, mask=MASK)) >= value:
        raise Mistake("A small step against the gradient does not lower the value: is a part not differentiable?")
    towards = normalize((TEACHER - TEACHER.mean(1, keepdim=True)) * MASK, dim=1)
    if float((gradient * towards).sum()) > 0:
        raise Mistake("A step of the loss takes the student away from the teacher: is a sign wrong?")
    return "One number, masked cells out, the teacher constant, and downhill is towards the teacher."


def _check_value(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise Mistake(f"A tensor was expected, this is {type(value).__name__}: keep the computation in torch.")
    if value.numel() != 1:
        raise Mistake(f"One number was expected, this has shape {tuple(value.shape)}: take the mean over questions.")
    if not torch.isfinite(value):
        raise Mistake(
            f"The value is {value.item()}: a masked cell of -inf times 0 is NaN; use masked_fill with a finite number."
        )
    if not value.requires_grad:
        raise Mistake("The value has no gradient: the student's scores must go through torch functions only.")


@checker
def check_own_teacher(teacher, questions, corpus, table):
    """A verdict on a teacher: `teacher.score(questions, corpus, table)` gives a table with a score for every cell."""
    if not hasattr(teacher, "score"):
        raise Mistake("A teacher has a method score(questions, corpus, table).")
    scores = call(teacher.score, questions, corpus, table)
    if not isinstance(scores, ScoreTable):
        raise Mistake(f"A ScoreTable was expected, this is {type(scores).__name__}.")
    spreads = []
    for question in questions:
        if question.id not in scores.rows:
            raise Mistake(f"Question {question.id!r} has no row.")
        if set(scores.passages_of(question.id)) != set(table.passages_of(question.id)):
            raise Mistake(f"Question {question.id!r} has other passages than the table that came in.")
        row = scores.row_of(question.id)
        values = scores.values[row][scores.passage_ids[row] != ""]
        if np.isnan(values).any():
            raise Mistake(f"Question {question.id!r} has a passage without a score (NaN).")
        spreads.append(np.ptp(values))
    if not max(spreads) > 0:
        raise Mistake("Every passage of a question has the same score: nothing can be learned from that.")
    return f"A score for every passage; in {np.mean(np.array(spreads) > 0):.0%} of the questions they differ."
