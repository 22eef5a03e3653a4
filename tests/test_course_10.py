"""The checkers of notebook 10: the right answer passes, each likely mistake is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks.chapter_10 import check_in_batch, check_leave_one_out, check_mean

from kit.losses import in_batch_nll
from kit.teachers import Ensemble, FromTable, Standardised
from kit.types import Question, ScoreTable


def others(passages, name):
    return [other for other in passages if other != name]


LOOP_MISTAKES = {
    "passage alone: leave": lambda loss_of, passages: [loss_of([p]) for p in passages],
    "sign": lambda loss_of, passages: [-loss_of(others(passages, p)) for p in passages],
    "PDist": lambda loss_of, passages: [-loss_of([p]) for p in passages],
    "same order": lambda loss_of, passages: [loss_of(others(passages, p)) - loss_of(passages) for p in passages],
    "you read": lambda loss_of, passages: [loss_of(others(passages, p)) for _ in range(2) for p in passages][:4],
    "for each of": lambda loss_of, passages: loss_of(passages),
    "returned None": lambda loss_of, passages: None,
}


def test_leave_one_out_passes():
    assert check_leave_one_out(lambda loss_of, passages: [loss_of(others(passages, p)) for p in passages]).passed


@pytest.mark.parametrize("words", LOOP_MISTAKES)
def test_leave_one_out_mistakes_are_named(words):
    verdict = check_leave_one_out(LOOP_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def right_nll(questions, positives, negatives):
    scores = questions @ torch.cat([positives, negatives.flatten(0, 1)]).T
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(questions)))


def own_only(questions, positives, negatives):
    scores = torch.einsum("qd,qkd->qk", questions, torch.cat([positives[:, None], negatives], 1))
    return -scores.log_softmax(1)[:, 0].mean()


IN_BATCH_MISTAKES = {
    "own passages alone": own_only,
    "hard negatives are missing": lambda q, p, n: in_batch_nll(q, p, torch.arange(len(q))),
    "dim=1": lambda q, p, n: -(q @ p.T).log_softmax(0).diagonal().mean(),
    "You summed": lambda q, p, n: right_nll(q, p, n) * len(q),
    "sqrt(d)": lambda q, p, n: right_nll(q / q.shape[1] ** 0.5, p, n),
    "sign": lambda q, p, n: -right_nll(q, p, n),
    "normalised": lambda q, p, n: right_nll(*(torch.nn.functional.normalize(x, dim=-1) for x in (q, p, n))),
    "One number": lambda q, p, n: q @ p.T,
    "was expected, not 99": lambda q, p, n: torch.tensor(99.0),
}


def test_in_batch_passes():
    assert check_in_batch(right_nll).passed


@pytest.mark.parametrize("words", IN_BATCH_MISTAKES)
def test_in_batch_mistakes_are_named(words):
    verdict = check_in_batch(IN_BATCH_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message


def standard(table, axis=1, ddof=0):
    centred = table - np.nanmean(table, axis=axis, keepdims=True)
    return centred / np.nanstd(table, axis=axis, keepdims=True, ddof=ddof)


MEAN_MISTAKES = {
    "stays NaN": lambda tables: np.nanmean([standard(t) for t in tables], axis=0),
    "decides alone": lambda tables: np.mean(tables, axis=0),
    "Two mistakes at once. A cell": lambda tables: np.nanmean(tables, axis=0),
    "for each question (axis=1": lambda tables: np.mean([standard(t, axis=None) for t in tables], axis=0),
    "only shifted": lambda tables: np.mean([t - np.nanmean(t, axis=1, keepdims=True) for t in tables], axis=0),
    "ddof=1": lambda tables: np.mean([standard(t, ddof=1) for t in tables], axis=0),
    "You summed": lambda tables: np.sum([standard(t) for t in tables], axis=0),
    "NaN made": lambda tables: np.mean([(t - t.mean(1, keepdims=True)) / t.std(1, keepdims=True) for t in tables], 0),
    "A table": lambda tables: np.zeros(3),
}


def test_mean_passes_and_is_the_kits():
    assert check_mean(lambda tables: np.mean([standard(t) for t in tables], axis=0)).passed

    def with_the_kit(tables):
        ids = [["a", "b", "c", "d"]] * 2
        told = [ScoreTable(f"t{number}", ["1", "2"], ids, table) for number, table in enumerate(tables)]
        teacher = Ensemble([Standardised(FromTable(table)) for table in told])
        return teacher.score([Question("1", "?"), Question("2", "?")], {}, told[1]).values

    assert check_mean(with_the_kit).passed


@pytest.mark.parametrize("words", MEAN_MISTAKES)
def test_mean_mistakes_are_named(words):
    verdict = check_mean(MEAN_MISTAKES[words])
    assert not verdict.passed
    assert words in verdict.message
