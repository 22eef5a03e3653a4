"""Checkers of notebook 04, cross-attention scores: another aggregation by hand, and the attention on the answer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kit.attention.capture import AttentionRecord
from kit.course.verdict import Verdict, answer_of, not_yet, passed

LENGTHS = ((3, 2), (1, 3))  # real tokens of 2 questions' 2 passages
TOKENS, LAYERS, HEADS = 3, 2, 2
Scores = Callable[[Tensor, Tensor, Tensor], Tensor]


def check_adist(adist: Scores) -> Verdict:
    """Whether `adist(logits (n, q, h, a, k, t), value_lengths (n, q, h, k, t), labels (q, a))` is Atlas's score (q, k).

    The softmax over all tokens of all passages, times the length of the value; the mean over heads and layers, the sum
    over a passage's tokens, the mean over the real answer tokens. No factor 1/256.

    >>> check_adist(lambda logits, value_lengths, labels: logits)
    Not yet: A score for each passage of each question, (2, 2), is wanted; yours is (2, 2, 2, 2, 2, 3).
    """
    logits, lengths, labels, mask = _example()
    result = answer_of(adist, logits.clone(), lengths.clone(), labels.clone())
    if isinstance(result, Verdict):
        return result
    q, k = mask.shape[:2]
    if not isinstance(result, Tensor) or result.shape != (q, k):
        shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        return not_yet(f"A score for each passage of each question, ({q}, {k}), is wanted; yours is {shape}.")
    if torch.isnan(result).any():
        return not_yet("There are NaNs: a softmax over one passage's tokens or over padding alone gives them.")
    wanted = AttentionRecord(logits, lengths, mask, labels).scores("adist") * 256
    if torch.allclose(result, wanted, atol=1e-5):
        return passed("This is Atlas's aggregation: what a token can add to the answer, summed over a passage.")
    return not_yet(_adist_mistake(result, wanted, logits, lengths, labels))


def _example() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[..., None]  # (q, k, t)
    labels = torch.tensor([[5, 1], [1, -100]])  # (q, a)
    logits = torch.randn(LAYERS, 2, HEADS, 2, 2, TOKENS, generator=random)  # (n, q, h, a, k, t)
    logits = logits.masked_fill(~mask[None, :, None, None], float("-inf"))
    lengths = torch.rand(LAYERS, 2, HEADS, 2, TOKENS, generator=random) + 0.5  # (n, q, h, k, t)
    return logits, lengths * mask[None, :, None], labels, mask


def _adist_mistake(mine: Tensor, wanted: Tensor, logits: Tensor, lengths: Tensor, labels: Tensor) -> str:
    values = logits.flatten(-2).softmax(-1).view(logits.shape)  # (n, q, h, a, k, t)
    weighted = values * lengths.unsqueeze(3)
    real = (labels != -100).float()  # (q, a)

    def mean(of: Tensor) -> Tensor:
        tokens = of.mean((0, 2)).sum(-1)  # (q, a, k)
        return (tokens * real[..., None]).sum(1) / real.sum(1, keepdim=True)

    apart = logits.softmax(-1) * lengths.unsqueeze(3)
    count = torch.isfinite(logits[0, :, 0, 0]).sum(-1)  # (q, k)
    slips = {
        "You left out the length of the values: probability times ||v|| is wanted.": mean(values),
        "Your softmax is over each passage's own tokens: passages compete, so it is over all k*t of them.": mean(apart),
        "You counted padded answer tokens (label -100): the mean is over the real ones.": weighted.mean((0, 2))
        .sum(-1)
        .mean(1),
        "You took the first answer token alone: the mean is over all real answer tokens.": weighted.mean((0, 2)).sum(
            -1
        )[:, 0],
        "You took the mean over a passage's tokens, padding included; here it is their sum.": mean(weighted) / TOKENS,
        "You took the mean over a passage's tokens; here it is their sum.": mean(weighted) / count,
        "You summed over layers and heads; here it is their mean.": mean(weighted) * LAYERS * HEADS,
        "You divided by 256: leave that constant out here.": wanted / 256,
    }
    for message, slip in slips.items():
        if torch.allclose(mine, slip, atol=1e-5):
            return message
    return f"The first score is {mine[0, 0]:.4f}; {wanted[0, 0]:.4f} is wanted. Check each mean and sum in turn."


def check_answer_mass(answer_mass: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Whether `answer_mass(probabilities (n, q, h, k, t), is_answer (q, k, t))` gives the share (q,) on the answer.

    The attention on the answer's tokens, in whatever passage they stand; the mean over layers and heads.

    >>> check_answer_mass(lambda p, is_answer: (p * is_answer[None, :, None]).sum((0, 2, 3, 4)))
    Not yet: You summed over layers and heads: take their mean, or the share exceeds 1.
    """
    random = torch.Generator().manual_seed(1)
    flat = torch.randn(LAYERS, 3, HEADS, 2 * TOKENS, generator=random).softmax(-1)
    probabilities = flat.view(LAYERS, 3, HEADS, 2, TOKENS)  # (n, q, h, k, t)
    marked = torch.zeros(3, 2, TOKENS, dtype=torch.bool)
    marked[0, 0, 1] = marked[0, 1, 2] = marked[1, 1, :2] = True  # the third question's answer stands nowhere
    result = answer_of(answer_mass, probabilities.clone(), marked.clone())
    if isinstance(result, Verdict):
        return result
    if not isinstance(result, Tensor) or result.shape != (3,):
        shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        return not_yet(f"One share a question, (3,), is wanted; yours is {shape}.")
    on = probabilities * marked[None, :, None]  # (n, q, h, k, t)
    wanted = on.sum((-2, -1)).mean((0, 2))
    if torch.allclose(result, wanted, atol=1e-6):
        return passed("A share from 0 to 1; a question whose answer stands nowhere has 0.")
    slips = {
        "You summed over layers and heads: take their mean, or the share exceeds 1.": on.sum((0, 2, -2, -1)),
        "You took the mean over all tokens: a share is a sum over the answer's tokens.": on.mean((0, 2, -2, -1)),
        "You counted one passage alone: the answer may stand in several.": on.sum(-1).mean((0, 2)).amax(-1),
        "You counted the first passage alone: the answer may stand in any.": on.sum(-1).mean((0, 2))[:, 0],
        "You took the highest token: all tokens of the answer count.": on.mean((0, 2)).amax((-2, -1)),
    }
    if torch.isnan(result).any():
        return not_yet("A question whose answer stands nowhere gives NaN: its share is 0, so do not divide by a count.")
    for message, slip in slips.items():
        if torch.allclose(result, slip, atol=1e-6):
            return not_yet(message)
    return not_yet(f"The first share is {float(result[0]):.4f}; {float(wanted[0]):.4f} is wanted.")
