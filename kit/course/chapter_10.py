"""Checkers of notebook 10: leave-one-out, in-batch negatives, the mean of teachers. Each names the likely mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.losses import in_batch_nll

NanTable = Float[np.ndarray, "q k"]
HELPS = {"p1": 0.2, "p2": 2.5, "p3": 0.9, "p4": 0.1}  # how much each passage lowers the answer's loss
ALONE = 6.0  # the loss with no passage at all
TABLES = (
    np.array([[-90.0, -95.0, -93.0, np.nan], [-80.0, -81.0, -90.0, -85.0]], dtype=np.float32),
    np.array([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.2, 0.9]], dtype=np.float32),
)


def check_leave_one_out(
    my_loop: Callable[[Callable[[Sequence[str]], float], Sequence[str]], Sequence[float]],
) -> Verdict:
    """Whether `my_loop(loss_of, passages)` gives the answer's loss without each passage: higher, the better it is."""
    names = list(HELPS)
    asked: list[tuple[str, ...]] = []

    def loss_of(passages: Sequence[str]) -> float:
        asked.append(tuple(passages))
        return ALONE - sum(HELPS[name] for name in passages)

    mine = answer_of(my_loop, loss_of, list(names))
    if isinstance(mine, Verdict):
        return mine
    given = np.asarray(mine, dtype=float)
    if given.shape != (len(names),):
        return not_yet(f"A score for each of the {len(names)} passages was wanted, given {given.shape}.")
    without = {name: ALONE - sum(value for other, value in HELPS.items() if other != name) for name in names}
    wanted, everything = np.array(list(without.values())), ALONE - sum(HELPS.values())
    alone = np.array([ALONE - value for value in HELPS.values()])
    if not np.allclose(given, wanted):
        return _named(given, wanted, {
            "This is the loss with that passage alone: leave it out, and read all the others.": alone,
            "The sign is turned: a passage without which the answer suffers is a good one.": -wanted,
            "This is minus the loss with that passage alone, PDist's score: leave it out, read the others.": -alone,
            "This is the loss without it less the loss with all: the same order and the same KL, for a question's "
            "scores may be shifted. Atlas's score is the loss without it alone.": wanted - everything,
        })  # fmt: skip
    if len(asked) > len(names):
        return not_yet(f"Right, but you read {len(asked)} times: {len(names)} readings suffice.")
    return passed("k readings of k - 1 passages: the cost grows with k squared.")


def check_in_batch(my_nll: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Whether `my_nll(questions, positives, negatives)` lets every question compete with all passages of the batch."""
    draw = torch.Generator().manual_seed(5)
    questions, positives = torch.randn(4, 6, generator=draw), torch.randn(4, 6, generator=draw)
    negatives = torch.randn(4, 2, 6, generator=draw)
    mine = answer_of(my_nll, questions.clone(), positives.clone(), negatives.clone())
    if isinstance(mine, Verdict):
        return mine
    if not isinstance(mine, Tensor) or mine.ndim != 0:
        return not_yet("One number was wanted: a tensor without dimensions, the mean over the questions.")
    passages = torch.cat([positives, negatives.flatten(0, 1)])
    own = torch.arange(4)
    wanted = float(in_batch_nll(questions, passages, own))
    if abs(float(mine) - wanted) <= 1e-4 * wanted:
        return passed("one matrix product, and each question has all other questions' passages for negatives.")
    all_scores, mine_only = questions @ passages.T, torch.cat([positives[:, None], negatives], 1)  # (q, x), (q, k, d)
    across = -all_scores[:, :4].log_softmax(0).diagonal().mean()
    return _named(np.array(float(mine)), np.array(wanted), {
        "You used a question's own passages alone: all passages of the batch compete.":
            float(-torch.einsum("qd,qkd->qk", questions, mine_only).log_softmax(1)[:, 0].mean()),
        "The hard negatives are missing: they are negatives to every question.":
            float(in_batch_nll(questions, positives, own)),
        "The softmax goes over the passages (dim=1), not over the questions.": float(across),
        "You summed: take the mean over the questions.": 4 * wanted,
        "DPR's score is the plain dot product, without 1 / sqrt(d).":
            float(in_batch_nll(questions / 6**0.5, passages, own)),
        "The sign is turned: minus the log-probability.": -wanted,
        "Vectors were normalised: DPR's score is the plain dot product.":
            float(in_batch_nll(torch.nn.functional.normalize(questions, dim=1),
                               torch.nn.functional.normalize(passages, dim=1), own)),
    })  # fmt: skip


def check_mean(my_mean: Callable[[Sequence[NanTable]], NanTable]) -> Verdict:
    """Whether `my_mean(tables)` brings each question's scores to mean 0 and deviation 1, then takes the mean."""
    mine = answer_of(my_mean, [table.copy() for table in TABLES])
    if isinstance(mine, Verdict):
        return mine
    given = np.asarray(mine, dtype=float)
    if given.shape != TABLES[0].shape:
        return not_yet(f"A table {TABLES[0].shape} was wanted, given {given.shape}.")
    rows = [_standard(table) for table in TABLES]
    wanted = np.mean(rows, axis=0)
    if np.allclose(given, wanted, atol=1e-4, equal_nan=True):
        return passed("no teacher is louder than another. (T2 of Margin-MSE needs none of this: three of one kind.)")
    if np.isnan(given).sum() > np.isnan(wanted).sum():
        return not_yet(
            "A NaN spread over its question: leave NaN out of the mean and deviation (np.nanmean, np.nanstd)."
        )
    return _named(given, wanted, {
        "A cell that one teacher did not score has no mean: it stays NaN (you left the missing one out).":
            np.nanmean(rows, axis=0),
        "You took the mean of the raw scores: the teacher with the widest scores decides alone.":
            np.mean(TABLES, axis=0),
        "You took the mean of the raw scores that are there: bring them to one scale first.":
            np.nanmean(TABLES, axis=0),
        "You standardised over all questions together: do it for each question (axis=1, keepdims=True).":
            np.mean([(t - np.nanmean(t)) / np.nanstd(t) for t in TABLES], axis=0),
        "You only shifted the scores: divide by each question's standard deviation too.":
            np.mean([t - np.nanmean(t, axis=1, keepdims=True) for t in TABLES], axis=0),
        "You divided by the count less one (ddof=1): the kit's standard deviation divides by the count.":
            np.mean([_standard(t, ddof=1) for t in TABLES], axis=0),
        "You summed the teachers: take their mean.": np.sum(rows, axis=0),
    })  # fmt: skip


def _standard(table: np.ndarray, ddof: int = 0) -> np.ndarray:
    centred = table - np.nanmean(table, axis=1, keepdims=True)
    return centred / np.nanstd(table, axis=1, keepdims=True, ddof=ddof)


def _named(mine: np.ndarray, wanted: np.ndarray, mistakes: Mapping[str, object]) -> Verdict:
    for message, value in mistakes.items():
        value = np.asarray(value, dtype=float)
        same = np.allclose(value, wanted, atol=1e-4, equal_nan=True)
        if not same and np.allclose(mine, value, rtol=1e-4, atol=1e-5, equal_nan=True):
            return not_yet(message)
    return not_yet(f"On the checker's numbers it is {wanted.round(3).tolist()}, yours is {mine.round(3).tolist()}.")
