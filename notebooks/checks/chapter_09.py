"""Checkers of notebook 09: recall against exact search, merged shards, memory."""

import numpy as np

from checks.compare import Mistake, call, checker, compare_calls, number


@checker
def check_overlap(overlap):
    """A verdict on `overlap(retrieved, exact)`: the mean share of the exact search's ids that were retrieved."""
    exact = np.array([["a", "b", "c", "d"], ["e", "f", "g", "h"]])
    retrieved = np.array([["b", "a", "x", "c"], ["e", "", "", ""]])
    cases = {"3 of 4 and 1 of 4.": (retrieved, exact), "Exact search's own ids are all there: 1.": (exact, exact)}
    precision = "You divided by what was retrieved (precision): divide by k, the number that exact search gives."
    compare_calls(lambda *case: number(call(overlap, *case)), _overlap, cases, {
        "You compared position by position; a passage at another rank counts too: use sets.":
            {"places": True},
        "One passage in common is not enough: the share of all four is expected.": {"any_of": True},
        precision: {"divisor": lambda a, b: sum(name != "" for name in a)},
        precision + " A missing cell is not a passage.": {"divisor": lambda a, b: len(set(a))},
        "A share between 0 and 1 is expected: divide by k.": {"divisor": lambda a, b: 1},
        "You summed over questions: take the mean.": {"mean": np.sum},
    })  # fmt: skip
    return "3 of 4 and 1 of 4. The order does not count, and a missing cell counts as not retrieved."


def _overlap(
    retrieved: np.ndarray, exact: np.ndarray, places=False, any_of=False, divisor=lambda a, b: len(b), mean=np.mean
) -> float:
    shares = []
    for a, b in zip(retrieved.tolist(), exact.tolist(), strict=True):
        common = sum(x == y for x, y in zip(a, b, strict=True)) if places else len(set(a) & set(b))
        shares.append(float(common > 0) if any_of else common / divisor(a, b))
    return float(mean(shares))


@checker
def check_merge(merge):
    """A verdict on `merge(parts, k)`: ids and scores (q, k) of the best of several searches, best first."""
    parts = [
        (np.array([["a", "b"], ["c", "d"]]), np.array([[5.0, 1.0], [2.0, 1.0]])),
        (np.array([["e", "f"], ["g", "h"]]), np.array([[4.0, 3.0], [9.0, 8.0]])),
        (np.array([["i", ""], ["j", ""]]), np.array([[-2.0, np.nan], [3.0, np.nan]])),
    ]
    result = call(merge, parts, 3)
    try:
        ids, scores = np.asarray(result[0]), np.asarray(result[1], dtype=float)
    except (TypeError, ValueError, IndexError, KeyError):
        raise Mistake("A pair is expected: ids (q, k) and their scores (q, k).") from None
    if ids.shape != (2, 3) or scores.shape != (2, 3):
        raise Mistake(f"Ids and scores (2, 3) are expected, these are {ids.shape} and {scores.shape}.")
    if (ids == "").any() or np.isnan(scores).any():
        raise Mistake("A missing cell came out before a passage: NaN is first when an ascending order is reversed.")
    right = np.array([["a", "e", "f"], ["g", "h", "j"]])
    if not np.array_equal(ids, right):
        raise Mistake(_merge_mistake(ids, right))
    if not np.allclose(scores, [[5.0, 4.0, 3.0], [9.0, 8.0, 3.0]]):
        raise Mistake("The ids are right and the scores are not theirs: take both in the same order.")
    return "each shard needs to give its own k best, and no more: nothing below can be among the k best of all."


def _merge_mistake(ids: np.ndarray, right: np.ndarray) -> str:
    if (np.sort(ids, axis=1) == np.sort(right, axis=1)).all():
        return "The passages are right, but the best must come first: sort by descending score."
    if ids[0].tolist() in (["a", "b", "e"], ["a", "e", "i"]):
        return "The shards' lists are only joined, one after the other: sort all candidates of a question together."
    if ids[0].tolist() == right[0].tolist():
        return "Every question has its own order: sort along axis 1, and take with np.take_along_axis."
    if "i" in ids[0].tolist():
        return "The lowest scores came out: argsort sorts ascending."
    return f"The three best of the first question are {right[0].tolist()}, not {ids[0].tolist()}."


@checker
def check_gigabytes(gigabytes):
    """A verdict on `gigabytes(count, dimension, m, bits, cells)`: the memory of an index of codes, in 10^9 bytes.

    Codes of m numbers of `bits` bits and an id of 8 bytes each, the cells' centroids and the codes' tables in float32.
    """
    cases = {
        "This is Wikipedia: codes, ids, cells and tables.": (21_015_324, 768, 96, 8, 65_536),
        "Right for Wikipedia, wrong for 1,000,000 vectors with codes of 4 bits: use the arguments.":
            (1_000_000, 64, 4, 4, 1000),
    }  # fmt: skip
    compare_calls(lambda *case: number(call(gigabytes, *case)), _gigabytes, cases, {
        "A code is m numbers of `bits` bits, and a byte is 8 bits: divide by 8.": {"bits_a_byte": 1},
        "Every vector has an id of 8 bytes as well.": {"an_id": 0},
        "The centroids of the cells are vectors in float32: cells * dimension * 4 bytes.": {"centroids": 0},
        "The tables that turn codes into numbers: 2**bits * dimension * 4 bytes, once for all.": {"tables": 0},
        "That is GiB (2**30 bytes); GB are 10**9.": {"unit": 2**30},
        "That is bytes: divide by 10**9.": {"unit": 1},
        "The vectors themselves are not kept: their codes are.": {"vectors": 4},
        "Right for Wikipedia, wrong for codes of 4 bits: use the argument `bits`.": {"always": 8},
    }, tolerance=1e-6)  # fmt: skip
    return "64.6 GB of vectors become codes that fit into a laptop's memory; section 3 shows what that loses."


def _gigabytes(
    count: int, dimension: int, m: int, bits: int, cells: int,
    bits_a_byte=8, an_id=8, centroids=4, tables=4, unit=10**9, vectors=0, always=None,
) -> float:  # fmt: skip
    bits = always or bits
    vector = m * bits / bits_a_byte + an_id + vectors * dimension
    return (count * vector + cells * dimension * centroids + 2**bits * dimension * tables) / unit
