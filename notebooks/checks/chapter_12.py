"""Checkers of notebook 12: whether an answer is in what was read, and which passage it depends on."""

import numpy as np

from checks.compare import Mistake, call, checker, compare, number
from kit.types import Passage

READ = [
    Passage("1", "Rome", "The capital lies on a river."),
    Passage("2", "Nile", "It starts near the lake and is named by NASA."),
    Passage("3", "France", "Its capital is Paris, on the Seine."),
]


@checker
def check_grounded(grounded):
    """A verdict on `grounded(answer, passages)`: whether the answer occurs, as whole words, in a text that was read."""
    cases = [
        ("Paris", True, "An answer in the third passage was overlooked: look at all passages."),
        ("paris", True, "'paris' was overlooked: case does not count."),
        ("art", False, "'art' was taken from inside 'starts': compare whole words (kit.metrics.has_answer does)."),
        ("Rome", False, "'Rome' was taken from a title: the answer must be stated in the text."),
        ("Berlin", False, "'Berlin' is in none of the texts: that answer was invented, not read."),
    ]
    for answer, stands, why in cases:
        if bool(call(grounded, answer, READ)) != stands:
            raise Mistake(why)
    return "Whole words, any case, any passage read, texts only."


@checker
def check_decisive(decisive):
    """A verdict on `decisive(effects)`: the place of the passage without which the answer becomes least likely.

    `effects[i]`: log-likelihood of the answer with all passages, less that without passage i; NaN if not measured.
    """
    compare(number(call(decisive, np.array([0.1, 2.5, -3.0, 0.4]))), 1, {
        "You took the most negative effect, or the largest absolute one: that passage hurts the answer.": 2,
        "You took the passage closest to 0: its absence changes nothing.": 0,
        "You took the last passage.": 3,
        "This is the effect: the position of its passage is expected.": 2.5,
    }, "The position of one passage.")  # fmt: skip
    if number(call(decisive, np.array([np.nan, -0.2, 0.3, 0.0]))) != 2:
        raise Mistake("With a NaN among the effects the highest of the others was expected: use np.nanargmax.")
    return "The passage whose removal costs the answer most."
