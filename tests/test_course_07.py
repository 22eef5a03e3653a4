"""The checkers of notebook 07: the right answer passes, each likely mistake is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks.chapter_07 import check_draw, check_gain, check_step_loss

from kit.losses import kl


def scores(questions, passages):
    return torch.einsum("qd,qkd->qk", questions, passages) / questions.shape[1] ** 0.5


def by_hand(questions, passages, teacher, mask):
    student = scores(questions, passages).masked_fill(~mask, -torch.inf)
    p = teacher.detach().masked_fill(~mask, -torch.inf).softmax(1)
    log_r = student.log_softmax(1).masked_fill(~mask, 0.0)
    return (p * (p.clamp(min=1e-30).log() - log_r)).masked_fill(~mask, 0.0).sum(1).mean()


STEP_MISTAKES = {
    "left out the division": lambda q, p, t, m: kl(torch.einsum("qd,qkd->qk", q, p), t, m),
    "You divided by d": lambda q, p, t, m: kl(torch.einsum("qd,qkd->qk", q, p) / q.shape[1], t, m),
    "padding took part": lambda q, p, t, m: kl(scores(q, p), t),
    "sides exchanged": lambda q, p, t, m: kl(t, scores(q, p), m),
    "once more": lambda q, p, t, m: kl(scores(q, p), t, m) / t.shape[1],
    "take the mean": lambda q, p, t, m: kl(scores(q, p), t, m) * len(q),
    "do not detach": lambda q, p, t, m: kl(scores(q, p), t, m).detach(),
    "The teacher got a gradient": lambda q, p, t, m: kl(scores(q, p), t, m) + (t - t.detach()).sum() * 0.5,
    "One number": lambda q, p, t, m: scores(q, p),
    "returned None": lambda q, p, t, m: None,
}


def test_step_loss_passes():
    assert check_step_loss(by_hand).passed
    assert check_step_loss(lambda q, p, t, m: kl(scores(q, p), t, m)).passed


@pytest.mark.parametrize("words", STEP_MISTAKES)
def test_step_mistakes_are_named(words):
    verdict = check_step_loss(STEP_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def draw(cells, count, rng):
    known = sorted((cell for cell in cells if cell[1] == cell[1]), key=lambda cell: -cell[1])
    return [known[0][0], *rng.sample([name for name, _ in known[1:]], min(count - 1, len(known) - 1))]


def best_first(cells):
    return [name for name, _ in sorted((cell for cell in cells if cell[1] == cell[1]), key=lambda cell: -cell[1])]


DRAW_MISTAKES = {
    "NaN": lambda cells, count, rng: ["c", *rng.sample([name for name, _ in cells if name != "c"], count - 1)],
    "twice": lambda cells, count, rng: ["c", *rng.choices(best_first(cells)[1:], k=count - 1)],
    "Always": lambda cells, count, rng: best_first(cells)[:count],
    "likes best": lambda cells, count, rng: rng.sample(best_first(cells), min(count, len(best_first(cells)))),
    "never came": lambda cells, count, rng: ["c", *rng.sample(["d", "g", "a"], count - 1)],
    "3 of the passages": lambda cells, count, rng: best_first(cells)[: count - 1],
}


def test_draw_passes():
    assert check_draw(draw).passed


def test_few_passages_are_all_drawn():
    def strict(cells, count, rng):
        return draw(cells, count, rng) if len(best_first(cells)) >= count else []

    assert "draw them all" in check_draw(strict).message


@pytest.mark.parametrize("words", DRAW_MISTAKES)
def test_draw_mistakes_are_named(words):
    verdict = check_draw(DRAW_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


GAIN_MISTAKES = {
    "use <=": lambda before, after, k: (after < k).mean() - (before < k).mean(),
    "sign": lambda before, after, k: (before <= k).mean() - (after <= k).mean(),
    "Times 100": lambda before, after, k: 100 * ((after <= k).mean() - (before <= k).mean()),
    "relative": lambda before, after, k: (after <= k).mean() / (before <= k).mean() - 1,
    "ratio": lambda before, after, k: (after <= k).mean() / (before <= k).mean(),
    "won": lambda before, after, k: ((after <= k) & (before > k)).mean(),
    "share": lambda before, after, k: float((after <= k).sum()) - float((before <= k).sum()),
    "was expected, not 3.14": lambda before, after, k: np.pi,
}


def test_gain_passes():
    assert check_gain(lambda before, after, k: (after <= k).mean() - (before <= k).mean()).passed


@pytest.mark.parametrize("words", GAIN_MISTAKES)
def test_gain_mistakes_are_named(words):
    verdict = check_gain(GAIN_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def test_minus_infinity_times_zero_is_named():
    def loss(questions, passages, teacher, mask):
        student = torch.einsum("qd,qkd->qk", questions, passages) / 3
        log_r, log_p = (x.masked_fill(~mask, -torch.inf).log_softmax(1) for x in (student, teacher))
        return (log_p.exp() * (log_p - log_r)).sum(1).mean()

    assert "-inf times 0 is NaN" in check_step_loss(loss).message
