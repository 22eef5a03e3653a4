"""Checkers of notebook 06: Margin-MSE with a mask, KL's gradient, a temperature. Each names the likely mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.losses import kl, margin_mse, mse

STUDENT = torch.tensor([[2.0, -1.0, 0.5, 7.0], [1.0, 3.0, -2.0, 0.25], [0.5, -0.75, 9.0, 4.0]])
TEACHER = torch.tensor([[-90.0, -95.0, -93.0, 0.0], [-88.0, -91.0, -86.5, -90.0], [-80.0, -79.0, 0.0, 0.0]])
MASK = torch.tensor([[True, True, True, False], [True, True, True, True], [True, True, False, False]])
SPREADS = (
    torch.tensor([[9.0, 2.0, 0.0, -3.0], [4.0, 3.0, -8.0, -9.0]]),
    torch.tensor([[50.0, 20.0, 0.0], [3.0, 9.0, 1.0]]),
)

MarginMse = Callable[[Float[Tensor, "q k"], Float[Tensor, "q k"], Bool[Tensor, "q k"]], Tensor]


def check_margin_mse(my_margin_mse: MarginMse) -> Verdict:
    """Whether `my_margin_mse(student, teacher, mask)` is the kit's: mean over questions of the mean over real pairs."""
    mine = _number(answer_of(my_margin_mse, STUDENT.clone(), TEACHER.clone(), MASK.clone()))
    if isinstance(mine, Verdict):
        return mine
    wanted = float(margin_mse(STUDENT, TEACHER, MASK))
    if not _close(mine, wanted):
        return _named(mine, wanted, _margin_mistakes())
    shifted = _number(answer_of(my_margin_mse, STUDENT + 5, TEACHER - 300, MASK))
    if isinstance(shifted, Verdict) or not _close(shifted, wanted):
        return not_yet("A constant added to all scores changed your loss: compare differences, not the scores.")
    alone = _number(answer_of(my_margin_mse, STUDENT[:, :1], TEACHER[:, :1], MASK[:, :1]))
    if isinstance(alone, Verdict) or alone != 0:
        return not_yet("A question with one passage has no pair: its loss is 0 (watch the division by 0 pairs).")
    return passed("only differences count, and only those of passages that are there.")


def _margin_mistakes() -> dict[str, float]:
    error, shape = (STUDENT - TEACHER).masked_fill(~MASK, 0.0), STUDENT.shape
    count = MASK.sum(1)
    pairs = MASK[:, :, None] & MASK[:, None, :]  # (q, k, k)
    squares = (error[:, :, None] - error[:, None, :]).square().masked_fill(~pairs, 0.0)  # (q, k, k)
    sums, ways = squares.sum((1, 2)), count * (count - 1)  # (q,): of ordered pairs
    lengths = [(x[:, :, None] - x[:, None, :]).abs() for x in (STUDENT, TEACHER)]
    absolute = (lengths[0] - lengths[1]).square().masked_fill(~pairs, 0.0).sum((1, 2))
    everywhere = float(margin_mse(STUDENT, TEACHER))
    cells, few, batch = shape[1] * (shape[1] - 1), "divide by the number of real pairs, c (c - 1)", int(ways.sum())
    return {
        "You compared the padding too: a pair counts if the mask is true for both its passages.": everywhere,
        f"You divided by the number of all pairs, padding included: {few}.": float((sums / cells).mean()),
        f"You counted each passage as a pair with itself (k x k cells): {few}.": float((sums / count**2).mean()),
        "You divided by all k x k cells, padding included: divide by the real pairs.": float(
            sums.mean() / shape[1] ** 2
        ),
        "This is the mean over all pairs of the batch: take it for each question first, then over questions, "
        "or long lists outweigh short ones.": float(sums.sum() / batch),
        "You summed over the pairs: take the mean over a question's pairs.": float(sums.mean()),
        "You summed over the questions: take their mean.": float((sums / ways).sum()),
        "This is MSE, passage by passage: compare differences s_i - s_j with t_i - t_j.": float(
            mse(STUDENT, TEACHER, MASK)
        ),
        "This is MSE over all cells, padding included: compare differences, of real passages.": float(
            mse(STUDENT, TEACHER)
        ),
        "You compared |s_i - s_j| with |t_i - t_j|: margins have a sign.": float((absolute / ways).mean()),
        "This is the variance of s - t; Margin-MSE is twice that.": float((sums / ways).mean() / 2),
    }


def check_kl_gradient(my_kl_gradient: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Whether `my_kl_gradient(student, teacher, temperature)` (q, k) is the gradient of `kl` by the student."""
    student, teacher, temperature = STUDENT[:2, :3], TEACHER[:2, :3] / 3, 3.0
    mine = answer_of(my_kl_gradient, student.clone(), teacher.clone(), temperature)
    if isinstance(mine, Verdict):
        return mine
    if not isinstance(mine, Tensor) or mine.shape != student.shape:
        return not_yet(f"A gradient has the shape of the scores, {tuple(student.shape)}; yours is {_shape(mine)}.")
    asked = student.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(kl(asked, teacher, temperature=temperature), asked)
    if torch.allclose(mine.float(), wanted, atol=1e-6):
        return passed("what the student believes, less what the teacher believes: it is 0 where they agree.")
    whole = (student / temperature).softmax(1) - (teacher / temperature).softmax(1)
    across = (student / temperature).softmax(0) - (teacher / temperature).softmax(0)
    cold = student.softmax(1) - teacher.softmax(1)
    q, k = student.shape
    return _named(mine.float(), wanted, {
        "The sign is turned: a passage that the student likes too much has a positive gradient.": -wanted,
        "Divide by the number of questions: the loss is a mean over them.": whole / temperature,
        "Divide by the temperature once more: the scores are divided by it before the softmax.": whole / q,
        "Two divisions are missing: by the number of questions and by the temperature.": whole,
        "You divided by the number of passages too: that is FiD-KD's code, not batchmean.": wanted / k,
        "You divided by the passages instead of the questions: the mean is over questions.": whole / temperature / k,
        "The softmax goes over a question's passages (dim=1), not over the questions.": across / temperature / q,
        "The temperature is missing (twice), and the division by the number of questions.": cold,
        "The scores are divided by the temperature before the softmax, on both sides.": cold / q,
        "The scores are divided by the temperature before the softmax, not only the gradient.": cold / temperature / q,
    })  # fmt: skip


def check_temperature(my_temperature: Callable[[Tensor, float], float]) -> Verdict:
    """Whether softmax(scores / `my_temperature(scores, wanted)`) spreads over `wanted` passages, in the mean."""
    for scores, wanted in ((SPREADS[0], 2.0), (SPREADS[1], 1.5), (SPREADS[1], 2.5)):
        mine = _number(answer_of(my_temperature, scores.clone(), wanted))
        if isinstance(mine, Verdict):
            return mine
        if not 0 < mine < 1e6:
            return not_yet(f"A temperature is a number above 0; yours is {mine}.")
        got = effective_passages(scores, mine)
        if abs(got - wanted) <= 0.02 * wanted:
            continue
        if abs(effective_passages(scores, 1 / mine) - wanted) <= 0.02 * wanted:
            return not_yet("This is 1 over the temperature: scores are divided by it, so a larger one spreads more.")
        if abs(_effective_of_mean(scores, mine) - wanted) <= 0.02 * wanted:
            return not_yet("You took exp of the mean entropy: take exp for each question, then the mean.")
        if abs(_effective_in_bits(scores, mine) - wanted) <= 0.02 * wanted:
            return not_yet("exp of an entropy in bits: with log2 it is 2 ** entropy, with log it is exp(entropy).")
        return not_yet(f"At your temperature {mine:.3g} the teacher spreads over {got:.2f} passages, not {wanted}.")
    return passed("you can now say 'three passages' where a paper says 'temperature 4'.")


def effective_passages(scores: Float[Tensor, "q k"], temperature: float = 1.0) -> float:
    """Over how many passages softmax(scores / temperature) spreads: mean over questions of exp(entropy), 1 to k.

    >>> effective_passages(torch.tensor([[0.0, 0.0, 0.0]]))
    3.0
    """
    return round(float(_entropies(scores, temperature).exp().mean()), 6)


def _entropies(scores: Tensor, temperature: float) -> Float[Tensor, " q"]:
    logs = (scores / temperature).log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def _effective_of_mean(scores: Tensor, temperature: float) -> float:
    return float(_entropies(scores, temperature).mean().exp())


def _effective_in_bits(scores: Tensor, temperature: float) -> float:
    return float((_entropies(scores, temperature) / torch.log(torch.tensor(2.0))).exp().mean())


def _named(mine: float | Tensor, wanted: float | Tensor, mistakes: Mapping[str, float | Tensor]) -> Verdict:
    for message, value in mistakes.items():
        if _close(mine, value) and not _close(value, wanted):
            return not_yet(message)
    if isinstance(mine, Tensor):
        return not_yet(f"In the first cell it is {float(wanted[0, 0]):.4f}, yours is {float(mine[0, 0]):.4f}.")
    return not_yet(f"On the checker's batch it is {wanted:.4f}, yours is {mine:.4f}.")


def _close(mine: float | Tensor, wanted: float | Tensor) -> bool:
    return torch.allclose(torch.as_tensor(mine), torch.as_tensor(wanted), rtol=1e-4, atol=1e-6)


def _number(given: object) -> float | Verdict:
    if isinstance(given, Verdict):
        return given
    try:
        return float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return not_yet(f"One number was wanted, this is {_shape(given)}.")


def _shape(given: object) -> str:
    return f"a tensor {tuple(given.shape)}" if isinstance(given, Tensor) else f"{type(given).__name__} {given!r:.40}"
