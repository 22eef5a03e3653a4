"""The checkers of notebook 09 pass the right answer and name what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from checks.chapter_09 import check_gigabytes, check_merge, check_overlap


def right_overlap(found, exact):
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def test_overlap_passes_the_right_one():
    assert check_overlap(right_overlap).passed


def precision(found, exact):
    return np.mean([len(set(a) & set(b)) / len(set(a) - {""}) for a, b in zip(found, exact, strict=True)])


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda found, exact: (found == exact).mean(), "position by position"),
        (lambda found, exact: np.mean([bool(set(a) & set(b)) for a, b in zip(found, exact, strict=True)]), "all four"),
        (precision, "divide by k"),
        (lambda found, exact: right_overlap(found, exact) * 4, "between 0 and 1"),
        (lambda found, exact: 0.5, "ids are all there"),
        (lambda found, exact: 0.1, "was expected"),
    ],
)
def test_overlap_names_the_mistake(wrong, names):
    verdict = check_overlap(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def merged(parts, k, *, sign=-1.0, order_of=None):
    ids = np.concatenate([part[0] for part in parts], axis=1)
    scores = np.concatenate([part[1] for part in parts], axis=1)
    order = np.argsort(sign * scores, axis=1, kind="stable") if order_of is None else order_of(scores)
    return np.take_along_axis(ids, order[:, :k], 1), np.take_along_axis(scores, order[:, :k], 1)


def test_merge_passes_the_right_one():
    assert check_merge(merged).passed


def with_other_scores(parts, k):
    ids, _ = merged(parts, k)
    return ids, np.concatenate([part[1] for part in parts], axis=1)[:, :k]


def sorted_by_name(parts, k):
    ids, scores = merged(parts, k)
    return ids[:, ::-1], scores[:, ::-1]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda parts, k: merged(parts, k, order_of=lambda s: np.argsort(s, axis=1)[:, ::-1]), "missing cell"),
        (lambda parts, k: merged(parts, k, order_of=lambda s: np.tile(np.arange(6), (2, 1))), "one after the other"),
        (lambda parts, k: merged(parts, k, sign=1.0), "ascending"),
        (lambda parts, k: merged(parts, k, order_of=lambda s: np.tile(np.argsort(-s[0]), (2, 1))), "its own order"),
        (lambda parts, k: merged(parts, 2), "(2, 3)"),
        (with_other_scores, "not theirs"),
        (sorted_by_name, "descending score"),
        (lambda parts, k: 7, "A pair"),
    ],
)
def test_merge_names_the_mistake(wrong, names):
    verdict = check_merge(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def gigabytes(count, dimension, m, bits, cells, *, id_bytes=8, byte=8, unit=1e9, centroid=4, table=4):
    total = count * (m * bits / byte + id_bytes) + cells * dimension * centroid + 2**bits * dimension * table
    return total / unit


def test_gigabytes_passes_the_right_one():
    assert check_gigabytes(gigabytes).passed


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"byte": 1}, "divide by 8"),
        ({"id_bytes": 0}, "an id of 8 bytes"),
        ({"centroid": 0}, "centroids"),
        ({"table": 0}, "tables"),
        ({"unit": 2**30}, "GiB"),
        ({"unit": 1}, "That is bytes"),
        ({"table": 8}, "2.38771 was expected"),
    ],
)
def test_gigabytes_names_the_mistake(changes, names):
    verdict = check_gigabytes(lambda *given: gigabytes(*given, **changes))
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def test_gigabytes_wants_the_arguments_used():
    wrong = check_gigabytes(lambda *given: gigabytes(21_015_324, 768, 96, 8, 65_536))
    assert "use the arguments" in wrong.message
    vectors = check_gigabytes(lambda *given: gigabytes(*given) + given[0] * given[1] * 4 / 1e9)
    assert "not kept" in vectors.message
