"""Checkers of notebook 10: leave-one-out, in-batch negatives, the mean of teachers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from checks.compare import Mistake, call, checker, compare, compare_calls

HELPS = {"p1": 0.2, "p2": 2.5, "p3": 0.9, "p4": 0.1}  # how much each passage lowers the answer's loss
ALONE = 6.0  # the loss with no passage at all
TABLES = [
    np.array([[-90.0, -95.0, -93.0, np.nan], [-80.0, -81.0, -90.0, -85.0]], dtype=np.float32),
    np.array([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.2, 0.9]], dtype=np.float32),
]


@checker
def check_leave_one_out(leave_one_out):
    """A verdict on `leave_one_out(loss_of, passages)`: the answer's loss without each passage: higher is better."""
    names, readings = list(HELPS), []

    def loss_of(passages: Sequence[str]) -> float:
        readings.append(tuple(passages))
        return ALONE - sum(HELPS[name] for name in passages)

    scores = np.asarray(call(leave_one_out, loss_of, names), dtype=float)
    if scores.shape != (len(names),):
        raise Mistake(f"A score for each of the {len(names)} passages is expected, not {scores.shape}.")
    helps = np.array(list(HELPS.values()))
    right, with_all = ALONE - (helps.sum() - helps), ALONE - helps.sum()
    compare(scores, right, {
        "This is the loss with that passage alone: leave it out, and read all the others.": ALONE - helps,
        "The sign is wrong: a passage whose removal makes the answer less likely is a good one.": -right,
        "This is minus the loss with that passage alone, PDist's score: leave it out, read the others.": helps - ALONE,
        "This is the loss without it minus the loss with all: the same order and the same KL, for a question's "
        "scores may be shifted. Atlas's score is the loss without it alone.": right - with_all,
        "This is the loss with all passages, each time: leave one out.": np.full(len(names), with_all),
    })  # fmt: skip
    if len(readings) > len(names):
        raise Mistake(f"Right, but you read {len(readings)} times: {len(names)} readings suffice.")
    return "k readings of k - 1 passages: the cost grows with k squared."


@checker
def check_in_batch(in_batch_nll):
    """A verdict on `in_batch_nll(questions, positives, negatives)`: all passages of the batch compete."""
    draw = torch.Generator().manual_seed(5)
    questions, positives = torch.randn(4, 6, generator=draw), torch.randn(4, 6, generator=draw)
    negatives = torch.randn(4, 2, 6, generator=draw)

    def loss(*arguments: Tensor) -> float:
        value = call(in_batch_nll, *arguments)
        if not isinstance(value, Tensor) or value.ndim != 0:
            raise Mistake("One number was expected: a tensor without dimensions, the mean over the questions.")
        return float(value)

    compare_calls(loss, _in_batch_nll, {"": (questions, positives, negatives)}, {
        "You used a question's own passages alone: all passages of the batch compete.": {"own": True},
        "The hard negatives are missing: they are negatives to every question.": {"hard": False},
        "The softmax goes over the passages (dim=1), not over the questions.": {"dim": 0},
        "You summed: take the mean over the questions.": {"factor": 4},
        "DPR's score is the plain dot product, without 1 / sqrt(d).": {"divisor": 6**0.5},
        "The sign is wrong: minus the log-probability.": {"factor": -1},
        "Vectors were normalised: DPR's score is the plain dot product.": {"normalised": True},
    })  # fmt: skip
    return "one matrix product, and each question has all other questions' passages for negatives."


def _in_batch_nll(
    questions: Tensor, positives: Tensor, negatives: Tensor,
    own=False, hard=True, dim=1, factor=1, divisor=1.0, normalised=False,
) -> float:  # fmt: skip
    if normalised:
        questions, positives, negatives = (normalize(x, dim=-1) for x in (questions, positives, negatives))
    negatives = negatives if hard else negatives[:, :0]
    q = len(questions)
    if own:
        scores = torch.einsum("qd,qkd->qk", questions, torch.cat([positives[:, None], negatives], 1)) / divisor
        return float(-scores.log_softmax(dim)[:, 0].mean()) * factor
    scores = questions @ torch.cat([positives, negatives.flatten(0, 1)]).T / divisor  # (q, x)
    return float(-scores.log_softmax(dim)[:, :q].diagonal().mean()) * factor


@checker
def check_mean(mean_of):
    """A verdict on `mean_of(tables)`: each question's scores to mean 0 and deviation 1, then the teachers' mean."""

    def table(tables: Sequence[np.ndarray]) -> np.ndarray:
        values = np.asarray(call(mean_of, tables), dtype=float)
        if values.shape != tables[0].shape:
            raise Mistake(f"A table {tables[0].shape} was expected, not {values.shape}.")
        return values

    spread = "A NaN made its whole question NaN: leave NaN out of the mean and deviation (np.nanmean, np.nanstd)."
    compare_calls(table, _mean, {"": (TABLES,)}, {
        "A cell that one teacher did not score has no mean: it stays NaN (you left the missing one out).":
            {"over": np.nanmean},
        "You took the mean of the raw scores: the teacher with the largest spread decides alone.":
            {"centre": False, "scale": False},
        "You standardised over all questions together: do it for each question (axis=1, keepdims=True).":
            {"axis": None},
        "You only shifted the scores: divide by each question's standard deviation too.": {"scale": False},
        "You only scaled the scores: subtract each question's mean first.": {"centre": False},
        "You divided by the count minus one (ddof=1): the kit's standard deviation divides by the count.": {"ddof": 1},
        "You summed the teachers: take their mean.": {"over": np.sum},
        spread: {"mean": np.mean, "std": np.std},
    })  # fmt: skip
    return "no teacher is louder than another. (T2 of Margin-MSE needs none of this: three of one kind.)"


def _mean(
    tables: Sequence[np.ndarray], over=np.mean, axis=1, ddof=0, centre=True, scale=True, mean=np.nanmean, std=np.nanstd
) -> np.ndarray:
    rows = []
    for table in tables:
        moved = table - (mean(table, axis=axis, keepdims=True) if centre else 0)
        rows.append(moved / (std(table, axis=axis, keepdims=True, ddof=ddof) if scale else 1))
    return over(rows, axis=0)
