"""Checkers of notebook 05, attention and relevance: RIDER's order, and a score with length taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kit.course.verdict import Verdict, answer_of, not_yet, passed

TEXTS = ("The start of it.", "Modern Art, and more.", "Nothing here.", "An art of its own.", "A party.")
RIGHT = [1, 3, 0, 2, 4]  # those with the word "art" first, each part in the old order


def check_rider(rider: Callable[[Sequence[str], str], Sequence[int]]) -> Verdict:
    """Whether `rider(texts, prediction)` gives the places of the passages, those that hold the prediction first.

    Each part keeps its order; a text holds a prediction where `kit.metrics.has_answer` says so; an empty prediction
    changes nothing.

    >>> check_rider(lambda texts, prediction: range(len(texts)))
    Not yet: You changed nothing: passages 1 and 3 hold the prediction.
    """
    given = answer_of(rider, list(TEXTS), "art")
    if isinstance(given, Verdict):
        return given
    try:
        order = [int(place) for place in given]
    except (TypeError, ValueError):
        return not_yet("Return the places of the passages, as whole numbers in their new order.")
    if sorted(order) != list(range(len(TEXTS))):
        return not_yet(f"Each of the {len(TEXTS)} passages must have one place in the new order; yours is {order}.")
    if order != RIGHT:
        return not_yet(_rider_mistake(order))
    unchanged = answer_of(rider, list(TEXTS), "")
    if isinstance(unchanged, Verdict):
        return not_yet(f"With an empty prediction: {unchanged.message}")
    if list(unchanged) != list(range(len(TEXTS))):
        return not_yet("An empty prediction stands in no passage: it must leave the order as it was.")
    return passed("Passages with the prediction move up, and otherwise the retriever's order stays.")


def _rider_mistake(order: list[int]) -> str:
    slips = {
        "'art' is not in 'start' or 'party': compare whole words (kit.metrics.has_answer).": [
            [0, 1, 3, 4, 2],
            [0, 3, 4, 1, 2],
        ],
        "You compared upper and lower case: 'Art' is 'art' (kit.metrics.has_answer).": [[3, 0, 1, 2, 4]],
        "The passages with the prediction should come first; yours come last.": [[0, 2, 4, 1, 3], [0, 2, 4, 3, 1]],
        "You turned the order within a part round: a stable sort keeps it.": [[3, 1, 4, 2, 0], [3, 1, 0, 2, 4]],
        "You changed nothing: passages 1 and 3 hold the prediction.": [list(range(len(TEXTS)))],
    }
    for message, orders in slips.items():
        if order in orders:
            return message
    return f"For texts of which 1 and 3 hold the prediction the order is {RIGHT}; yours is {order}."


def check_length_free(length_free: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Verdict:
    """Whether `length_free(scores (q, k), lengths (q, k))` gives scores - slope * centred lengths.

    Both are centred within each question; one slope for all, by least squares over the centred cells.

    >>> check_length_free(lambda scores, lengths: scores)
    Not yet: You changed nothing within the questions.
    """
    lengths = np.array([[10.0, 20.0, 30.0], [50.0, 60.0, 70.0], [50.0, 80.0, 110.0]])
    rest = np.array([[1.0, -2.0, 1.0], [-1.0, 2.0, -1.0], [0.5, -1.0, 0.5]])  # has no slope in any question
    offsets = np.array([[100.0], [20.0], [-40.0]])  # questions differ: a slope over all cells is another one
    slopes = np.array([[0.2], [0.2], [0.5]])
    scores = offsets + slopes * (lengths - lengths.mean(1, keepdims=True)) + rest
    result = answer_of(length_free, scores.copy(), lengths.copy())
    if isinstance(result, Verdict):
        return result
    result = np.asarray(result, dtype=float)
    if result.shape != scores.shape:
        return not_yet(f"A score for each cell, {scores.shape}, is wanted; yours is {result.shape}.")
    centred, moved = lengths - lengths.mean(1, keepdims=True), scores - scores.mean(1, keepdims=True)
    slope = (centred * moved).sum() / (centred**2).sum()
    own = (centred * moved).sum(1, keepdims=True) / (centred**2).sum(1, keepdims=True)
    pooled = np.polyfit(lengths.ravel(), scores.ravel(), 1)[0]
    around = result - result.mean(1, keepdims=True)  # a constant for each question does not matter
    if np.allclose(around, moved - slope * centred):
        return passed("One slope, measured within questions: what is left does not grow with length.")
    slips = {
        "You changed nothing within the questions.": moved,
        "The sign is turned round: subtract slope * length.": moved + slope * centred,
        "Your slope is over all cells: questions differ in level, so centre both within each question first.": moved
        - pooled * centred,
        "You took a slope for each question: three passages cannot tell it; one slope for all.": moved - own * centred,
        "You divided by the length: that is another correction; subtract slope * length.": (
            scores / lengths - (scores / lengths).mean(1, keepdims=True)
        ),
    }
    for message, slip in slips.items():
        if np.allclose(around, slip):
            return not_yet(message)
    return not_yet(f"The slope is {slope:.4f} here; your scores still lean on length, or lean the other way.")
