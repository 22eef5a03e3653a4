"""How sure a mean over questions is, and whether two systems differ: bootstrap interval, paired randomisation test.

Both work on one value a question, as `kit.metrics` gives them. Knows nothing of what the values measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kit.types import KitError

_CELLS = 1 << 22  # drawn numbers in memory at once


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds within which it lies at the given level."""

    mean: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PairedTest:
    """Mean of `b` less mean of `a`, its interval, and the chance of so large a difference if the two were alike."""

    difference: float
    interval: Interval
    p_value: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} [{self.interval.low:+.3f}, {self.interval.high:+.3f}], p = {self.p_value:.4f}"


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95, samples: int = 10_000, seed: int = 0) -> Interval:
    """The mean of `values` (q,) and its interval: the middle `level` of the means of resampled questions.

    One question, or questions all alike, give an interval of no width. NaN, inf and no values are `KitError`s.
    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval).

    >>> interval = bootstrap_interval([1.0] * 50 + [0.0] * 50)
    >>> interval.mean, 0.39 < interval.low < 0.42, 0.58 < interval.high < 0.61
    (0.5, True, True)
    """
    numbers = _checked("values", values)
    if not 0 < level < 1 or samples < 1:
        raise KitError("bootstrap_interval", "level between 0 and 1, samples of at least 1", f"{level}, {samples}")
    random, count = np.random.default_rng(seed), len(numbers)
    means = [numbers[random.integers(count, size=(rows, count))].mean(1) for rows in _batches(samples, count)]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(numbers.mean()), float(low), float(high), level)


def paired_test(a: ArrayLike, b: ArrayLike, *, level: float = 0.95, samples: int = 10_000, seed: int = 0) -> PairedTest:
    """Whether `b` (q,) differs from `a` (q,) on the same questions: difference of means, its interval, two-sided p.

    p is the share of swaps of a and b (question by question) whose difference is at least as large. All 2^q swaps are
    counted where they are no more than `samples`, else `samples` are drawn, and p is (1 + as large) / (1 + samples).
    Source: Fisher's randomisation test, as in Smucker, Allan & Carterette 2007.

    >>> test = paired_test([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])  # of the 8 swaps, all kept and all swapped
    >>> test.difference, test.p_value
    (1.0, 0.25)
    """
    first, second = _checked("a", a), _checked("b", b)
    if len(first) != len(second):
        raise KitError("paired_test", "values of the same questions", f"{len(first)} and {len(second)}")
    differences = second - first
    interval = bootstrap_interval(differences, level=level, samples=samples, seed=seed)
    observed = abs(differences.sum()) * (1 - 1e-12)  # a swap that gives the same sum in another order counts
    if 2 ** len(differences) <= samples:
        numbers = np.arange(2 ** len(differences))
        signs = 1 - 2 * (numbers[:, None] >> np.arange(len(differences)) & 1)  # (2^q, q)
        p_value = float((abs(signs @ differences) >= observed).mean())
    else:
        p_value = (1 + _as_large(differences, observed, samples, seed)) / (1 + samples)
    return PairedTest(float(differences.mean()), interval, p_value)


def _as_large(differences: np.ndarray, observed: float, samples: int, seed: int) -> int:
    random, found = np.random.default_rng(seed), 0
    for rows in _batches(samples, len(differences)):
        signs = 1 - 2 * random.integers(2, size=(rows, len(differences)), dtype=np.int8)
        found += int((abs(signs @ differences) >= observed).sum())
    return found


def _batches(samples: int, count: int) -> Iterator[int]:
    size = max(1, _CELLS // count)
    return (min(size, samples - start) for start in range(0, samples, size))


def _checked(name: str, values: object) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        given = f"shape {numbers.shape}" if numbers.ndim != 1 or not len(numbers) else "NaN or inf among them"
        raise KitError(name, "one finite number a question", given)
    return numbers
