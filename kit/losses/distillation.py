"""Losses that teach a student's scores from a teacher's, and `LOSSES`, the table of them. Knows no models, no files.

Each is `loss(student (q, k), teacher (q, k), mask=None, **options) -> scalar`. s and t are the scores, r and p their
softmax over a question's passages (s / temperature, t / teacher_temperature), c a constant of the question.

| name               | value of one question                               | source               | unchanged by       |
|--------------------|-----------------------------------------------------|----------------------|--------------------|
| `kl`               | sum p (log p - log r)                               | FiD-KD, RDR, Atlas   | s + c, t + c       |
| `reverse_kl`       | sum r (log r - log p)                               | REPLUG-LSR           | s + c, t + c       |
| `js`               | half of KL(p, m) + KL(r, m), m = (p + r) / 2        | Lin 1991             | s + c, t + c       |
| `listnet`          | -sum p log(r + 1e-6)                                | Cao 2007, matchmaker | s + c, t + c       |
| `mse`              | (s - t)^2, mean over all cells of the batch         | FiD-KD's ablation    | s + c with t + c   |
| `margin_mse`       | mean over pairs of ((s_i - s_j) - (t_i - t_j))^2    | Hofstaetter 2020     | s + c, t + c       |
| `max_margin`       | mean over t_i > t_j of max(0, margin - (s_i - s_j)) | FiD-KD's ablation    | s + c, scale of t* |
| `ranknet`          | mean over t_i > t_j of log(1 + exp(s_j - s_i))      | Burges 2005          | s + c, scale of t* |
| `ranknet_weighted` | the same, each pair times t_i - t_j                 | matchmaker           | s + c, t + c       |
| `lambda_rank`, ... | sum over pairs, weighted by their worth in nDCG     | Wang 2018            | s + c, t + c       |

`...`: `ndcg_loss1`, `ndcg_loss2`, `ndcg_loss2pp`, see `lambda_loss`. (*) And any change of t that keeps its order.
The scale of s matters to every loss. T5's attention scores have no 1/sqrt(d): at a teacher temperature of 1 p may be
nearly one-hot, and then `kl` teaches little more than the first passage. Look at p, raise the temperature if so.

The mean is over the questions with a passage; one passage alone is worth 0; no passage at all: 0 with zero gradient.
(`mse`: over cells, one passage counts as well.) A masked cell changes nothing and may hold anything. A teacher's NaN is
a passage that was not scored: left out. A teacher's -inf (a passage without tokens) is probability 0 for `kl`, `js` and
`listnet`, and left out by the others. The teacher gets no gradient. Half precision is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kit.losses.ranking import (
    checked_mask,
    lambda_loss,
    margin_mse,
    masked_log_softmax,
    max_margin,
    mean_over_questions,
    ranknet,
    ranknet_weighted,
    real_cells,
)
from kit.types import KitError


def kl(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
) -> Float[Tensor, ""]:
    """Mean over questions of KL(p, r), p and r the softmax of the scores over their temperatures: a scalar, nats.

    `teacher_temperature=None` is the student's. There is no factor of temperature squared.
    Source: FiD-KD (arXiv 2012.04584), RDR (2010.10999), Atlas (2208.03299: pdist, loop, adist). The code of FiD and of
    Atlas divides by k once more (100 times smaller at 100 passages; Adam does not notice). matchmaker's passes
    probabilities where logarithms are due (-0.73 on the recorded batch, 3.27 here).

    >>> kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, float("-inf")]]))  # one-hot against even: log 2
    tensor(0.6931)
    """
    student, teacher, real = real_cells(student, teacher, mask, zero_probability=True)
    log_r, log_p = _log_softmaxes(student, teacher, real, temperature, teacher_temperature)
    return mean_over_questions(_divergence(log_p, log_r), real)


def reverse_kl(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
) -> Float[Tensor, ""]:
    """Mean over questions of KL(r, p), `kl` with teacher and student exchanged: a scalar, nats.

    Makes the student leave what the teacher excludes, where `kl` makes it cover all that the teacher likes. A teacher
    of -inf would make it infinite: such a cell is left out.
    Source: REPLUG-LSR (arXiv 2301.12652), with t the log-likelihood of the answer (temperatures of 0.1, unverified).

    >>> reverse_kl(torch.tensor([[9.0, -9.0]]), torch.tensor([[0.0, 0.0]]))  # one-hot against even: log 2
    tensor(0.6931)
    """
    student, teacher, real = real_cells(student, teacher, mask)
    log_r, log_p = _log_softmaxes(student, teacher, real, temperature, teacher_temperature)
    return mean_over_questions(_divergence(log_r, log_p), real)


def js(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
) -> Float[Tensor, ""]:
    """Mean over questions of the Jensen-Shannon divergence of p and r (see `kl`): a scalar from 0 to log 2. (Lin 1991.)

    >>> js(torch.tensor([[99.0, 0.0]]), torch.tensor([[0.0, 99.0]]))  # they share nothing: log 2
    tensor(0.6931)
    """
    student, teacher, real = real_cells(student, teacher, mask, zero_probability=True)
    log_r, log_p = _log_softmaxes(student, teacher, real, temperature, teacher_temperature)
    log_m = torch.logaddexp(log_r.masked_fill(~real, 0.0), log_p) - math.log(2)  # (q, k)
    return mean_over_questions((_divergence(log_p, log_m) + _divergence(log_r, log_m)) / 2, real)


def listnet(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
    epsilon: float = 1e-6,
) -> Float[Tensor, ""]:
    """Mean over questions of -sum softmax(teacher) log(softmax(student) + epsilon): a scalar, nats.

    It is `kl` plus the teacher's entropy, a constant. Epsilon bounds a passage's cost (13.8 nats at 1e-6) and takes the
    gradient from passages whose student probability is below it; `epsilon=0` is the soft cross-entropy.
    Source: ListNet's top-one loss (Cao et al. 2007), as in matchmaker.

    >>> listnet(torch.tensor([[0.0, 0.0]]), torch.tensor([[5.0, 5.0]]))  # log 2
    tensor(0.6931)
    """
    if epsilon < 0:
        raise KitError("listnet: epsilon", "at least 0", epsilon)
    student, teacher, real = real_cells(student, teacher, mask, zero_probability=True)
    log_r, log_p = _log_softmaxes(student, teacher, real, temperature, teacher_temperature)
    log_r = torch.logaddexp(log_r.masked_fill(~real, 0.0), log_r.new_tensor(epsilon).log())  # (q, k)
    return mean_over_questions(-(log_p.exp() * log_r).sum(1), real)


def mse(
    student: Float[Tensor, "q k"], teacher: Float[Tensor, "q k"], mask: Bool[Tensor, "q k"] | None = None
) -> Float[Tensor, ""]:
    """Mean over all cells of the batch of (student - teacher)^2: a scalar.

    The student must reach the teacher's own values; where scales or offsets differ, `margin_mse` or `kl` is better.
    Source: the ablation of FiD-KD; for pairs matchmaker's MSETeacherPointwise.

    >>> mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
    tensor(2.)
    """
    student, teacher, real = real_cells(student, teacher, mask)
    return (student - teacher).square().sum() / real.sum().clamp(min=1)


LOSSES: dict[str, Callable[..., Float[Tensor, ""]]] = {
    "kl": kl,
    "reverse_kl": reverse_kl,
    "js": js,
    "listnet": listnet,
    "mse": mse,
    "margin_mse": margin_mse,
    "max_margin": max_margin,
    "ranknet": ranknet,
    "ranknet_weighted": ranknet_weighted,
    "lambda_rank": partial(lambda_loss, scheme="lambda_rank"),
    "ndcg_loss1": partial(lambda_loss, scheme="ndcg_loss1"),
    "ndcg_loss2": partial(lambda_loss, scheme="ndcg_loss2"),
    "ndcg_loss2pp": partial(lambda_loss, scheme="ndcg_loss2pp"),
}


def in_batch_nll(
    question_vectors: Float[Tensor, "q d"], passage_vectors: Float[Tensor, "x d"], positive: Int[Tensor, " q"]
) -> Float[Tensor, ""]:
    """Mean over questions of -log softmax over all passages of the batch of q.p, at the question's positive: a scalar.

    `positive` is the row of each question's passage; every other row is a negative to it. Plain dot products (for FiD's
    1/sqrt(d) give scaled questions), in float32 under autocast too: near 100 bfloat16 has steps of 0.5.
    Source: DPR (arXiv 2004.04906) eq. 2.

    >>> in_batch_nll(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 7.0], [2.0, -7.0]]), torch.tensor([0]))  # log 2
    tensor(0.6931)
    """
    q, x, d = len(question_vectors), len(passage_vectors), question_vectors.shape[-1]
    _check_shape("in_batch_nll: question_vectors (q, d)", question_vectors, (q, d))
    _check_shape("in_batch_nll: passage_vectors (x, d)", passage_vectors, (x, d))
    _check_shape("in_batch_nll: positive (q,)", positive, (q,))
    if positive.is_floating_point() or (q and not 0 <= int(positive.min()) <= int(positive.max()) < x):
        raise KitError("in_batch_nll: positive", f"integers from 0 to {x - 1}", positive.tolist())
    dtype = torch.promote_types(question_vectors.dtype, torch.float32)
    with torch.autocast(question_vectors.device.type, enabled=False):
        scores = question_vectors.to(dtype) @ passage_vectors.to(dtype).T  # (q, x)
    return -scores.log_softmax(1).gather(1, positive.long()[:, None]).sum() / max(q, 1)


def emdr2(
    answer_log_likelihoods: Float[Tensor, "q k a"],
    student: Float[Tensor, "q k"],
    answer_mask: Bool[Tensor, "q a"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    per: str = "token",
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Minus the log of the answer's likelihood, marginal over passages drawn by the student: a scalar, nats.

    `answer_log_likelihoods` is the reader's log p(a_t | question, passage, a_<t), constant here. `per="token"`: mean
    over answer tokens of -log sum_k r_k p(a_t | k), as Atlas; `per="sequence"`: mean over questions of
    -log sum_k r_k prod_t p(a_t | k), as the EMDR2 paper. Questions without a passage or an answer token are left out;
    one passage alone gives its own likelihood, and no gradient.
    Source: EMDR2 (arXiv 2106.05346, formula unverified); Atlas (2208.03299), whose code divides the reader's logits too
    by the teacher temperature (223 on the recorded batch at its default of 0.01, 24 at 0.1): give them at 1.

    >>> emdr2(torch.tensor([[[0.5], [0.25]]]).log(), torch.tensor([[0.0, 0.0]]), torch.tensor([[True]]))  # -log 0.375
    tensor(0.9808)
    """
    if per not in ("token", "sequence"):
        raise KitError("emdr2: per", "'token' or 'sequence'", repr(per))
    _check_temperature(temperature)
    student, _, real = real_cells(student, torch.zeros_like(student), mask)
    q, k, a = *student.shape, answer_log_likelihoods.shape[-1]
    _check_shape("emdr2: answer_log_likelihoods (q, k, a)", answer_log_likelihoods, (q, k, a))
    words = checked_mask(answer_mask, (q, a), "emdr2: answer_mask")
    cells = real[:, :, None] & words[:, None, :]  # (q, k, a)
    likelihoods = answer_log_likelihoods.detach().to(student.dtype).masked_fill(~cells, 0.0)
    log_r = masked_log_softmax(student / temperature, real)  # (q, k)
    if per == "token":
        values = (likelihoods + log_r[:, :, None]).logsumexp(1)  # (q, a)
        counted = cells.any(1)
    else:
        values = (likelihoods.sum(2) + log_r).logsumexp(1)  # (q,)
        counted = cells.any(2).any(1)
    return -values.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def dpr_reader_loss(
    start_logits: Float[Tensor, "q k t"],
    end_logits: Float[Tensor, "q k t"],
    relevance_logits: Float[Tensor, "q k"],
    start_positions: Int[Tensor, "q k a"],
    end_positions: Int[Tensor, "q k a"],
    answer_mask: Bool[Tensor, "q k a"],
    mask: Bool[Tensor, "q k"] | None = None,
) -> Float[Tensor, ""]:
    """SUM over questions of -log P(passage 0 is chosen) - log sum over its spans of P(start) P(end): a scalar, nats.

    Passage 0 of each question is the positive; `a` numbers its accepted answer spans, by first and last token.
    P(start) and P(end) are softmaxes over the t tokens of that one passage. A span outside the t tokens (cut off) is
    left out; a question without a span adds its choice only, one whose passage 0 is masked adds 0.
    Source: DPR (arXiv 2004.04906) section 6.1; its code too sums, and takes a span of probability 1 for padding.

    >>> even = torch.zeros(1, 2, 4)  # 2 passages of 4 tokens: log 2 + log 16
    >>> dpr_reader_loss(even, even, even[:, :, 0], *torch.tensor([1, 2, 1])[:, None, None, None].expand(3, 1, 2, 1))
    tensor(3.4657)
    """
    relevance, _, real = real_cells(relevance_logits, torch.zeros_like(relevance_logits), mask)
    tokens, spans_shape = (*real.shape, start_logits.shape[-1]), (*real.shape, start_positions.shape[-1])
    for name, logits, positions in (("start", start_logits, start_positions), ("end", end_logits, end_positions)):
        _check_shape(f"dpr_reader_loss: {name}_logits (q, k, t)", logits, tokens)
        _check_shape(f"dpr_reader_loss: {name}_positions (q, k, a)", positions, spans_shape)
    present = real[:, 0]  # (q,): the question has its positive
    spans = checked_mask(answer_mask, spans_shape, "dpr_reader_loss: answer_mask")[:, 0] & present[:, None]  # (q, a)
    log_likelihood = torch.zeros_like(spans, dtype=relevance.dtype)
    for logits, positions in ((start_logits, start_positions[:, 0]), (end_logits, end_positions[:, 0])):
        logs = logits[:, 0].to(relevance.dtype).masked_fill(~present[:, None], 0.0).log_softmax(1)  # (q, t)
        spans = spans & (positions >= 0) & (positions < logs.shape[1])
        log_likelihood = log_likelihood + logs.gather(1, positions.long().clamp(0, logs.shape[1] - 1))  # (q, a)
    answered = spans.any(1)
    marginal = log_likelihood.masked_fill(~spans & answered[:, None], -math.inf).logsumexp(1)  # (q,)
    choice = masked_log_softmax(relevance, real)[:, 0]  # (q,)
    return -(choice.masked_fill(~present, 0.0) + marginal.masked_fill(~answered, 0.0)).sum()


def _log_softmaxes(
    student: Tensor, teacher: Tensor, real: Tensor, temperature: float, teacher_temperature: float | None
) -> tuple[Tensor, Tensor]:
    """Log of the student's and the teacher's softmax, (q, k) each, -inf outside the real cells."""
    teacher_temperature = temperature if teacher_temperature is None else teacher_temperature
    for value in (temperature, teacher_temperature):
        _check_temperature(value)
    return masked_log_softmax(student / temperature, real), masked_log_softmax(teacher / teacher_temperature, real)


def _check_shape(where: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise KitError(where, f"shape {shape}", tuple(tensor.shape))


def _check_temperature(value: float) -> None:
    if not 0 < value < math.inf:
        raise KitError("loss: temperature", "a finite number above 0", value)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """sum p (log p - log q) of each question, (q,); where p is 0 there is nothing, whatever q is."""
    nothing = log_p.isneginf()
    return (log_p.exp() * (log_p.masked_fill(nothing, 0.0) - log_q.masked_fill(nothing, 0.0))).sum(1)
