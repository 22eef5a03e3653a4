"""Checkers of notebook 02: rank fusion, mean reciprocal rank, a paired test. Each names the likely mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.metrics import paired_test


def check_fusion(my_fusion: Callable[[Sequence[Sequence[str]], int], Mapping[str, float]]) -> Verdict:
    """Whether `my_fusion(rankings, c)` is {passage: sum over rankings of 1 / (c + rank)}, ranks from 1."""
    rankings = [["a", "b", "c"], ["c", "a", "d"]]
    mine = answer_of(my_fusion, rankings, 60)
    if isinstance(mine, Verdict):
        return mine
    if not isinstance(mine, Mapping):
        return not_yet(f"a dict {{passage: score}} was wanted, this is {type(mine).__name__}.")
    if not mine:
        return not_yet("the dict is empty: fill in the TODO.")
    missing = {"a", "b", "c", "d"} - set(mine)
    if missing:
        return not_yet(f"{min(missing)!r} is gone: a passage that one retriever alone found stays, with one term.")
    wanted = {"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61, "d": 1 / 63}
    if all(_near(mine[name], wanted[name]) for name in wanted):
        if not _near(answer_of(my_fusion, [["a"]], 0)["a"], 1.0):
            return not_yet("c is an argument: with c=0 the first of a ranking gets 1.")
        return passed("'a' wins, first and second, before 'c', first and third. No score was compared with another.")
    if _near(mine["b"], 1 / 61):
        return not_yet("you count ranks from 0 (enumerate does); the first passage has rank 1: 1/61, not 1/60.")
    if _near(mine["a"], 1 / 61) or _near(mine["a"], 1 / 62):
        return not_yet("you kept one ranking's term where both found the passage: the terms are summed.")
    if _near(mine["a"], wanted["a"] / 2):
        return not_yet("you took the mean of the terms: the sum is wanted, or a passage found once would not lose.")
    return not_yet(f"'a' gets 1/61 + 1/62 = {wanted['a']:.5f}, and not {float(mine['a']):.5f}.")


def check_mrr(my_mrr: Callable[[np.ndarray, int], float]) -> Verdict:
    """Whether `my_mrr(ranks, depth)` is the mean over questions of 1/rank, 0 where the rank is beyond the depth."""
    ranks = np.array([1.0, 2.0, np.inf, 4.0])
    mine = answer_of(my_mrr, ranks, 3)
    if isinstance(mine, Verdict):
        return mine
    if _near(mine, 0.375):
        if not _near(my_mrr(ranks, 4), 0.4375):
            return not_yet("at depth 4 the last question counts: its passage stands at rank 4, which is not beyond it.")
        return passed("(1 + 1/2 + 0 + 0) / 4. Half of the measure is made by rank 1.")
    if _near(mine, 0.4375):
        return not_yet("cut at the depth: rank 4 is beyond 3 and gives 0, not 1/4.")
    if _near(mine, 0.75) or _near(mine, 0.5):
        return not_yet("you left out questions where nothing was found: they count, with 0.")
    if _near(mine, 1 / np.mean([1.0, 2.0])):
        return not_yet("the mean of 1/rank is wanted, not 1 over the mean rank.")
    if _near(mine, 0):
        return not_yet(
            "it is 0. Is the TODO still there? 1 over the mean rank is 0, too, when a question is lost: average 1/rank."
        )
    return not_yet(f"(1 + 1/2 + 0 + 0) / 4 = 0.375 was wanted, not {float(mine):.4f}.")


def check_paired_p(my_p: Callable[[np.ndarray, np.ndarray, int, Any], float]) -> Verdict:
    """Whether `my_p(a, b, samples, rng)` is the two-sided p of the paired randomisation test: swaps within pairs."""
    a = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.5, 0.5, 0.0, 1.0])
    b = a + np.array([0.04, 0.05, -0.02, 0.03, 0.02, 0.05, -0.03, 0.01, 0.04, -0.01, 0.02, 0.03])
    wanted = paired_test(a, b).p_value  # of all 4096 swaps
    mine = answer_of(my_p, a, b, 4000, np.random.default_rng(0))
    if isinstance(mine, Verdict):
        return mine
    if abs(float(mine) - wanted) > 0.01:
        return not_yet(f"p is {wanted:.3f} here, not {float(mine):.3f}. {_why(float(mine), wanted)}")
    turned = float(my_p(b, a, 4000, np.random.default_rng(1)))
    if abs(turned - wanted) > 0.01:
        return not_yet(
            f"with a and b exchanged p is {turned:.3f}: count differences as large in either direction (abs)."
        )
    far = float(my_p(np.zeros(40), np.ones(40), 100, np.random.default_rng(2)))
    if far <= 0:
        return not_yet(
            "p is 0, which 100 draws cannot show: what you saw is one more draw, (1 + as large) / (1 + samples)."
        )
    return passed("how often would a coin for each question give so large a difference?")


def _why(mine: float, wanted: float) -> str:
    if abs(mine - wanted / 2) < 0.008:
        return "You counted one direction only: take the absolute value of both sums."
    if abs(mine - (1 - wanted)) < 0.01:
        return "You counted the swaps with a smaller difference: those at least as large are wanted."
    if 0.4 < mine < 0.65:
        return (
            "You drew questions anew (a bootstrap, which is centred on the difference you saw): swap a and b instead."
        )
    if mine == 1:
        return "Is the TODO still to be filled in?"
    if mine > 0.65:
        return "You mixed values of different questions: a question's two values change places with each other only."
    return "For each question a coin says whether a and b change places; compare the sums of differences."


def _near(a: Any, b: float) -> bool:
    return abs(float(a) - b) < 1e-6
