"""Teachers' scores brought to one scale, and a check that they are raw scores."""

from __future__ import annotations

import numpy as np

from kit.types import KitError, ScoreTable

FEWEST_FOR_A_VERDICT = 20  # fewer scores than this may lie in 0 ... 1 by chance


def standardised(table: ScoreTable, *, scale: float = 1.0) -> ScoreTable:
    """The table with each question's scores shifted and stretched to mean 0 and standard deviation `scale`.

    The kit's own choice, no paper's: raw attention scores can be so far apart that their softmax is one-hot (a toy
    reader's had a standard deviation of 9.5), and different teachers have different scales. A temperature divides all
    questions by one number; this gives each its own, so a question whose passages are all alike counts as much as one
    whose passages differ. NaN and infinite scores stay as they are and do not count; equal scores become 0.

    >>> standardised(ScoreTable("g", ["q"], [["a", "b"]], [[10.0, 30.0]]), scale=2.0).values.tolist()
    [[-2.0, 2.0]]
    """
    if not 0 < scale < np.inf:
        raise KitError("standardised: scale", "a finite number above 0", scale)
    values = table.values.astype(np.float64)
    finite = np.isfinite(values)
    count = finite.sum(axis=1, keepdims=True).clip(min=1)  # (q, 1)
    filled = np.where(finite, values, 0.0)
    centred = np.where(finite, filled - filled.sum(axis=1, keepdims=True) / count, 0.0)  # (q, k)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)  # (q, 1)
    stretched = scale * centred / np.where(deviation > 0, deviation, 1.0)
    return ScoreTable(table.name, table.question_ids, table.passage_ids, np.where(finite, stretched, values))


def looks_like_probabilities(table: ScoreTable) -> bool:
    """Whether all scores (20 at least) lie from 0 to 1: what a sigmoid leaves of a cross-encoder's logits.

    Margins of such scores are at most 1, and nearly 0 between two good passages: Margin-MSE then teaches little
    (sentence-transformers issues 1004 and 3540). Probabilities can be turned back: log(p / (1 - p)).
    """
    scores = table.values[np.isfinite(table.values)]
    return scores.size >= FEWEST_FOR_A_VERDICT and bool(((scores >= 0) & (scores <= 1)).all())
