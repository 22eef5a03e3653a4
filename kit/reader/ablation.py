"""What an answer owes to each passage, by reading random subsets of them: leave-one-out that sees passages that agree.

Where two passages state the answer, either can go and nothing is lost; only without both is it. Source: ContextCite
(Cohen-Wang et al. 2024); its linear model is of the answer's log-odds, this one's of its log-probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from kit.arguments import whole_number
from kit.device import evaluation
from kit.reader.answer_likelihood import likelihood_of_subsets
from kit.reader.fid import FiDReader
from kit.types import KitError, Passage, Question

PENALTY = 0.01  # nats: passages that add less than about four times that are left out of the fit
SWEEPS = 200  # of the coordinate descent


def ablation_attribution(
    reader: FiDReader, question: Question, passages: Sequence[Passage], subsets: int = 32, seed: int = 0
) -> Float[np.ndarray, " k"]:
    """What each passage adds to the answer's log-probability, in nats (k,), in a sparse linear fit; 0: left out.

    Each of `subsets` random subsets holds every passage with probability 1/2. All passages are encoded once, then a
    decoder pass reads each subset; the empty one is the question by itself. The answer is the question's target, or
    its first answer. Raises `KitError` for a question without one, and without passages.
    """
    answer = question.target or next(iter(question.answers), "")
    if not answer.strip() or not passages:
        wanted = "a target or an answer, and at least one passage"
        raise KitError(f"ablation_attribution, question {question.id!r}", wanted, "none")
    count = whole_number("ablation_attribution", "subsets", subsets)
    kept = np.random.default_rng(seed).random((count, len(passages))) < 0.5  # (s, k)
    labels = reader.tokenize_targets([answer])
    values = _log_probability(reader, question.text, passages, labels, kept)  # (s,)
    alone = ~kept.any(1)
    if alone.any():
        values[alone] = _log_probability(reader, question.text, [], labels, np.ones((1, 1), dtype=bool))
    return sparse_linear_fit(kept, values)


def sparse_linear_fit(
    kept: Bool[np.ndarray, "s k"], values: Float[np.ndarray, " s"], *, penalty: float = PENALTY
) -> Float[np.ndarray, " k"]:
    """The weights (k,) of a linear model with an intercept: chosen by the lasso, then fitted without its penalty.

    The lasso minimises mean squared error / 2 + `penalty` times the sum of absolute weights.

    >>> kept = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=bool)
    >>> sparse_linear_fit(kept, 3.0 * kept[:, 0] - kept[:, 2] - 7).round(6).tolist()
    [3.0, 0.0, -1.0]
    >>> sparse_linear_fit(kept, np.where(kept[:, 0] | kept[:, 1], -1.0, -5.0)).round(6).tolist()
    [2.0, 2.0, 0.0]
    """
    centred, rest = kept - kept.mean(0), values - values.mean()  # (s, k), (s,)
    squares = (centred**2).sum(0)
    weights = np.zeros(kept.shape[1])
    for _ in range(SWEEPS):
        for j in np.flatnonzero(squares):
            pull = centred[:, j] @ rest + squares[j] * weights[j]
            new = np.sign(pull) * max(abs(pull) - penalty * len(kept), 0.0) / squares[j]
            rest = rest + centred[:, j] * (weights[j] - new)
            weights[j] = new
    chosen = np.flatnonzero(weights)
    weights[chosen] = np.linalg.lstsq(centred[:, chosen], values - values.mean(), rcond=None)[0]
    return weights


def _log_probability(
    reader: FiDReader, text: str, passages: Sequence[Passage], labels: torch.Tensor, kept: Bool[np.ndarray, "s k"]
) -> Float[np.ndarray, " s"]:
    """log p(answer | question, each subset); NaN for an empty one."""
    with evaluation(reader.t5):
        states = reader.encode(*reader.tokenize([text], [list(passages)]))
    return likelihood_of_subsets(reader.t5, states, labels, torch.from_numpy(kept)).sum(-1)[0].double().cpu().numpy()
