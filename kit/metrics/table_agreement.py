"""How far two score tables agree on the same passages: rank correlations, overlap of their tops, and how sharp each is.

A diagnosis of teacher and student. Knows no answers and no judgements.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from kit.types import KitError, ScoreTable


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two tables compared question by question; each array is (q,), NaN where the question does not tell.

    A rank correlation needs two passages that both tables score, and two different values on each side.
    """

    question_ids: np.ndarray
    kendall: Float[np.ndarray, " q"]  # Kendall's tau-b, -1 to 1
    spearman: Float[np.ndarray, " q"]  # -1 to 1
    overlap: Float[np.ndarray, " q"]  # share of the top k in common
    entropy_a: Float[np.ndarray, " q"]  # of the softmax of the first table's scores, in nats
    entropy_b: Float[np.ndarray, " q"]

    @property
    def means(self) -> dict[str, float]:
        """The mean of each measure over the questions that tell; NaN where none does."""
        names = [field.name for field in fields(self)[1:]]
        values = {name: getattr(self, name)[~np.isnan(getattr(self, name))] for name in names}
        return {name: float(value.mean()) if len(value) else float("nan") for name, value in values.items()}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in self.means.items())
        return f"Agreement({len(self.question_ids)} questions: {shown})"


def agreement(a: ScoreTable, b: ScoreTable, *, k: int = 5) -> Agreement:
    """The agreement of `b` with `a` on the passages that both score, for the questions of `a`.

    A question that `b` does not hold is an error. Ties count as ties (tau-b, mean ranks). `k` is cut to the number of
    passages in common. The entropies are of a softmax at temperature 1, so they tell also of the scale.
    Source: Kendall 1945 (tau-b); Spearman 1904.

    >>> a = ScoreTable("a", ["q"], [["x", "y", "z"]], [[3.0, 2.0, 1.0]])
    >>> b = ScoreTable("b", ["q"], [["z", "x", "y"]], [[5.0, 7.0, 6.0]])
    >>> agreement(a, b).means["kendall"], agreement(b, a, k=2).means["overlap"]
    (1.0, 1.0)
    """
    if k < 1:
        raise KitError("agreement", "k of at least 1", k)
    other = b.aligned_to(a)
    rows = np.full((len(a), 5), np.nan)
    for row, (mine, theirs) in enumerate(zip(a.values.astype(float), other.values.astype(float), strict=True)):
        shared = ~np.isnan(mine) & ~np.isnan(theirs)
        if shared.any():
            rows[row] = _compared(mine[shared], theirs[shared], k)
    return Agreement(a.question_ids, *rows.T)


def _compared(a: np.ndarray, b: np.ndarray, k: int) -> tuple[float, float, float, float, float]:
    signs_a, signs_b = _signs(a), _signs(b)
    kendall = _cosine(signs_a, signs_b)
    spearman = _cosine(signs_a.sum(1), signs_b.sum(1))  # half a row's sum is its mean rank, less the middle rank
    k = min(k, len(a))
    tops = [set(np.argsort(-scores, kind="stable")[:k].tolist()) for scores in (a, b)]
    return kendall, spearman, len(tops[0] & tops[1]) / k, entropy(a), entropy(b)


def entropy(scores: ArrayLike) -> float:
    """The entropy of the softmax of one question's scores (k,), in nats: 0 (one passage has all) to log k (all alike).

    -inf is a passage with no share; NaN where no score is finite.

    >>> round(float(np.exp(entropy(np.array([2.0, 2.0, -np.inf])))), 6)
    2.0
    """
    scores = np.asarray(scores, dtype=float)
    if not np.isfinite(scores).any():
        return float("nan")
    weights = np.exp(scores - scores.max())
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0


def _signs(scores: np.ndarray) -> np.ndarray:
    """Of each pair, 1 where the first is higher, -1 where it is lower, 0 at a tie: (k, k)."""
    higher = scores[:, None] > scores[None, :]
    return higher.astype(float) - higher.T


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else float("nan")
