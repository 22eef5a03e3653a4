"""Checker of notebook 00: how often the highest score belongs to a gold passage."""

from collections.abc import Mapping

import numpy as np

from checks.compare import checker, compare_calls
from kit.types import ScoreTable

# The highest score is gold in q1 and q4 (second column), not in q2; q3 has no gold passage; q4 has an unscored one.
TABLE = ScoreTable(
    "scores",
    ["q1", "q2", "q3", "q4"],
    [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"], ["j", "k", "l"]],
    [[1.0, 3.0, 2.0], [5.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, float("nan")]],
)
GOLD = {"q1": {"b"}, "q2": {"f"}, "q3": {"z"}, "q4": {"k"}}


@checker
def check_gold_on_top(gold_on_top):
    """A verdict on `gold_on_top(table, gold)`: of the questions with a gold passage, the share with one on top."""
    compare_calls(gold_on_top, _gold_on_top, {"Two of the three questions with gold have it on top.": (TABLE, GOLD)}, {
        "You divided by all questions: leave out those whose row has no gold passage (q3 here).": {"every": True},
        "You took the first passage of the row: rows are not sorted by these values, find the highest one.":
            {"place": lambda values: 0},
        "You counted questions whose row holds a gold passage somewhere: is it the one with the highest value?":
            {"anywhere": True},
        "An unscored passage is NaN, and argmax takes NaN for the highest: use np.nanargmax.": {"place": np.argmax},
        "You gave a count: divide it by the number of questions that have a gold passage.": {"mean": np.sum},
    })  # fmt: skip
    return "It counts only questions with a gold passage, and a hit where the highest score is gold."


def _gold_on_top(
    table: ScoreTable, gold: Mapping[str, set[str]], every=False, place=np.nanargmax, anywhere=False, mean=np.mean
) -> float:
    hits = []
    for name, ids, values in zip(table.question_ids, table.passage_ids, table.values, strict=True):
        there = bool(gold[name] & set(ids))
        if there or every:
            hits.append(there if anywhere else ids[place(values)] in gold[name])
    return float(mean(hits))
