"""Checkers of notebook 12: whether an answer stands in what was read, and which passages an answer hangs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.types import Passage

READ = [
    Passage("1", "Rome", "The capital lies on a river."),
    Passage("2", "Nile", "It starts near the lake and is named by NASA."),
    Passage("3", "France", "Its capital is Paris, on the Seine."),
]


def check_grounded(grounded: Callable[..., Any]) -> Verdict:
    """A verdict on `grounded(answer, passages)`: whether the answer stands, as whole words, in a text that was read."""
    cases = [
        ("Paris", True, "An answer in the third passage was not found: look at all passages."),
        ("paris", True, "'paris' was not found: case does not count."),
        ("art", False, "'art' was found inside 'starts': compare whole words (kit.metrics.has_answer does)."),
        ("Rome", False, "'Rome' was found in a title: the answer must be stated in the text."),
        ("Berlin", False, "'Berlin' is in none of the texts: that answer was made up, not read."),
    ]
    for answer, wanted, why in cases:
        given = answer_of(grounded, answer, READ)
        if isinstance(given, Verdict):
            return given
        if bool(given) != wanted:
            return not_yet(why)
    return passed("Whole words, any case, any passage read, texts only.")


def check_decisive(decisive: Callable[..., Any]) -> Verdict:
    """A verdict on `decisive(effects)`: the number of the passage without which the answer becomes least likely.

    `effects[i]`: log-likelihood of the answer with all passages, less that without passage i; NaN where not measured.
    """
    first, second = np.array([0.1, 2.5, -3.0, 0.4]), np.array([np.nan, -0.2, 0.3, 0.0])
    given = answer_of(decisive, first)
    if isinstance(given, Verdict):
        return given
    mistakes = {
        2: "You took the most negative effect, or the largest absolute one: that passage speaks against the answer.",
        0: "You took the passage closest to 0: its absence changes nothing.",
        3: "You took the last passage.",
    }
    if given != 1:
        return not_yet(mistakes.get(given, f"The number of one passage was wanted (1 here), you gave {given!r:.40}."))
    given = answer_of(decisive, second)
    if given != 2:
        return not_yet("With a NaN among the effects the highest of the others was wanted: use np.nanargmax.")
    return passed("The passage whose absence costs the answer most.")
