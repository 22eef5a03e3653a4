"""Checkers of notebook 05, attention and relevance: RIDER's order, and a score with length taken out."""

from collections.abc import Sequence

import numpy as np

from checks.compare import Mistake, call, checker, compare, compare_calls

TEXTS = ("The start of it.", "Modern Art, and more.", "Nothing here.", "An art of its own.", "A party.")
RIGHT = [1, 3, 0, 2, 4]  # those with the word "art" first, each part in the old order


@checker
def check_rider(rider):
    """A verdict on `rider(texts, prediction)`: the places of the passages, those that hold the prediction first.

    Each part keeps its order; a text holds a prediction if `kit.metrics.has_answer` says so; an empty prediction
    changes nothing.

    >>> check_rider(lambda texts, prediction: range(len(texts)))
    Not yet: You changed nothing: passages 1 and 3 hold the prediction.
    """

    def places(texts: Sequence[str], prediction: str) -> list[int]:
        try:
            order = [int(place) for place in call(rider, texts, prediction)]
        except (TypeError, ValueError):
            raise Mistake("Return the positions of the passages, as whole numbers in their new order.") from None
        if sorted(order) != list(range(len(texts))):
            raise Mistake(f"Each of the {len(texts)} passages must have one new position; yours is {order}.")
        return order

    order = places(list(TEXTS), "art")
    words = "'art' is not in 'start' or 'party': compare whole words (kit.metrics.has_answer)."
    slips = {
        words: [0, 1, 3, 4, 2],
        words + " And upper and lower case do not count.": [0, 3, 4, 1, 2],
        "You compared upper and lower case: 'Art' is 'art' (kit.metrics.has_answer).": [3, 0, 1, 2, 4],
        "The passages with the prediction should come first; yours come last.": [0, 2, 4, 1, 3],
        "The passages with the prediction should come first, and each group keeps its order.": [0, 2, 4, 3, 1],
        "You reversed the order within each group: a stable sort keeps it.": [3, 1, 4, 2, 0],
        "You reversed the order of those with the prediction: a stable sort keeps it.": [3, 1, 0, 2, 4],
        "You changed nothing: passages 1 and 3 hold the prediction.": [0, 1, 2, 3, 4],
    }
    compare(order, RIGHT, slips, "Passages 1 and 3 hold the prediction.")
    if places(list(TEXTS), "") != list(range(len(TEXTS))):
        raise Mistake("An empty prediction must leave the order as it was.")
    return "Passages with the prediction move up, and otherwise the retriever's order stays."


@checker
def check_length_free(length_free):
    """A verdict on `length_free(scores (q, k), lengths (q, k))`: scores - slope * centred lengths.

    Both are centred within each question; one slope for all, by least squares over the centred cells.

    >>> check_length_free(lambda scores, lengths: scores)
    Not yet: You changed nothing within the questions.
    """
    lengths = np.array([[10.0, 20.0, 30.0], [50.0, 60.0, 70.0], [50.0, 80.0, 110.0]])
    rest = np.array([[1.0, -2.0, 1.0], [-1.0, 2.0, -1.0], [0.5, -1.0, 0.5]])  # has no slope in any question
    offsets = np.array([[100.0], [20.0], [-40.0]])  # questions differ: a slope over all cells is another one
    scores = offsets + np.array([[0.2], [0.2], [0.5]]) * _centred(lengths) + rest

    def around(scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:  # a question's constant does not matter
        result = np.asarray(call(length_free, scores, lengths), dtype=float)
        if result.shape != scores.shape:
            raise Mistake(f"A score for each cell, {scores.shape}, is expected; yours is {result.shape}.")
        return _centred(result)

    note = "Your scores still depend on length, perhaps the other way round."
    compare_calls(around, _length_free, {note: (scores, lengths)}, {
        "You changed nothing within the questions.": {"factor": 0},
        "The sign is wrong: subtract slope * length.": {"factor": -1},
        "Your slope is over all cells: questions differ in level, so centre both within each question first.":
            {"slope": lambda scores, lengths: np.polyfit(lengths.ravel(), scores.ravel(), 1)[0]},
        "You took a slope for each question: three passages are too few for that; use one slope for all.":
            {"slope": lambda scores, lengths: _slope(scores, lengths, axis=1)},
        "You divided by the length: that is another correction; subtract slope * length.": {"divided": True},
    })  # fmt: skip
    return "One slope, measured within questions: what is left does not grow with length."


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(1, keepdims=True)


def _slope(scores: np.ndarray, lengths: np.ndarray, axis: int | None = None) -> np.ndarray:
    x, y = _centred(lengths), _centred(scores)
    return (x * y).sum(axis, keepdims=True) / (x**2).sum(axis, keepdims=True)


def _length_free(scores: np.ndarray, lengths: np.ndarray, slope=_slope, factor=1, divided=False) -> np.ndarray:
    return _centred(scores / lengths if divided else scores - factor * slope(scores, lengths) * _centred(lengths))
