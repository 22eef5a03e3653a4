"""Losses on pairs and ranks of a question's passages, and what every loss of two score tables shares.

`kit.losses` is the place to look a loss up: it holds the table of all of them. Here are those that ask which of two
passages is the better one, and by how much. Knows nothing of models, files or score tables' ids.

Shared by all: which cells count (`real_cells`), and that the mean is over questions (`mean_over_questions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from kit.arguments import one_of
from kit.types import KitError


def real_cells(
    student: Float[Tensor, "q k"], teacher: Tensor, mask: Tensor | None, *, zero_probability: bool = False
) -> tuple[Float[Tensor, "q k"], Float[Tensor, "q k"], Bool[Tensor, "q k"]]:
    """Student, teacher (detached) and which cells count, each (q, k); both scores are 0 where a cell does not count.

    A cell counts where the mask is true and the teacher is finite: NaN is a passage that was not scored. With
    `zero_probability` a teacher of -inf counts too, in questions that have a finite score. Half precision becomes
    float32. `KitError` for shapes that differ, a student that is not floating, a mask that is not bool or 0/1 integers.
    """
    if not all(isinstance(scores, Tensor) for scores in (student, teacher)):
        raise KitError("loss", "two tensors (q, k)", f"{type(student).__name__} and {type(teacher).__name__}")
    if student.ndim != 2 or not student.is_floating_point():
        raise KitError("loss: student", "floating scores (q, k)", f"{student.dtype} {tuple(student.shape)}")
    if teacher.shape != student.shape:
        raise KitError("loss: teacher", f"the student's shape {tuple(student.shape)}", tuple(teacher.shape))
    dtype = torch.promote_types(student.dtype, torch.float32)
    teacher = teacher.detach().to(dtype)
    real = torch.ones_like(teacher, dtype=torch.bool) if mask is None else checked_mask(mask, student.shape)
    finite = real & teacher.isfinite()
    real = (finite | (real & teacher.isneginf())) & finite.any(1, keepdim=True) if zero_probability else finite
    return student.to(dtype).masked_fill(~real, 0.0), teacher.masked_fill(~real, 0.0), real


def checked_mask(mask: Tensor, shape: tuple[int, ...], where: str = "loss: mask") -> Tensor:
    """The mask as bool, of this shape; a float mask is refused, as it may be an additive one (0 and -1e9)."""
    if not isinstance(mask, Tensor) or mask.shape != shape or mask.is_floating_point() or mask.is_complex():
        given = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise KitError(where, f"bool {tuple(shape)}, true where there is something", given)
    return mask.bool()


def mean_over_questions(values: Float[Tensor, " q"], real: Bool[Tensor, "q k"]) -> Float[Tensor, ""]:
    """The mean of a value per question, over questions with a passage; one passage alone is worth 0; none at all: 0.

    So it is batchmean where every question has a passage, and padding a batch with empty questions changes nothing.
    """
    count = real.sum(1)  # (q,)
    return values.masked_fill(count < 2, 0.0).sum() / (count > 0).sum().clamp(min=1)


def masked_log_softmax(scores: Float[Tensor, "q k"], real: Bool[Tensor, "q k"]) -> Float[Tensor, "q k"]:
    """Log of the softmax over each question's real cells, -inf elsewhere; a question without any stays finite."""
    outside = ~real & real.any(1, keepdim=True)
    return scores.masked_fill(outside, -math.inf).log_softmax(1)


def margin_mse(
    student: Float[Tensor, "q k"], teacher: Float[Tensor, "q k"], mask: Bool[Tensor, "q k"] | None = None
) -> Float[Tensor, ""]:
    """Mean over questions of the mean, over all pairs of its passages, of ((s_i - s_j) - (t_i - t_j))^2: a scalar.

    Two passages: exactly the paper's loss of (positive, negative). Signed, no temperature: a constant added to a
    question's scores, the student's or the teacher's, changes nothing; their scale matters. With e = s - t the mean
    over pairs is twice the variance (over k - 1) of e, and is computed so: no k x k table, the same number.
    Source: Hofstaetter et al. 2020 (arXiv 2010.02666) for two passages; matchmaker's inter-passage form is the same
    over the pairs of a positive and a negative only.

    >>> margin_mse(torch.tensor([[5.0, 2.0]]), torch.tensor([[101.0, 100.0]]))  # margins 3 and 1
    tensor(4.)
    """
    student, teacher, real = real_cells(student, teacher, mask)
    error, count = student - teacher, real.sum(1)
    centred = error - error.sum(1, keepdim=True) / count[:, None].clamp(min=1)  # (q, k)
    squares = centred.square().masked_fill(~real, 0.0).sum(1)  # (q,)
    return mean_over_questions(2 * squares / (count - 1).clamp(min=1), real)


def max_margin(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean over questions of the mean, over pairs with t_i > t_j, of max(0, margin - (s_i - s_j)): a scalar.

    Only the teacher's order counts; its ties are no pairs. The margin is in units of the student's scores.
    Source: the loss ablation of FiD-KD (arXiv 2012.04584): a max-margin loss with margins of 1, 0.2 and 0.1. Its code
    was not released and its formula not recovered. Chosen here: pairs by the teacher's order, all of them (not a
    sample), mean and not sum (a sum is 4950 times larger at 100 passages), one margin whatever the teacher's gap, and
    the student's scores as for `kl`, divided by sqrt(d).

    >>> max_margin(torch.tensor([[1.0, 0.5, 3.0]]), torch.tensor([[9.0, 8.0, 7.0]]))  # pairs cost 0.5, 3 and 3.5
    tensor(2.3333)
    """
    if not margin > 0:
        raise KitError("max_margin: margin", "a number above 0", margin)
    student, teacher, real = real_cells(student, teacher, mask)
    cost = (margin - _differences(student)).clamp(min=0)  # (q, k, k)
    return mean_over_questions(_mean_over_pairs(cost, _ordered_pairs(teacher, real)), real)


def ranknet(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    target: str = "order",
) -> Float[Tensor, ""]:
    """Mean over questions of the mean, over pairs, of the cross-entropy of sigmoid(s_i - s_j) with a label: a scalar.

    `target="order"`: pairs with t_i > t_j (ties are no pairs) and label 1, each worth log(1 + exp(-(s_i - s_j))); only
    the teacher's order counts. `target="probability"`: all pairs, with the soft label sigmoid(t_i - t_j), 1/2 for ties.
    Source: Burges et al. 2005 eq. 3 (both labels).

    >>> ranknet(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 1.0]]))  # log 2
    tensor(0.6931)
    """
    if target not in ("order", "probability"):
        raise KitError("ranknet: target", "'order' or 'probability'", repr(target))
    student, teacher, real = real_cells(student, teacher, mask)
    margins = _differences(student)  # (q, k, k)
    if target == "order":
        cost, pairs = -functional.logsigmoid(margins), _ordered_pairs(teacher, real)
    else:
        label = _differences(teacher).sigmoid()
        cost = functional.binary_cross_entropy_with_logits(margins, label, reduction="none")
        pairs = (real[:, :, None] & real[:, None, :]).triu(1)  # (q, k, k): each pair once
    return mean_over_questions(_mean_over_pairs(cost, pairs), real)


def ranknet_weighted(
    student: Float[Tensor, "q k"], teacher: Float[Tensor, "q k"], mask: Bool[Tensor, "q k"] | None = None
) -> Float[Tensor, ""]:
    """Mean over questions of the mean, over pairs with t_i > t_j, of (t_i - t_j) log(1 + exp(-(s_i - s_j))): a scalar.

    A pair's weight is the teacher's margin, not normalised: the teacher's scale is a factor.
    Source: matchmaker's RankNetTeacher, which orders a pair by its label (positive, negative) and not by the teacher:
    where the teacher disagrees its weight is negative and the loss has no lower bound (-4.07 on the recorded batch,
    1.91 here).

    >>> ranknet_weighted(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 3.0]]))  # 2 log 2
    tensor(1.3863)
    """
    student, teacher, real = real_cells(student, teacher, mask)
    cost = -functional.logsigmoid(_differences(student)) * _differences(teacher)  # (q, k, k)
    return mean_over_questions(_mean_over_pairs(cost, _ordered_pairs(teacher, real)), real)


def lambda_loss(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    scheme: str = "lambda_rank",
    relevance: str = "softmax",
    cutoff: int | None = None,
    sigma: float = 1.0,
    mu: float = 10.0,
) -> Float[Tensor, ""]:
    """Mean over questions of the sum, over pairs with y_i > y_j, of w_ij log2(1 + exp(-sigma (s_i - s_j))): bits.

    The weights are what a pair is worth in nDCG at the student's present ranks r (no gradient through them), with
    D(r) = log2(1 + r), G = (2^y - 1) / ideal DCG and m = |r_i - r_j|. `scheme`: "lambda_rank" is
    |1/D(r_i) - 1/D(r_j)| |G_i - G_j|; "ndcg_loss2" |1/D(m) - 1/D(m+1)| |G_i - G_j|; "ndcg_loss2pp" mu times that plus
    lambda_rank; "ndcg_loss1" G_i / D(r_i), over all i and j, i = j too. `cutoff` keeps the student's first ranks only.
    `relevance` makes y: "softmax" of the teacher, plus 2 where it is above 0.001 (as matchmaker); "grades": the teacher
    is y itself (0, 1, 2 ...).
    Source: Wang et al. 2018 (LambdaLoss), as in allRank and matchmaker. Those sum over the batch (q times this), write
    -inf into their arguments, and floor each pair's probability at 1e-6, so that the worst pairs get no gradient. Here
    there is no floor; on the recorded batches these four schemes give the same numbers without it.

    >>> lambda_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]), relevance="grades")  # 1 - 1 / log2(3)
    tensor(0.3691)
    """
    one_of("lambda_loss: scheme", scheme, SCHEMES)
    if cutoff is not None and cutoff < 1:
        raise KitError("lambda_loss: cutoff", "at least 1", cutoff)
    student, teacher, real = real_cells(student, teacher, mask)
    grades, ranks = _grades(teacher, real, relevance), _ranks(student.detach(), real)
    kept = real if cutoff is None else real & (ranks <= cutoff)
    pairs = kept[:, :, None] & kept[:, None, :] if scheme == "ndcg_loss1" else _ordered_pairs(grades, kept)
    weights = SCHEMES[scheme](_gains(grades, cutoff), ranks, mu)
    bits = -weights * functional.logsigmoid(sigma * _differences(student)) / math.log(2)  # (q, k, k)
    return mean_over_questions(bits.masked_fill(~pairs, 0.0).sum((1, 2)), real)


def _grades(teacher: Tensor, real: Tensor, relevance: str) -> Tensor:
    if relevance == "grades":
        if (teacher < 0).any():
            raise KitError("lambda_loss: teacher as relevance='grades'", "grades of at least 0", teacher.min().item())
        return teacher
    if relevance != "softmax":
        raise KitError("lambda_loss: relevance", "'softmax' or 'grades'", repr(relevance))
    share = masked_log_softmax(teacher, real).exp()
    return (share + 2.0 * (share > 0.001)).masked_fill(~real, 0.0)


def _ranks(scores: Tensor, real: Tensor) -> Tensor:
    """Rank from 1 of each cell within its question, highest first; cells that are not real come last."""
    order = scores.masked_fill(~real, -math.inf).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(1, scores.shape[1] + 1, device=scores.device).expand_as(order)
    return torch.zeros_like(order).scatter(1, order, places)


def _gains(grades: Tensor, cutoff: int | None) -> Tensor:
    """(2^y - 1) over the best DCG that the question's grades allow; 0 where no passage is relevant."""
    gains = 2.0**grades - 1
    places = torch.arange(1, grades.shape[1] + 1, device=grades.device)
    best = (gains.sort(1, descending=True).values / _discount(places))[:, :cutoff].sum(1, keepdim=True)  # (q, 1)
    return gains / best.masked_fill(best == 0, 1.0)


def _discount(ranks: Tensor) -> Tensor:
    return torch.log2(1.0 + ranks)


def _ndcg_loss1(gains: Tensor, ranks: Tensor, mu: float) -> Tensor:
    return (gains / _discount(ranks))[:, :, None]  # (q, k, 1)


def _ndcg_loss2(gains: Tensor, ranks: Tensor, mu: float) -> Tensor:
    apart = _differences(ranks).abs().clamp(min=1)  # a passage is no pair with itself: any value will do there
    return (1 / _discount(apart) - 1 / _discount(apart + 1)) * _differences(gains).abs()


def _lambda_rank(gains: Tensor, ranks: Tensor, mu: float) -> Tensor:
    return _differences(1 / _discount(ranks)).abs() * _differences(gains).abs()


def _ndcg_loss2pp(gains: Tensor, ranks: Tensor, mu: float) -> Tensor:
    return mu * _ndcg_loss2(gains, ranks, mu) + _lambda_rank(gains, ranks, mu)


SCHEMES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "ndcg_loss1": _ndcg_loss1,
    "ndcg_loss2": _ndcg_loss2,
    "lambda_rank": _lambda_rank,
    "ndcg_loss2pp": _ndcg_loss2pp,
}


def _differences(values: Tensor) -> Tensor:
    return values[:, :, None] - values[:, None, :]  # (q, k, k): i minus j


def _ordered_pairs(teacher: Tensor, real: Tensor) -> Tensor:
    return (teacher[:, :, None] > teacher[:, None, :]) & real[:, :, None] & real[:, None, :]  # (q, k, k)


def _mean_over_pairs(cost: Tensor, pairs: Tensor) -> Tensor:
    return cost.masked_fill(~pairs, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)  # (q,)
