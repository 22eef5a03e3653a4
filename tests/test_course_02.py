"""The checkers of notebook 02 pass the right answer and name what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from checks.chapter_02 import check_fusion, check_mrr, check_paired_p


def fused(rankings, c, *, first=1, keep=sum):
    terms: dict[str, list[float]] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=first):
            terms.setdefault(name, []).append(1 / (c + rank))
    return {name: keep(values) for name, values in terms.items()}


def in_both(rankings, c):
    shared = set.intersection(*map(set, rankings))
    return {name: value for name, value in fused(rankings, c).items() if name in shared}


def test_fusion_passes_the_right_one():
    assert check_fusion(fused).passed


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda rankings, c: fused(rankings, c, first=0), "ranks from 0"),
        (in_both, "only one retriever has"),
        (lambda rankings, c: {}, "TODO"),
        (lambda rankings, c: fused(rankings, c, keep=max), "the terms are summed"),
        (lambda rankings, c: fused(rankings, c, keep=np.mean), "mean of the terms"),
        (lambda rankings, c: fused(rankings, 60), "c is an argument"),
        (lambda rankings, c: list(fused(rankings, c)), "A dict"),
        (lambda rankings, c: dict.fromkeys("abcd", 1.0), "1/61 + 1/62"),
    ],
)
def test_fusion_names_the_mistake(wrong, names):
    verdict = check_fusion(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def right_mrr(ranks, depth):
    return float(np.where(ranks <= depth, 1 / ranks, 0.0).mean())


def test_mrr_passes_the_right_one():
    assert check_mrr(right_mrr).passed


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda ranks, depth: (1 / ranks).mean(), "beyond 3"),
        (lambda ranks, depth: (1 / ranks[ranks <= depth]).mean(), "count, with 0"),
        (lambda ranks, depth: 1 / ranks[ranks <= depth].mean(), "1 over the mean rank"),
        (lambda ranks, depth: 1 / ranks.mean(), "when a question is lost"),
        (lambda ranks, depth: np.where(ranks < depth + (depth == 3), 1 / ranks, 0.0).mean(), "depth itself counts"),
        (lambda ranks, depth: 7.0, "was expected"),
    ],
)
def test_mrr_names_the_mistake(wrong, names):
    verdict = check_mrr(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def right_p(a, b, samples, rng, *, size=abs, more=1):
    differences = b - a
    signs = rng.choice([-1, 1], (samples, len(a)))
    large = (size(signs @ differences) >= size(differences.sum()) - 1e-12).sum()
    return (more + large) / (more + samples)


def drawn_anew(a, b, samples, rng):
    differences = b - a
    sums = differences[rng.integers(len(a), size=(samples, len(a)))].sum(1)
    return (abs(sums) >= abs(differences.sum())).mean()


def all_mixed(a, b, samples, rng):
    both = np.concatenate([a, b])
    mixed = np.array([rng.permutation(both) for _ in range(samples)])
    sums = mixed[:, len(a) :].sum(1) - mixed[:, : len(a)].sum(1)
    return (abs(sums) >= abs((b - a).sum())).mean()


def test_paired_p_passes_the_right_one():
    assert check_paired_p(right_p).passed


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda *given: right_p(*given, size=lambda x: x), "one direction"),
        (lambda *given: 1 - right_p(*given), "at least as large"),
        (lambda *given: right_p(*given, more=0), "1 + as large"),
        (drawn_anew, "a bootstrap"),
        (all_mixed, "different questions"),
        (lambda a, b, samples, rng: 0.3, "change places"),
        (lambda a, b, samples, rng: 1.0, "TODO"),
    ],
)
def test_paired_p_names_the_mistake(wrong, names):
    verdict = check_paired_p(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message
