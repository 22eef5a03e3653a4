"""Checkers of notebook 13: whether a loss or a teacher of one's own does what the kit asks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.types import Passage, Question, ScoreTable

STUDENT = [[1.0, 0.2, -0.5, 7.0], [0.3, 0.9, 0.1, 0.4]]
TEACHER = [[2.0, -1.0, 0.5, -9.0], [0.0, 0.5, 3.0, 1.0]]
MASK = [[True, True, True, False], [True, True, True, True]]


def check_own_loss(loss: Callable[..., Any]) -> Verdict:
    """A verdict on `loss(student (q, k), teacher (q, k), mask) -> scalar`: what `kit.distil` needs of any loss."""
    student = torch.tensor(STUDENT, requires_grad=True)
    teacher, mask = torch.tensor(TEACHER, requires_grad=True), torch.tensor(MASK)
    value = answer_of(loss, student, teacher, mask=mask)
    if isinstance(value, Verdict):
        return value
    shape = _wrong_value(value)
    if shape:
        return not_yet(shape)
    value.backward()
    gradient = student.grad
    if gradient is None or not gradient.abs().sum() > 0:
        return not_yet("The student gets no gradient: do not use argmax, .item(), .detach() or numpy on its scores.")
    if teacher.grad is not None and teacher.grad.abs().sum() > 0:
        return not_yet("The teacher gets a gradient: it is a constant, use teacher.detach().")
    if gradient[~mask].abs().sum() > 0:
        return not_yet("A masked cell gets a gradient: padding must not be trained on.")
    return _masked_and_downhill(loss, value, gradient)


def _wrong_value(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"A tensor was wanted, this is {type(value).__name__}: keep the computation in torch."
    if value.numel() != 1:
        return f"One number was wanted, this has the shape {tuple(value.shape)}: take the mean over questions."
    if not torch.isfinite(value):
        return (
            f"The value is {value.item()}: a masked cell of -inf times 0 is NaN; use masked_fill with a finite number."
        )
    if not value.requires_grad:
        return "The value has no gradient: the student's scores must go through torch functions only."
    return ""


def _masked_and_downhill(loss: Callable[..., Any], value: Tensor, gradient: Tensor) -> Verdict:
    student, teacher, mask = torch.tensor(STUDENT), torch.tensor(TEACHER), torch.tensor(MASK)
    other = loss(student.masked_fill(~mask, -50.0), teacher.masked_fill(~mask, 80.0), mask=mask)
    if abs(float(other) - float(value.detach())) > 1e-5:
        return not_yet("The value changes with what stands in a masked cell: leave those cells out.")
    wider = [torch.cat([part, torch.zeros(2, 3, dtype=part.dtype)], dim=1) for part in (student, teacher, mask)]
    padded = float(loss(wider[0], wider[1], mask=wider[2]))
    if abs(padded - float(value.detach())) > 1e-5:
        return not_yet("More padding changes the value: you divided by all cells, divide by the real ones.")
    stepped = student - 1e-3 * gradient
    if float(loss(stepped, teacher, mask=mask)) >= float(value.detach()):
        return not_yet(
            "A small step against the gradient does not lower the value: is a part of it not differentiable?"
        )
    wanted = torch.nn.functional.normalize((teacher - teacher.mean(1, keepdim=True)) * mask, dim=1)
    if float((gradient * wanted).sum()) > 0:
        return not_yet("A step of the loss takes the student away from the teacher: is a sign turned round?")
    return passed("One number, masked cells out, the teacher constant, and downhill is towards the teacher.")


def check_own_teacher(
    teacher: Any, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable
) -> Verdict:
    """A verdict on a teacher: `teacher.score(questions, corpus, table)` gives a table with a score for every cell."""
    if not hasattr(teacher, "score"):
        return not_yet("A teacher has a method score(questions, corpus, table).")
    given = answer_of(teacher.score, questions, corpus, table)
    if isinstance(given, Verdict):
        return given
    if not isinstance(given, ScoreTable):
        return not_yet(f"A ScoreTable was wanted, this is {type(given).__name__}.")
    missing = [question.id for question in questions if question.id not in given.rows]
    if missing:
        return not_yet(f"Question {missing[0]!r} has no row.")
    for question in questions:
        scored = dict(zip(*_row(given, question.id), strict=True))
        if set(scored) != set(table.passages_of(question.id)):
            return not_yet(f"Question {question.id!r} has other passages than the table that was given.")
        values = np.array(list(scored.values()))
        if np.isnan(values).any():
            return not_yet(f"Question {question.id!r} has a passage without a score (NaN).")
    spread = [np.ptp(_row(given, question.id)[1]) for question in questions]
    if not max(spread) > 0:
        return not_yet("Every passage of a question has the same score: nothing can be learned from that.")
    return passed(f"A score for every passage; in {np.mean(np.array(spread) > 0):.0%} of the questions they differ.")


def _row(table: ScoreTable, question_id: str) -> tuple[list[str], np.ndarray]:
    row = table.row_of(question_id)
    real = table.mask[row]
    return table.passage_ids[row][real].tolist(), table.values[row][real]
