"""Checker of notebook 00: how often the highest score belongs to a gold passage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.course.verdict import Verdict, not_yet, number_of, passed
from kit.types import ScoreTable

# The highest score is gold in q1 and q4 (second column), not in q2; q3 has no gold passage; q4 has an unscored one.
TABLE = ScoreTable(
    "scores",
    ["q1", "q2", "q3", "q4"],
    [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"], ["j", "k", "l"]],
    [[1.0, 3.0, 2.0], [5.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, float("nan")]],
)
GOLD = {"q1": {"b"}, "q2": {"f"}, "q3": {"z"}, "q4": {"k"}}


def check_gold_on_top(gold_on_top: Callable[..., Any]) -> Verdict:
    """A verdict on `gold_on_top(table, gold)`: of the questions with a gold passage, the share with one on top."""
    share = number_of(gold_on_top, TABLE, GOLD)
    if isinstance(share, Verdict):
        return share
    mistakes = {
        1 / 2: "You divided by all questions: leave out those whose row holds no gold passage (q3 here).",
        0.0: "You took the first passage of the row: rows are not sorted by these values, find the highest one.",
        1.0: "You counted questions whose row holds a gold passage somewhere: is it the one with the highest value?",
        1 / 3: "An unscored passage is NaN, and argmax takes NaN for the highest: use np.nanargmax.",
    }
    if abs(share - 2 / 3) < 1e-6:
        return passed("It counts the questions that can be won, and wins where the highest score is gold.")
    if share > 1:
        return not_yet(f"{share:g} is a count: divide it by the number of questions that have a gold passage.")
    for wrong, why in mistakes.items():
        if abs(share - wrong) < 1e-6:
            return not_yet(why)
    return not_yet(f"On four questions 2/3 was wanted, you gave {share:g}: two of three that have gold have it on top.")
