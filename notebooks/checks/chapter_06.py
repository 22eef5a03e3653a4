"""Checkers of notebook 06: Margin-MSE with a mask, KL's gradient, a temperature."""

import math

import torch
from torch import Tensor

from checks.compare import Mistake, call, checker, compare_calls, number, tensor

STUDENT = torch.tensor([[2.0, -1.0, 0.5, 7.0], [1.0, 3.0, -2.0, 0.25], [0.5, -0.75, 9.0, 4.0]])
TEACHER = torch.tensor([[-90.0, -95.0, -93.0, 0.0], [-88.0, -91.0, -86.5, -90.0], [-80.0, -79.0, 0.0, 0.0]])
MASK = torch.tensor([[True, True, True, False], [True, True, True, True], [True, True, False, False]])
SPREADS = (
    torch.tensor([[9.0, 2.0, 0.0, -3.0], [4.0, 3.0, -8.0, -9.0]]),
    torch.tensor([[50.0, 20.0, 0.0], [3.0, 9.0, 1.0]]),
)


@checker
def check_margin_mse(margin_mse):
    """A verdict on `margin_mse(student, teacher, mask)`: mean over questions of the mean over real pairs."""

    def loss(*arguments: Tensor) -> float:
        return number(call(margin_mse, *arguments))

    padded = "You compared the padding too: a pair counts if the mask is true for both its passages."
    few = "divide by the number of real pairs, c (c - 1)."
    compare_calls(loss, _margin_mse, {"This is the checker's batch.": (STUDENT, TEACHER, MASK)}, {
        padded: {"padding": True},
        padded + " (You divided by the real pairs alone.)": {"padding": True, "pairs": lambda c, k: c * (c - 1)},
        "You set the padding to 0 but still compared it: leave out pairs with a passage that is not there.":
            {"zeros": True},
        f"You divided by the number of all pairs, padding included: {few}": {"pairs": lambda c, k: k * (k - 1)},
        f"You counted each passage as a pair with itself (k x k cells): {few}": {"pairs": lambda c, k: c * c},
        "You divided by all k x k cells, padding included: divide by the real pairs.": {"pairs": lambda c, k: k * k},
        "This is the mean over all pairs of the batch: take it for each question first, then over questions, "
        "or long lists outweigh short ones.": {"batch": True},
        "You summed over the pairs: take the mean over a question's pairs.": {"pairs": lambda c, k: c**0},
        "You summed over the questions: take their mean.": {"factor": len(STUDENT)},
        "This is MSE, passage by passage: compare differences s_i - s_j with t_i - t_j.": {"single": True},
        "You compared |s_i - s_j| with |t_i - t_j|: margins have a sign.": {"absolute": True},
        "Each pair counts twice, as (i, j) and as (j, i), and so does the division: you halved one of them.":
            {"factor": 0.5},
        "You took the absolute error: square it.": {"power": 1},
    })  # fmt: skip
    if not math.isclose(loss(STUDENT + 5, TEACHER - 300, MASK), _margin_mse(STUDENT, TEACHER, MASK), rel_tol=1e-4):
        raise Mistake("A constant added to all scores changed your loss: compare differences, not the scores.")
    if loss(STUDENT[:, :1], TEACHER[:, :1], MASK[:, :1]) != 0:
        raise Mistake("A question with one passage has no pair: its loss is 0 (watch the division by 0 pairs).")
    return "only differences count, and only those of passages that are there."


def _margin_mse(
    student: Tensor, teacher: Tensor, mask: Tensor, padding=False, zeros=False, pairs=None,
    batch=False, factor=1.0, single=False, absolute=False, power=2,
) -> float:  # fmt: skip
    if zeros:
        student, teacher = student * mask, teacher * mask
    everywhere = padding or zeros
    k = mask.shape[1]
    ways = (pairs or (lambda c, k: k * (k - 1) if everywhere else c * (c - 1)))(mask.sum(1), k)
    mask = torch.ones_like(mask) if everywhere else mask
    if single:
        errors = (student - teacher).abs() ** power * mask
        return float(errors.sum() / mask.sum() * factor)
    margins = [x[:, :, None] - x[:, None, :] for x in (student, teacher)]  # (q, k, k)
    if absolute:
        margins = [margin.abs() for margin in margins]
    there = mask[:, :, None] & mask[:, None, :]
    sums = ((margins[0] - margins[1]).abs() ** power * there).sum((1, 2))  # (q,)
    ways = ways * torch.ones(len(mask))
    return float((sums.sum() / ways.sum() if batch else (sums / ways.clamp(min=1)).mean()) * factor)


@checker
def check_kl_gradient(kl_gradient):
    """A verdict on `kl_gradient(student, teacher, temperature)` (q, k): the gradient of `kl` by the student."""

    def gradient(*arguments: object) -> Tensor:
        return tensor(call(kl_gradient, *arguments), (2, 3), "A gradient has the shape of the scores")

    cases = {"This is the gradient at the checker's scores.": (STUDENT[:2, :3], TEACHER[:2, :3] / 3, 3.0)}
    compare_calls(gradient, _kl_gradient, cases, {
        "The sign is wrong: a passage that the student scores too high has a positive gradient.": {"sign": -1},
        "Divide by the number of questions: the loss is a mean over them.": {"questions": False},
        "Divide by the temperature once more: the scores are divided by it before the softmax.": {"after": False},
        "The scores are divided by the temperature before the softmax, on both sides.": {"before": False},
        "The temperature is missing: scores are divided by it before the softmax, and the gradient once more.":
            {"before": False, "after": False},
        "You divided by the number of passages too: that is FiD-KD's code, not batchmean.": {"passages": True},
        "The softmax goes over a question's passages (dim=1), not over the questions.": {"dim": 0},
        "You multiplied by the temperature (its square, once more): that is Hinton's scaling, not kl's.":
            {"scaled": True},
    })  # fmt: skip
    return "what the student believes, less what the teacher believes: it is 0 where they agree."


def _kl_gradient(
    student: Tensor, teacher: Tensor, temperature: float, sign=1, questions=True, after=True, before=True,
    passages=False, dim=1, scaled=False,
) -> Tensor:  # fmt: skip
    heat = temperature if before else 1.0
    beliefs = (student / heat).softmax(dim) - (teacher / heat).softmax(dim)
    q, k = student.shape
    divisor = (q if questions else 1) * (temperature if after else 1) * (k if passages else 1)
    return sign * beliefs / divisor * (temperature**2 if scaled else 1)


@checker
def check_temperature(temperature_of):
    """A verdict on `temperature_of(scores, count)`: softmax(scores / temperature) spreads over `count` passages."""
    for scores, count in ((SPREADS[0], 2.0), (SPREADS[1], 1.5), (SPREADS[1], 2.5)):
        value = number(call(temperature_of, scores, count))
        if not 0 < value < 1e6:
            raise Mistake(f"A temperature is a number above 0; yours is {value}.")
        entropy = _entropies(scores, value)
        if abs(float(entropy.exp().mean()) - count) <= 0.02 * count:
            continue
        slips = {
            "This is 1 over the temperature: scores are divided by it, so a larger one spreads more.":
                _entropies(scores, 1 / value).exp().mean(),
            "You took exp of the mean entropy: take exp for each question, then the mean.": entropy.mean().exp(),
            "exp of an entropy in bits: with log2 it is 2 ** entropy, with log it is exp(entropy).":
                (entropy / math.log(2)).exp().mean(),
        }  # fmt: skip
        for message, spread in slips.items():
            if abs(float(spread) - count) <= 0.02 * count:
                raise Mistake(message)
        spread = float(entropy.exp().mean())
        raise Mistake(f"At your temperature {value:.3g} the teacher spreads over {spread:.2f} passages, not {count}.")
    return "you can now say 'three passages' where a paper says 'temperature 4'."


def effective_passages(scores: Tensor, temperature: float = 1.0) -> float:
    """Over how many passages softmax(scores / temperature) spreads: mean over questions of exp(entropy), 1 to k.

    >>> effective_passages(torch.tensor([[0.0, 0.0, 0.0]]))
    3.0
    """
    return round(float(_entropies(scores, temperature).exp().mean()), 6)


def _entropies(scores: Tensor, temperature: float) -> Tensor:
    logs = (scores / temperature).log_softmax(1)
    return -(logs.exp() * logs).sum(1)
