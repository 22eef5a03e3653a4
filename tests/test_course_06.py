"""The checkers of notebook 06: the right answer passes, each likely mistake is named."""

from __future__ import annotations

import pytest
import torch
from checks.chapter_06 import check_kl_gradient, check_margin_mse, check_temperature, effective_passages

from kit.losses import margin_mse


def pairs_of(mask):
    return mask[:, :, None] & mask[:, None, :]


def differences(x):
    return x[:, :, None] - x[:, None, :]


def squares(student, teacher, mask):
    return ((differences(student) - differences(teacher)) ** 2).masked_fill(~pairs_of(mask), 0.0)


def right_margin(student, teacher, mask):
    total, count = 0.0, 0
    for s, t, m in zip(student, teacher, mask, strict=True):
        s, t, n = s[m], t[m], int(m.sum())
        cells = [((s[i] - s[j]) - (t[i] - t[j])) ** 2 for i in range(n) for j in range(n) if i != j]
        total, count = total + (sum(cells) / len(cells) if cells else 0.0), count + 1
    return total / count


MARGIN_MISTAKES = {
    "padding too": lambda s, t, m: margin_mse(s, t),
    "all pairs, padding": lambda s, t, m: (squares(s, t, m).sum((1, 2)) / (s.shape[1] * (s.shape[1] - 1))).mean(),
    "with itself": lambda s, t, m: (squares(s, t, m).sum((1, 2)) / m.sum(1) ** 2).mean(),
    "k x k cells, padding": lambda s, t, m: squares(s, t, m).mean(),
    "all pairs of the batch": lambda s, t, m: squares(s, t, m).sum() / (m.sum(1) * (m.sum(1) - 1)).sum(),
    "summed over the pairs": lambda s, t, m: squares(s, t, m).sum((1, 2)).mean(),
    "summed over the questions": lambda s, t, m: (squares(s, t, m).sum((1, 2)) / (m.sum(1) * (m.sum(1) - 1))).sum(),
    "Two mistakes at once. You compared the padding too": lambda s, t, m: ((s - t) ** 2).mean(),
    "This is MSE, passage": lambda s, t, m: (s - t)[m].square().mean(),
    "have a sign": lambda s, t, m: (
        ((differences(s).abs() - differences(t).abs()) ** 2).masked_fill(~pairs_of(m), 0.0).sum((1, 2))
        / (m.sum(1) * (m.sum(1) - 1))
    ).mean(),
    "you halved one": lambda s, t, m: right_margin(s, t, m) / 2,
    "returned None": lambda s, t, m: None,
    "One number": lambda s, t, m: (s - t) ** 2,
    "was expected, not 12345": lambda s, t, m: torch.tensor(12345.0),
}


def test_margin_mse_passes():
    assert check_margin_mse(right_margin).passed
    assert check_margin_mse(lambda s, t, m: margin_mse(s, t, m)).passed


@pytest.mark.parametrize("words", MARGIN_MISTAKES)
def test_margin_mistakes_are_named(words):
    verdict = check_margin_mse(MARGIN_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def test_a_question_with_one_passage_must_be_zero():
    def divides(student, teacher, mask):
        count = mask.sum(1)
        return (squares(student, teacher, mask).sum((1, 2)) / (count * (count - 1))).mean()

    assert "one passage" in check_margin_mse(divides).message


def right_gradient(student, teacher, temperature):
    return ((student / temperature).softmax(1) - (teacher / temperature).softmax(1)) / (temperature * len(student))


GRADIENT_MISTAKES = {
    "sign": lambda s, t, tau: -right_gradient(s, t, tau),
    "by the number of questions": lambda s, t, tau: right_gradient(s, t, tau) * len(s),
    "by the temperature once more": lambda s, t, tau: right_gradient(s, t, tau) * tau,
    "Two mistakes at once. Divide by the number of questions": lambda s, t, tau: (
        (s / tau).softmax(1) - (t / tau).softmax(1)
    ),
    "dim=1": lambda s, t, tau: ((s / tau).softmax(0) - (t / tau).softmax(0)) / (tau * len(s)),
    "Two mistakes at once. Divide by the number of questions: the loss is a mean over": lambda s, t, tau: (
        s.softmax(1) - t.softmax(1)
    ),
    "The temperature is missing": lambda s, t, tau: (s.softmax(1) - t.softmax(1)) / len(s),
    "before the softmax, on both sides": lambda s, t, tau: (s.softmax(1) - t.softmax(1)) / len(s) / tau,
    "the shape of the scores": lambda s, t, tau: torch.zeros(2, 2),
    "was expected, not [[0.0": lambda s, t, tau: torch.zeros_like(s),
}


def test_kl_gradient_passes():
    assert check_kl_gradient(right_gradient).passed


@pytest.mark.parametrize("words", GRADIENT_MISTAKES)
def test_gradient_mistakes_are_named(words):
    verdict = check_kl_gradient(GRADIENT_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def solve(spread, scores, wanted):
    low, high = 1e-3, 1e3
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if spread(scores, middle) < wanted else (low, middle)
    return middle


def entropies(scores, temperature):
    logs = (scores / temperature).log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def test_temperature_passes():
    assert check_temperature(lambda scores, wanted: solve(effective_passages, scores, wanted)).passed


TEMPERATURE_MISTAKES = {
    "1 over": lambda scores, wanted: 1 / solve(effective_passages, scores, wanted),
    "exp of the mean entropy": lambda scores, wanted: solve(lambda s, t: entropies(s, t).mean().exp(), scores, wanted),
    "in bits": lambda scores, wanted: solve(lambda s, t: (entropies(s, t) / 0.693147).exp().mean(), scores, wanted),
    "spreads over": lambda scores, wanted: 1.0,
    "above 0": lambda scores, wanted: -2.0,
}


@pytest.mark.parametrize("words", TEMPERATURE_MISTAKES)
def test_temperature_mistakes_are_named(words):
    verdict = check_temperature(TEMPERATURE_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


@pytest.mark.parametrize(
    ("pad", "divide", "names"),
    [
        (True, lambda c, k: k * (k - 1), "You compared the padding too"),
        (True, lambda c, k: k * k, "You compared the padding too"),
        (True, lambda c, k: c * (c - 1), "You compared the padding too"),
        (False, lambda c, k: c**0, "You summed over the pairs"),
        (False, lambda c, k: 2 * c * (c - 1), "halved"),
    ],
)
def test_margin_mse_names_padding(pad, divide, names):
    def margin_mse(student, teacher, mask):
        error = (student - teacher) if pad else (student - teacher).masked_fill(~mask, 0.0)
        there = torch.ones_like(mask) if pad else mask
        squares = (error[:, :, None] - error[:, None, :]).square() * (there[:, :, None] & there[:, None, :])
        return (squares.sum((1, 2)) / (divide(mask.sum(1), mask.shape[1]) * torch.ones(len(mask)))).mean()

    assert names in check_margin_mse(margin_mse).message


def test_margin_mse_names_minus_infinity_times_zero():
    def margin_mse(student, teacher, mask):
        error = (student - teacher).masked_fill(~mask, float("-inf"))
        return ((error[:, :, None] - error[:, None, :]).square() * mask[:, :, None]).mean()

    assert "-inf times 0" in check_margin_mse(margin_mse).message
