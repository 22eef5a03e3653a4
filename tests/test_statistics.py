"""Intervals and tests: exact small cases, scipy, how often they are right, and seeds."""

import itertools

import numpy as np
import pytest
from scipy import stats

from kit.metrics import bootstrap_interval, paired_test, statistics
from kit.types import KitError


def test_interval_of_coin_throws_is_near_the_normal_one():
    values = np.repeat([0.0, 1.0], [150, 250])
    interval = bootstrap_interval(values)
    half = 1.96 * np.sqrt(0.625 * 0.375 / 400)
    assert interval.mean == 0.625
    assert interval.low == pytest.approx(0.625 - half, abs=0.004)
    assert interval.high == pytest.approx(0.625 + half, abs=0.004)
    assert str(interval).startswith("0.625 [0.57")


def test_a_wider_level_is_a_wider_interval_and_no_spread_none():
    values = np.random.default_rng(0).normal(size=80)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide.low < narrow.low < values.mean() < narrow.high < wide.high
    alike = bootstrap_interval([0.25] * 7)
    assert (alike.low, alike.mean, alike.high) == (0.25, 0.25, 0.25)


def test_interval_shifts_and_scales_with_the_values():
    values = np.random.default_rng(1).normal(size=50)
    plain, other = bootstrap_interval(values), bootstrap_interval(3 * values + 2)
    assert [other.low, other.high] == pytest.approx([3 * plain.low + 2, 3 * plain.high + 2])


def test_nine_of_ten_intervals_hold_the_truth():
    draw = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        interval = bootstrap_interval(draw.normal(1.0, 2.0, size=60), level=0.9, samples=400)
        hits += interval.low <= 1.0 <= interval.high
    assert 0.84 < hits / 300 < 0.94


def test_p_of_few_questions_counts_all_swaps():
    a, b = np.array([0.1, 0.5, 0.2, 0.9, 0.4]), np.array([0.4, 0.4, 0.6, 1.0, 0.9])
    sums = [abs(np.dot(signs, b - a)) for signs in itertools.product([1, -1], repeat=5)]
    wanted = np.mean([s >= abs((b - a).sum()) - 1e-9 for s in sums])
    test = paired_test(a, b)
    assert test.p_value == wanted
    assert test.difference == pytest.approx(0.24)
    assert test.interval == bootstrap_interval(b - a)


def test_p_of_many_questions_is_near_scipys():
    draw = np.random.default_rng(3)
    a = draw.normal(size=60)
    b = a + draw.normal(0.25, 1.0, size=60)
    wanted = stats.permutation_test(
        (b - a,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=9999, rng=0
    ).pvalue
    assert 0.01 < wanted < 0.3
    assert paired_test(a, b).p_value == pytest.approx(wanted, abs=0.02)


def test_alike_is_one_and_far_apart_is_small():
    a = np.random.default_rng(4).normal(size=100)
    same = paired_test(a, a)
    assert (same.difference, same.p_value) == (0, 1)
    assert paired_test(a, a + 1).p_value == pytest.approx(1 / 10_001)
    assert paired_test(a, a + 1).difference == pytest.approx(-paired_test(a + 1, a).difference)


def test_seeds_and_batches(monkeypatch):
    a, b = np.random.default_rng(5).normal(size=(2, 40))
    first = paired_test(a, b, seed=7)
    assert first == paired_test(a, b, seed=7)
    assert first.p_value != paired_test(a, b, seed=8).p_value
    monkeypatch.setattr(statistics, "_CELLS", 1000)
    small = paired_test(a, b, seed=7)
    assert small.interval == first.interval
    assert small.p_value == pytest.approx(first.p_value, abs=0.02)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")], [[1.0]]])
def test_values_that_are_none_are_refused(values):
    with pytest.raises(KitError, match="wanted one finite number a question"):
        bootstrap_interval(values)


def test_mistakes_are_named():
    with pytest.raises(KitError, match="wanted values of the same questions, given 1 and 2"):
        paired_test([1.0], [1.0, 2.0])
    with pytest.raises(KitError, match="wanted level between 0 and 1"):
        bootstrap_interval([1.0], level=95)
