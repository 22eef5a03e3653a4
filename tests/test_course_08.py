"""The checkers of notebook 08 take the right answers and name what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from checks.chapter_08 import check_overlap, check_union_recall


def best(table, k):
    return [{name for name in row if name} for row in table.top(k).passage_ids.tolist()]


def columns(table, k):
    return [set(row[:k]) for row in table.passage_ids.tolist()]


def shared(of, share):
    return lambda before, after, k: np.mean([share(a, b, k) for a, b in zip(of(before, k), of(after, k), strict=True)])


def test_the_right_overlap_passes():
    assert check_overlap(shared(best, lambda a, b, k: len(a & b) / k)).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (shared(columns, lambda a, b, k: len(a & b) / k), "first k columns"),
        (shared(best, lambda a, b, k: len(a & b) / len(a | b)), "the union"),
        (shared(best, lambda a, b, k: len(a & b)), "divide by k"),
        (shared(best, lambda a, b, k: len(a & b) / 5), "width of the table"),
        (lambda before, after, k: np.mean(before.top(k).passage_ids == after.top(k).passage_ids), "place by place"),
        (lambda before, after, k: 2 * shared(best, lambda a, b, k: len(a & b))(before, after, k), "take the mean"),
        (lambda before, after, k: 0.9, "0.75 was expected"),
        (lambda before, after, k: "much", "One number was expected"),
        (lambda before, after, k: None, "returned None"),
    ],
)
def test_a_wrong_overlap_is_named(wrong, named):
    verdict = check_overlap(wrong)
    assert not verdict.passed and named in verdict.message


def test_the_right_union_passes():
    assert check_union_recall(lambda first, second, k: np.mean(np.minimum(first, second) <= k / 2)).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda first, second, k: np.mean(np.minimum(first, second) <= k), "2k passages"),
        (lambda first, second, k: np.mean(np.maximum(first, second) <= k / 2), "one of the two is enough"),
        (lambda first, second, k: np.mean(first <= k / 2), "first ranker alone"),
        (lambda first, second, k: np.mean(second <= k / 2), "second ranker alone"),
        (lambda first, second, k: np.sum(np.minimum(first, second) <= k / 2), "take the share"),
        (lambda first, second, k: 0.9, "0.5 was expected"),
        (lambda first, second, k: [], "One number was expected"),
    ],
)
def test_a_wrong_union_is_named(wrong, named):
    verdict = check_union_recall(wrong)
    assert not verdict.passed and named in verdict.message
