"""Checkers of notebook 08: how much a round changes what is found, and what two rankers find together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.course.verdict import Verdict, not_yet, number_of, passed
from kit.types import ScoreTable

NAN = float("nan")
# The best two: q1 a, b against b, c (one in common); q2 e, d against d, e (both, in another order, not sorted).
BEFORE = ScoreTable(
    "round 1",
    ["q1", "q2"],
    [["a", "b", "c", "x", ""], ["d", "e", "f", "y", "z"]],
    [[9, 8, 7, 6, NAN], [2, 3, 1, 0, 0]],
)
AFTER = ScoreTable(
    "round 2",
    ["q1", "q2"],
    [["b", "c", "a", "u", ""], ["w", "d", "e", "g", "h"]],
    [[9, 8, 1, 0, NAN], [1, 7, 6, 5, 4]],
)


def check_overlap(overlap: Callable[..., Any]) -> Verdict:
    """A verdict on `overlap(before, after, k)`: the mean share of the best k passages that both tables have."""
    value = number_of(overlap, BEFORE, AFTER, 2)
    if isinstance(value, Verdict):
        return value
    mistakes = {
        1.5: "You added up passages in common: divide by k.",
        0.5: "You took the first k columns: tables need not be sorted, .top(k) gives the best k.",
        2 / 3: "You divided by all passages that either has (the union): divide by k.",
        0.3: "You divided by the width of the table: divide by k.",
        0.25: "You compared place by place: a passage counts wherever it stands among the best k.",
        0.0: "You compared place by place: a passage counts wherever it stands among the best k.",
        3.0: "You summed over questions: take the mean, and divide by k.",
    }
    if abs(value - 0.75) < 1e-6:
        return passed("It counts each question's common passages among the best k, whatever their order.")
    for wrong, why in mistakes.items():
        if abs(value - wrong) < 1e-6:
            return not_yet(why)
    return not_yet(f"For k = 2, 0.75 was wanted (1 of 2 and 2 of 2 in common), you gave {value:g}.")


def check_union_recall(union_recall: Callable[..., Any]) -> Verdict:
    """A verdict on `union_recall(first, second, k)`: questions that one of two rankers answers by rank k / 2.

    `first` and `second` are ranks (q,) of each question's first passage with an answer, inf where there is none.
    """
    first = np.array([1.0, 6.0, 3.0, np.inf, 2.0, np.inf, 4.0, np.inf])
    second = np.array([9.0, 2.0, 4.0, np.inf, 1.0, 5.0, 3.0, 2.0])
    value = number_of(union_recall, first, second, 4)
    if isinstance(value, Verdict):
        return value
    mistakes = {
        6 / 8: "You gave each ranker k places: together they would show 2k passages. Half of k is each one's share.",
        1 / 8: "You asked for both to have it: one of the two is enough.",
        2 / 8: "You looked at the first ranker alone.",
        3 / 8: "You looked at the second ranker alone, or wrote < where <= is wanted.",
        4.0: "You counted questions: take the share.",
    }
    if abs(value - 4 / 8) < 1e-6:
        return passed("The same k passages in all, half from each ranker.")
    for wrong, why in mistakes.items():
        if abs(value - wrong) < 1e-6:
            return not_yet(why)
    return not_yet(f"For k = 4, 0.5 was wanted (4 of 8 questions have a rank of at most 2), you gave {value:g}.")
