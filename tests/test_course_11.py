"""The checkers of notebook 11 take the right answers and name what is wrong with others."""

from __future__ import annotations

import pytest
from checks.chapter_11 import check_index_gigabytes, check_shards, check_step


def starts(count, size):
    return range(0, count, size)


def shards(part, parts, count, size):
    return [(start, min(start + size, count)) for start in list(starts(count, size))[part::parts]]


def blocks(part, parts, count, size):
    """Each process an equal block, the remainder dropped: a defect of released code."""
    each = count // parts
    return [(part * each, (part + 1) * each)]


def too_long(part, parts, count, size):
    return [(start, start + size) for start in list(starts(count, size))[part::parts]]


def all_of_them(part, parts, count, size):
    return [(start, min(start + size, count)) for start in starts(count, size)]


def whole_shards(part, parts, count, size):
    return [(n * size, n * size + size) for n in range(count // size)][part::parts]


def test_the_right_shards_pass():
    assert check_shards(shards).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (blocks, "drops the remainder"),
        (whole_shards, "drops the remainder"),
        (too_long, "beyond the last passage"),
        (all_of_them, "embedded twice"),
        (lambda part, parts, count, size: shards(part, parts, count, size) if part else [], "belong to no process"),
        (lambda part, parts, count, size: shards(part, parts, count, 9 * size), "longer than"),
        (lambda part, parts, count, size: 7, "A list of pairs"),
        (lambda part, parts, count, size: None, "returned None"),
    ],
)
def test_wrong_shards_are_named(wrong, named):
    verdict = check_shards(wrong)
    assert not verdict.passed and named in verdict.message


def test_the_right_size_passes():
    assert check_index_gigabytes(lambda count, dimension, size: count * dimension * size / 1e9).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda count, dimension, size: count * dimension * size / 2**30, "GiB"),
        (lambda count, dimension, size: count * dimension / 1e9, "bytes of each number"),
        (lambda count, dimension, size: count * dimension * size * 8 / 1e9, "counted bits"),
        (lambda count, dimension, size: count * dimension * size, "That is bytes"),
        (lambda count, dimension, size: count * dimension * 4 / 1e9, "use bytes_per_number"),
        (lambda count, dimension, size: 1.0, "64.5591 was expected"),
    ],
)
def test_a_wrong_size_is_named(wrong, named):
    verdict = check_index_gigabytes(wrong)
    assert not verdict.passed and named in verdict.message


def test_the_right_step_passes():
    assert check_step(lambda batch, accumulate, processes: batch * accumulate * processes).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda batch, accumulate, processes: batch * processes, "left out the gradient accumulation"),
        (lambda batch, accumulate, processes: batch * accumulate, "left out the processes"),
        (lambda batch, accumulate, processes: batch * processes // accumulate, "divided by accumulate"),
        (lambda batch, accumulate, processes: 65, "64 was expected"),
    ],
)
def test_a_wrong_step_is_named(wrong, named):
    verdict = check_step(wrong)
    assert not verdict.passed and named in verdict.message
