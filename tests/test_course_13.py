"""The checkers of notebook 13 take losses and teachers that work, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch
from checks.chapter_13 import check_own_loss, check_own_teacher

from kit.losses import LOSSES
from kit.types import Passage, Question, ScoreTable

CORPUS = {"a": Passage("a", "A", "one"), "b": Passage("b", "B", "one two")}
QUESTIONS = [Question("q", "one?"), Question("r", "two?")]
TABLE = ScoreTable("bm25", ["q", "r"], [["a", "b"], ["b", ""]], [[2, 1], [1, float("nan")]])


def squares(student, teacher, mask):
    difference = (student - teacher.detach()).masked_fill(~mask, 0.0)
    return (difference**2).sum() / mask.sum()


@pytest.mark.parametrize("name", LOSSES)
def test_the_kits_losses_pass(name):
    assert check_own_loss(LOSSES[name]).passed


def test_squares_pass():
    assert check_own_loss(squares).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda s, t, mask: ((s - t.detach()) ** 2).mean(), "masked cell gets a gradient"),
        (lambda s, t, mask: ((s - t) ** 2).masked_fill(~mask, 0.0).sum() / mask.sum(), "The teacher gets a gradient"),
        (lambda s, t, mask: ((s - t.detach()) ** 2).masked_fill(~mask, 0.0).mean(), "divided by all cells"),
        (lambda s, t, mask: -squares(s, t, mask), "is a sign wrong"),
        (lambda s, t, mask: ((s - t.detach()) ** 2).masked_fill(~mask, 0.0).sum(1), "One number was expected"),
        (lambda s, t, mask: squares(s, t, mask).item(), "keep the computation in torch"),
        (lambda s, t, mask: squares(s.detach(), t, mask), "has no gradient"),
        (lambda s, t, mask: squares(s, t, mask) + t.max().detach() * 0 + s.detach().min(), "what stands in a masked"),
        (lambda s, t, mask: (s.masked_fill(~mask, float("-inf")) * 0).sum(), "-inf times 0"),
        (lambda s, t, mask: (s * 0).sum(), "gets no gradient"),
        (lambda s, t, mask: None, "returned None"),
    ],
)
def test_a_wrong_loss_is_named(wrong, named):
    verdict = check_own_loss(wrong)
    assert not verdict.passed and named in verdict.message


class Length:
    """The longer passage is the better one."""

    name = "length"

    def score(self, questions, corpus, table):
        rows = {q.id: [(i, float(len(corpus[i].text))) for i in table.passages_of(q.id)] for q in questions}
        return ScoreTable.from_rows(self.name, rows)


def test_a_teacher_passes():
    verdict = check_own_teacher(Length(), QUESTIONS, CORPUS, TABLE)
    assert verdict.passed and "50%" in verdict.message


def altered(change):
    class Altered(Length):
        def score(self, questions, corpus, table):
            return change(super().score(questions, corpus, table))

    return Altered()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (altered(lambda table: table.select(["q"])), "'r' has no row"),
        (altered(lambda table: table.top(1)), "other passages"),
        (altered(lambda table: ScoreTable("x", table.question_ids, table.passage_ids, table.values * 0)), "same score"),
        (altered(lambda table: [1, 2]), "A ScoreTable was expected"),
        (
            altered(lambda t: ScoreTable("x", t.question_ids, t.passage_ids, t.values * float("nan"))),
            "without a score",
        ),
        (lambda question: 1, "has a method score"),
    ],
)
def test_a_wrong_teacher_is_named(wrong, named):
    verdict = check_own_teacher(wrong, QUESTIONS, CORPUS, TABLE)
    assert not verdict.passed and named in verdict.message


def test_torch_keeps_its_random_state():
    before = torch.get_rng_state()
    check_own_loss(squares)
    assert torch.equal(before, torch.get_rng_state())
