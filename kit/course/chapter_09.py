"""Checkers of notebook 09: recall against exact search, merged shards, memory. Each names the likely mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kit.course.verdict import Verdict, answer_of, not_yet, passed


def check_overlap(my_overlap: Callable[[np.ndarray, np.ndarray], float]) -> Verdict:
    """Whether `my_overlap(found, exact)` is the mean share of the exact search's ids that were found, any order."""
    exact = np.array([["a", "b", "c", "d"], ["e", "f", "g", "h"]])
    found = np.array([["b", "a", "x", "c"], ["e", "", "", ""]])
    mine = answer_of(my_overlap, found, exact)
    if isinstance(mine, Verdict):
        return mine
    wanted = (3 / 4 + 1 / 4) / 2
    if abs(float(mine) - wanted) < 1e-6:
        if abs(float(my_overlap(exact, exact)) - 1) > 1e-6:
            return not_yet("of exact search's own ids all are found: 1.")
        return passed("3 of 4 and 1 of 4. The order does not count, and a missing cell counts as not found.")
    if abs(float(mine) - 1 / 8) < 1e-6:
        return not_yet("you compared position by position; a passage at another rank is found all the same: use sets.")
    if abs(float(mine) - 1) < 1e-6:
        return not_yet("one passage in common is not enough: the share of all four is wanted.")
    if abs(float(mine) - (3 / 4 + 1) / 2) < 1e-6 or abs(float(mine) - (3 / 4 + 1 / 2) / 2) < 1e-6:
        return not_yet("you divided by what was found (precision): divide by k, the number that exact search gives.")
    if abs(float(mine) - 4) < 1e-6 or abs(float(mine) - 2) < 1e-6:
        return not_yet("a share between 0 and 1 is wanted: divide by k and take the mean over questions.")
    return not_yet(f"(3/4 + 1/4) / 2 = {wanted} was wanted, not {float(mine):.4f}.")


def check_merge(my_merge: Callable[[Sequence[tuple[np.ndarray, np.ndarray]], int], Any]) -> Verdict:
    """Whether `my_merge(parts, k)` gives ids and scores (x, k) of the best of several searches, best first."""
    parts = [
        (np.array([["a", "b"], ["c", "d"]]), np.array([[5.0, 1.0], [2.0, 1.0]])),
        (np.array([["e", "f"], ["g", "h"]]), np.array([[4.0, 3.0], [9.0, 8.0]])),
        (np.array([["i", ""], ["j", ""]]), np.array([[-2.0, np.nan], [3.0, np.nan]])),
    ]
    mine = answer_of(my_merge, parts, 3)
    if isinstance(mine, Verdict):
        return mine
    try:
        ids, scores = np.asarray(mine[0]), np.asarray(mine[1], dtype=float)
    except (TypeError, ValueError, IndexError, KeyError):
        return not_yet("a pair was wanted: ids (x, k) and their scores (x, k).")
    if ids.shape != (2, 3) or scores.shape != (2, 3):
        return not_yet(f"ids and scores (2, 3) were wanted, these are {ids.shape} and {scores.shape}.")
    if (ids == "").any() or np.isnan(scores).any():
        return not_yet(
            "a missing cell came out before a passage: NaN sorts first when you turn an ascending order round."
        )
    wanted = np.array([["a", "e", "f"], ["g", "h", "j"]])
    if not np.array_equal(ids, wanted):
        return not_yet(_merge_mistake(ids, wanted))
    if not np.allclose(scores, [[5.0, 4.0, 3.0], [9.0, 8.0, 3.0]]):
        return not_yet("the ids are right and the scores are not theirs: take both in the same order.")
    return passed("each shard needs to give its own k best, and no more: nothing below can be among the k best of all.")


def _merge_mistake(ids: np.ndarray, wanted: np.ndarray) -> str:
    if (np.sort(ids, axis=1) == np.sort(wanted, axis=1)).all():
        return "the passages are right, and best first is wanted: sort by falling score."
    if ids[0].tolist() == ["a", "b", "e"] or ids[0].tolist() == ["a", "e", "i"]:
        return "the shards' lists stand one after the other as they came: sort all candidates of a question together."
    if ids[0].tolist() == wanted[0].tolist():
        return "every question has an order of its own: sort along axis 1, and take with np.take_along_axis."
    if "i" in ids[0].tolist():
        return "the lowest scores came out: argsort sorts ascending."
    return f"the three best of the first question are {wanted[0].tolist()}, not {ids[0].tolist()}."


def check_gigabytes(my_gigabytes: Callable[[int, int, int, int, int], float]) -> Verdict:
    """Whether `my_gigabytes(count, dimension, m, bits, cells)` is the memory of an index of codes, in 10^9 bytes.

    Codes of m numbers of `bits` bits and an id of 8 bytes each, the cells' centroids and the codes' tables in float32.
    """
    count, dimension, m, bits, cells = 21_015_324, 768, 96, 8, 65_536
    codes, ids = count * m * bits / 8 / 1e9, count * 8 / 1e9
    centroids, tables = cells * dimension * 4 / 1e9, 2**bits * dimension * 4 / 1e9
    mine = answer_of(my_gigabytes, count, dimension, m, bits, cells)
    if isinstance(mine, Verdict):
        return mine
    total = codes + ids + centroids + tables
    mistakes = {
        8 * codes + ids + centroids + tables: "a code is m numbers of `bits` bits, and a byte is 8 bits: divide by 8.",
        codes + centroids + tables: "every vector has an id of 8 bytes as well.",
        codes + ids + tables: "the centroids of the cells are vectors in float32: cells * dimension * 4 bytes.",
        codes
        + ids
        + centroids: "the tables that turn codes into numbers: 2**bits * dimension * 4 bytes, once for all.",
        total * 1e9 / 2**30: "that is GiB (2**30 bytes); GB are 10**9.",
        total * 1e9: "that is bytes: divide by 10**9.",
        count * dimension * 4 / 1e9 + total: "the vectors themselves are not kept: their codes are.",
    }
    wrong = next((words for value, words in mistakes.items() if abs(float(mine) - value) < 1e-5 * value), None)
    if wrong is not None and abs(float(mine) - total) > 1e-5:
        return not_yet(wrong)
    if abs(float(mine) - total) > 1e-5:
        return not_yet(
            f"codes {codes:.3f} + ids {ids:.3f} + cells {centroids:.3f} + tables {tables:.4f} GB, not {mine}."
        )
    small = 1_000 * (4 * 4 / 8 + 8) / 1e9 + (10 * 16 * 4 + 2**4 * 16 * 4) / 1e9
    if abs(float(my_gigabytes(1_000, 16, 4, 4, 10)) - small) > 1e-12:
        return not_yet("right for Wikipedia, wrong for 1,000 vectors with codes of 4 bits: use the arguments.")
    return passed("64.6 GB of vectors become codes that fit into a laptop's memory; section 3 shows what that loses.")
