"""Checkers of notebook 03, Fusion-in-Decoder: what the decoder is handed, and what an encoder layer costs."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from checks.compare import Mistake, call, checker, compare_calls

LENGTHS = ((4, 2, 3), (1, 4, 2))  # real tokens of 2 questions' 3 passages
TOKENS, WIDTH = 4, 2


@checker
def check_fuse_real(fuse_real):
    """A verdict on `fuse_real(states (q*k, t, d), mask (q, k, t))`: states (q, s, d) and mask (q, s), no padding.

    s is the largest number of real tokens of a question; the tokens stand passage after passage.

    >>> check_fuse_real(lambda states, mask: (states.view(2, 12, 2), mask.view(2, 12)))
    Not yet: You kept the padding: 12 tokens a question, of which at most 9 are real.
    """
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[..., None]  # (q, k, t)
    states = torch.arange(1.0, 1 + mask.numel() * WIDTH).view(-1, TOKENS, WIDTH)  # (q*k, t, d)
    result = call(fuse_real, states, mask)
    if not (isinstance(result, tuple | list) and len(result) == 2 and all(isinstance(x, Tensor) for x in result)):
        raise Mistake("Return two tensors: the states (q, s, d) and their mask (q, s).")
    fused, real = result
    rows = [tokens[there] for tokens, there in zip(states.view(len(mask), -1, WIDTH), mask.flatten(1), strict=True)]
    right = pad_sequence(rows, batch_first=True)
    right_mask = torch.arange(right.shape[1]) < torch.tensor([[len(row)] for row in rows])
    _check_shapes(fused, real, right, mask)
    if not torch.equal(real.sum(1), mask.sum((1, 2))):
        raise Mistake("Your mask does not count each question's own real tokens: 9 of the first, 7 of the second.")
    if not (torch.equal(real, right_mask) and torch.equal(fused[real], right[right_mask])):
        raise Mistake(_order_mistake(fused, real, rows, states.view(len(mask), -1, WIDTH)[~mask.flatten(1)]))
    return "Each question keeps its own real tokens, and the decoder pays for no padding within a question."


def _check_shapes(fused: Tensor, real: Tensor, right: Tensor, mask: Tensor) -> None:
    q, k, t = mask.shape
    if fused.shape == (q, k * t, WIDTH):
        raise Mistake(f"You kept the padding: {k * t} tokens a question, of which at most {right.shape[1]} are real.")
    if fused.ndim == 2 or fused.shape[0] == 1:
        raise Mistake("You put the tokens of all questions into one row: every question has its own decoder input.")
    if fused.shape[1:2] == (int(mask.sum((1, 2)).min()),):
        raise Mistake("You cut every question to the shortest one: s is the largest number of real tokens.")
    if fused.shape != right.shape:
        raise Mistake(f"The states have shape {tuple(fused.shape)}; (q, s, d) = {tuple(right.shape)} is expected.")
    if real.shape != right.shape[:2] or real.dtype != torch.bool:
        raise Mistake(f"The mask is {tuple(real.shape)}, {real.dtype}; {tuple(right.shape[:2])}, torch.bool expected.")


def _order_mistake(fused: Tensor, real: Tensor, rows: list[Tensor], padding: Tensor) -> str:
    if torch.isin(fused[real][:, 0], padding[:, 0]).any():
        return "Among the tokens that your mask calls real there is padding: pick by the mask, not by position."
    if not all(torch.isin(fused[n][real[n]][:, 0], row[:, 0]).all() for n, row in enumerate(rows)):
        return "A question got another question's tokens: (q*k, t, d) goes to (q, k, t, d), questions outermost."
    if not all(real[n, : len(row)].all() for n, row in enumerate(rows)):
        return "The real tokens should come first in each row, and padding after them."
    return "The tokens are in another order: passage after passage, each from its first token to its last."


@checker
def check_encoder_cost(encoder_cost):
    """A verdict on `encoder_cost(passages, tokens, width, apart)`: the multiplications of one encoder layer.

    12 width^2 for each token (projections and a feed-forward of 4 times the width), and 2 width for each pair of tokens
    that see each other.

    >>> check_encoder_cost(lambda k, t, width, apart: k * t * (12 * width**2 + 2 * width * t))
    Not yet: Apart and together cost the same in your count: apart, a token sees only its own passage's tokens.
    """
    calls = [(3, 5, 4, True), (3, 5, 4, False), (1, 7, 2, True), (1, 7, 2, False)]
    cases = {f"{k} passages of {t} tokens, width {d}, apart: {apart}.": (k, t, d, apart) for k, t, d, apart in calls}
    if not any(call(encoder_cost, *arguments) for arguments in calls):
        raise Mistake("Your count is 0: fill in the TODO.")
    alike = "Apart and together cost the same in your count: apart, a token sees only its own passage's tokens."
    compare_calls(encoder_cost, _cost, cases, {
        alike: {"sees": lambda apart: True},
        alike + " ": {"sees": lambda apart: False},
        "You have the two cases the wrong way round: together, every token sees the tokens of all passages.":
            {"sees": lambda apart: not apart},
        "You forgot the 12 width^2 that every token costs.": {"own": 0},
        "You forgot the pairs of tokens: each costs 2 width.": {"pair": 0},
        "A pair of tokens costs 2 width: once for q.k, once for the sum of the values.": {"pair": 1},
        "Apart, there are k passages with t^2 pairs each: you counted one passage.": {"one": True},
    }, tolerance=1e-9)  # fmt: skip
    return "Apart the cost grows with k; in one input the second part grows with k squared."


def _cost(passages: int, tokens: int, width: int, apart: bool, sees=bool, own=12, pair=2, one=False) -> int:
    pairs = (1 if one else passages) * tokens**2 if sees(apart) else (passages * tokens) ** 2
    return own * width**2 * passages * tokens + pair * width * pairs
