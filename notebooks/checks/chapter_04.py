"""Checkers of notebook 04, cross-attention scores: another aggregation by hand, and the attention on the answer."""

import torch
from torch import Tensor

from checks.compare import Mistake, call, checker, compare_calls, tensor

LENGTHS = ((3, 2), (1, 3))  # real tokens of 2 questions' 2 passages
TOKENS, LAYERS, HEADS = 3, 2, 2


@checker
def check_adist(adist):
    """A verdict on `adist(logits (n, q, h, a, k, t), value_lengths (n, q, h, k, t), labels (q, a))`: Atlas's (q, k).

    The softmax over all tokens of all passages, times the length of the value; the mean over heads and layers, the sum
    over a passage's tokens, the mean over the real answer tokens. No factor 1/256.

    >>> check_adist(lambda logits, value_lengths, labels: logits)
    Not yet: A score for each passage of each question, (2, 2), is expected; yours is (2, 2, 2, 2, 2, 3).
    """
    random = torch.Generator().manual_seed(0)
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[..., None]  # (q, k, t)
    labels = torch.tensor([[5, 1], [1, -100]])  # (q, a)
    logits = torch.randn(LAYERS, 2, HEADS, 2, 2, TOKENS, generator=random)  # (n, q, h, a, k, t)
    logits = logits.masked_fill(~mask[None, :, None, None], float("-inf"))
    lengths = (torch.rand(LAYERS, 2, HEADS, 2, TOKENS, generator=random) + 0.5) * mask[None, :, None]  # (n, q, h, k, t)

    def scores(*arguments: Tensor) -> Tensor:
        return tensor(call(adist, *arguments), (2, 2), "A score for each passage of each question")

    compare_calls(scores, _adist, {"Check each mean and sum in turn.": (logits, lengths, labels)}, {
        "You left out the norm of the values: probability times ||v|| is expected.": {"weigh": False},
        "Your softmax is over each passage's own tokens: passages compete, so it is over all k*t of them.":
            {"softmax": lambda x: x.softmax(-1)},
        "Your softmax is over the answer's tokens: it is over all k*t tokens of the passages.":
            {"softmax": lambda x: x.softmax(-3)},
        "There is no softmax in it: probabilities are expected, not logits (at padding, -inf times 0 is NaN).":
            {"softmax": lambda x: x},
        "You counted padded answer tokens (label -100): the mean is over the real ones.": {"answer": "all"},
        "You took only the first answer token: the mean is over all real answer tokens.": {"answer": "first"},
        "You summed over the answer's tokens: take the mean over the real ones.": {"answer": "sum"},
        "You took the mean over a passage's tokens, padding included; here it is their sum.": {"tokens": "padded"},
        "You took the mean over a passage's tokens; here it is their sum.": {"tokens": "mean"},
        "You summed over layers and heads; here it is their mean.": {"factor": LAYERS * HEADS},
        "You summed over the layers (or heads); here it is the mean over both.": {"factor": LAYERS},
        "You divided by 256: leave that constant out here.": {"factor": 1 / 256},
    }, tolerance=1e-5)  # fmt: skip
    return "This is Atlas's aggregation: what a token can add to the answer, summed over a passage."


def _over_all(logits: Tensor) -> Tensor:
    return logits.flatten(-2).softmax(-1).view(logits.shape)


def _adist(
    logits: Tensor, lengths: Tensor, labels: Tensor,
    softmax=_over_all, weigh=True, answer="real", tokens="sum", factor=1.0,
) -> Tensor:  # fmt: skip
    weighted = softmax(logits) * (lengths.unsqueeze(3) if weigh else 1)  # (n, q, h, a, k, t)
    summed = weighted.mean((0, 2)).sum(-1) * factor  # (q, a, k)
    count = torch.isfinite(logits[0, :, 0, 0]).sum(-1)  # (q, k)
    summed = summed / {"sum": 1, "padded": TOKENS, "mean": count[:, None]}[tokens]
    real = (labels != -100).float()[..., None]  # (q, a, 1)
    if answer in ("all", "first"):
        return summed.mean(1) if answer == "all" else summed[:, 0]
    return (summed * real).sum(1) / (real.sum(1) if answer == "real" else 1)


@checker
def check_answer_mass(answer_mass):
    """A verdict on `answer_mass(probabilities (n, q, h, k, t), is_answer (q, k, t))`: the share (q,) on the answer.

    The attention on the answer's tokens, in whatever passage they stand; the mean over layers and heads.

    >>> check_answer_mass(lambda p, is_answer: (p * is_answer[None, :, None]).sum((0, 2, 3, 4)))
    Not yet: You summed over layers and heads: take their mean, or the share exceeds 1.
    """
    random = torch.Generator().manual_seed(1)
    flat = torch.randn(LAYERS, 3, HEADS, 2 * TOKENS, generator=random).softmax(-1)
    marked = torch.zeros(3, 2, TOKENS, dtype=torch.bool)
    marked[0, 0, 1] = marked[0, 1, 2] = marked[1, 1, :2] = True  # the third question's answer stands nowhere

    def shares(*arguments: Tensor) -> Tensor:
        result = tensor(call(answer_mass, *arguments), (3,), "One share a question")
        if torch.isnan(result).any():
            raise Mistake("A question without its answer gives NaN: its share is 0; do not divide by a count.")
        return result

    compare_calls(shares, _answer_mass, {"": (flat.view(LAYERS, 3, HEADS, 2, TOKENS), marked)}, {
        "You summed over layers and heads: take their mean, or the share exceeds 1.": {"factor": LAYERS * HEADS},
        "You summed over the layers (or heads): take the mean over both.": {"factor": LAYERS},
        "You took the mean over all tokens: a share is a sum over the answer's tokens.":
            {"over": lambda x: x.mean((-2, -1))},
        "You took the mean over the passages: a share is a sum over the answer's tokens.":
            {"over": lambda x: x.sum(-1).mean(-1)},
        "You counted only one passage: the answer may be in several.": {"over": lambda x: x.sum(-1).amax(-1)},
        "You counted only the first passage: the answer may be in any.": {"over": lambda x: x.sum(-1)[..., 0]},
        "You took the highest token: all tokens of the answer count.": {"over": lambda x: x.amax((-2, -1))},
        "You inverted the mask: this is the share of all other tokens.": {"turned": True},
    }, tolerance=1e-5)  # fmt: skip
    return "A share from 0 to 1; a question whose answer is in no passage has 0."


def _answer_mass(
    probabilities: Tensor, marked: Tensor, factor=1.0, over=lambda x: x.sum((-2, -1)), turned=False
) -> Tensor:
    on_answer = probabilities * (~marked if turned else marked)[None, :, None]  # (n, q, h, k, t)
    return over(on_answer.mean((0, 2))) * factor
