"""Checkers of notebook 02: rank fusion, mean reciprocal rank, a paired test."""

from collections.abc import Mapping, Sequence

import numpy as np

from checks.compare import Mistake, call, checker, compare_calls, number
from kit.metrics import paired_test


@checker
def check_fusion(fusion):
    """A verdict on `fusion(rankings, c)`: {passage: sum over rankings of 1 / (c + rank)}, ranks from 1."""

    def scores(rankings: Sequence[Sequence[str]], c: int) -> list[float]:
        fused = call(fusion, rankings, c)
        if not isinstance(fused, Mapping):
            raise Mistake(f"A dict {{passage: score}} is expected, this is {type(fused).__name__}.")
        if not fused:
            raise Mistake("The dict is empty: fill in the TODO.")
        missing = {name for ranking in rankings for name in ranking} - set(fused)
        if missing:
            raise Mistake(f"{min(missing)!r} is gone: a passage that only one retriever has stays, with one term.")
        return [float(fused[name]) for name in sorted({name for ranking in rankings for name in ranking})]

    cases = {
        "'a' gets 1/61 + 1/62, 'b' 1/62.": ([["a", "b", "c"], ["c", "a", "d"]], 60),
        "c is an argument: with c = 1 the first of a ranking gets 1/2.": ([["a"]], 1),
    }
    compare_calls(scores, _fusion, cases, {
        "You count ranks from 0 (enumerate does); the first passage has rank 1: 1/61, not 1/60.": {"first": 0},
        "You kept one ranking's term where both have the passage: the terms are summed.": {"joined": max},
        "You kept the last ranking's term where both have the passage: the terms are summed.":
            {"joined": lambda terms: terms[-1]},
        "You took the mean of the terms: the sum is expected, or a passage of one ranking alone would not lose.":
            {"joined": np.mean},
        "c is an argument: with c = 1 the first of a ranking gets 1/2.": {"constant": 60},
    }, tolerance=1e-6)  # fmt: skip
    return "'a' wins, first and second, before 'c', first and third. No score was compared with another."


def _fusion(rankings: Sequence[Sequence[str]], c: int, first=1, joined=sum, constant=None) -> list[float]:
    names = sorted({name for ranking in rankings for name in ranking})
    terms = {name: [1 / ((constant or c) + first + r.index(name)) for r in rankings if name in r] for name in names}
    return [float(joined(terms[name])) for name in names]


@checker
def check_mrr(mrr):
    """A verdict on `mrr(ranks, depth)`: the mean over questions of 1/rank, 0 where the rank is beyond the depth."""
    ranks = np.array([1.0, 2.0, np.inf, 4.0])
    cases = {"(1 + 1/2 + 0 + 0) / 4.": (ranks, 3), "Rank 4 is not beyond depth 4: it counts.": (ranks, 4)}
    compare_calls(mrr, _mrr, cases, {
        "Cut at the depth: rank 4 is beyond 3 and gives 0, not 1/4.": {"cut": False},
        "You left out questions without a passage up to the depth: they count, with 0.": {"lost": False},
        "It is 0: is the TODO still there? 1 over the mean rank is 0, too, when a question is lost: average 1/rank.":
            {"of_mean": True},
        "A passage at the depth itself counts (use <=).": {"early": True},
        "You summed: take the mean over the questions.": {"mean": np.sum},
    })  # fmt: skip
    return "(1 + 1/2 + 0 + 0) / 4. Half of the measure is rank 1."


def _mrr(ranks: np.ndarray, depth: int, cut=True, lost=True, of_mean=False, early=False, mean=np.mean) -> float:
    there = (ranks < depth if early else ranks <= depth) if cut else np.isfinite(ranks)
    if of_mean:
        return 1 / float(np.mean(np.where(there, ranks, np.inf) if lost else ranks[there]))
    return float(mean(np.where(there, 1 / ranks, 0.0) if lost else 1 / ranks[there]))


@checker
def check_paired_p(p):
    """A verdict on `p(a, b, samples, rng)`: the two-sided p of the paired randomisation test, swaps within pairs."""
    a = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.5, 0.5, 0.0, 1.0])
    b = a + np.array([0.04, 0.05, -0.02, 0.03, 0.02, 0.05, -0.03, 0.01, 0.04, -0.01, 0.02, 0.03])
    exact = paired_test(a, b).p_value  # of all 4096 swaps
    value = number(call(p, a, b, 4000, np.random.default_rng(0)))
    if abs(value - exact) > 0.01:
        slips = {
            "You counted one direction only: take the absolute value of both sums.": abs(value - exact / 2) < 0.008,
            "You counted the swaps with a smaller difference: those at least as large are expected.":
                abs(value - (1 - exact)) < 0.01,
            "You drew questions anew (a bootstrap, centred on the observed difference): swap a and b instead.":
                0.4 < value < 0.65,
            "Is the TODO still to be filled in?": value == 1,
            "You mixed values of different questions: only a question's two values change places.": value > 0.65,
            "For each question a coin says whether a and b change places; compare the sums of differences.": True,
        }  # fmt: skip
        raise Mistake(f"p is {exact:.3f} here, not {value:.3f}. {next(why for why, fits in slips.items() if fits)}")
    turned = number(call(p, b, a, 4000, np.random.default_rng(1)))
    if abs(turned - exact) > 0.01:
        raise Mistake(f"With a and b exchanged p is {turned:.3f}: count large differences in either direction (abs).")
    if number(call(p, np.zeros(40), np.ones(40), 100, np.random.default_rng(2))) <= 0:
        raise Mistake(
            "p is 0, which 100 draws cannot show: the observed order is one more draw, (1 + as large) / (1 + n)."
        )
    return "how often would a coin for each question give so large a difference?"
