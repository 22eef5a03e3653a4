"""Checkers of notebook 08: how much a round changes the retrieved passages, and what two rankers have together."""

import numpy as np

from checks.compare import call, checker, compare_calls, number
from kit.types import ScoreTable

NAN = float("nan")
# The best two: q1 a, b against b, c (one in common); q2 e, d against d, e (both, in another order, not sorted).
ROWS = [["a", "b", "c", "x", ""], ["d", "e", "f", "y", "z"]], [["b", "c", "a", "u", ""], ["w", "d", "e", "g", "h"]]
BEFORE = ScoreTable("round 1", ["q1", "q2"], ROWS[0], [[9, 8, 7, 6, NAN], [2, 3, 1, 0, 0]])
AFTER = ScoreTable("round 2", ["q1", "q2"], ROWS[1], [[9, 8, 1, 0, NAN], [1, 7, 6, 5, 4]])


@checker
def check_overlap(overlap):
    """A verdict on `overlap(before, after, k)`: the mean share of the best k passages that both tables have."""
    cases = {"For k = 2: 1 of 2 and 2 of 2 in common.": (BEFORE, AFTER, 2)}
    by_place = "You compared place by place: a passage counts wherever it stands among the best k."
    compare_calls(lambda *case: number(call(overlap, *case)), _overlap, cases, {
        "You added up passages in common: divide by k.": {"divisor": lambda a, b: 1},
        "You took the first k columns: tables need not be sorted, .top(k) gives the best k.": {"ordered": False},
        "You divided by all passages that either has (the union): divide by k.":
            {"divisor": lambda a, b: len(set(a) | set(b))},
        "You divided by the width of the table: divide by k.": {"divisor": lambda a, b: 5},
        by_place: {"places": True},
        "You summed over questions: take the mean.": {"mean": np.sum},
    })  # fmt: skip
    return "It counts each question's common passages among the best k, whatever their order."


def _overlap(
    before: ScoreTable, after: ScoreTable, k: int, divisor=lambda a, b: len(a), ordered=True, places=False, mean=np.mean
) -> float:
    shares = []
    for name in before.question_ids.tolist():
        a, b = ((t.top(k) if ordered else t).passages_of(name)[:k] for t in (before, after))
        common = sum(x == y for x, y in zip(a, b, strict=True)) if places else len(set(a) & set(b))
        shares.append(common / divisor(a, b))
    return float(mean(shares))


@checker
def check_union_recall(union_recall):
    """A verdict on `union_recall(first, second, k)`: questions that one of two rankers answers by rank k / 2.

    `first` and `second` are ranks (q,) of each question's first passage with an answer, inf if there is none.
    """
    first = np.array([1.0, 6.0, 3.0, np.inf, 2.0, np.inf, 4.0, np.inf])
    second = np.array([9.0, 2.0, 4.0, np.inf, 1.0, 5.0, 3.0, 2.0])
    cases = {"For k = 4: 4 of 8 questions have a rank of at most 2.": (first, second, 4)}
    compare_calls(lambda *case: number(call(union_recall, *case)), _union_recall, cases, {
        "You gave each ranker k places: together they would show 2k passages. Half of k is each one's share.":
            {"share": 1},
        "Both must have it here: one of the two is enough.": {"joined": np.logical_and},
        "You looked at the first ranker alone.": {"joined": lambda a, b: a},
        "You looked at the second ranker alone.": {"joined": lambda a, b: b},
        "Rank k / 2 counts (use <=).": {"early": True},
        "You added the two shares: a question that both answer counts once.":
            {"joined": lambda a, b: a.astype(int) + b},
        "You counted questions: take the share.": {"mean": np.sum},
    })  # fmt: skip
    return "The same k passages in all, half from each ranker."


def _union_recall(
    first: np.ndarray, second: np.ndarray, k: int, share=2, joined=np.logical_or, early=False, mean=np.mean
) -> float:
    a, b = ((ranks < k / share if early else ranks <= k / share) for ranks in (first, second))
    return float(mean(joined(a, b)))
