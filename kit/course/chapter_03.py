"""Checkers of notebook 03, Fusion-in-Decoder: what the decoder is handed, and what an encoder layer costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kit.course.verdict import Verdict, answer_of, not_yet, passed

LENGTHS = ((4, 2, 3), (1, 4, 2))  # real tokens of 2 questions' 3 passages
TOKENS, WIDTH = 4, 2


def check_fuse_real(fuse_real: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Verdict:
    """Whether `fuse_real(states (q*k, t, d), mask (q, k, t))` gives states (q, s, d) and mask (q, s) without padding.

    s is the largest number of real tokens of a question; the tokens stand passage after passage.

    >>> check_fuse_real(lambda states, mask: (states.view(2, 12, 2), mask.view(2, 12)))
    Not yet: You kept the padding: 12 tokens a question, of which at most 9 are real.
    """
    states, mask = _example()
    result = answer_of(fuse_real, states.clone(), mask.clone())
    if isinstance(result, Verdict):
        return result
    if not (isinstance(result, tuple | list) and len(result) == 2 and all(isinstance(x, Tensor) for x in result)):
        return not_yet("Return two tensors: the states (q, s, d) and their mask (q, s).")
    mine, real = result
    wanted, wanted_mask = _fused(states, mask)
    mistake = _shape_mistake(mine, real, wanted, mask)
    if mistake:
        return not_yet(mistake)
    if real.sum() != mask.sum() or not torch.equal(real.sum(1), mask.sum((1, 2))):
        return not_yet("Your mask does not count each question's own real tokens: 9 of the first, 7 of the second.")
    if torch.equal(real, wanted_mask) and torch.equal(mine[real], wanted[wanted_mask]):
        return passed("Each question keeps its own real tokens, and the decoder pays for no padding within a question.")
    return not_yet(_order_mistake(mine, real, wanted, wanted_mask, states, mask))


def _example() -> tuple[Tensor, Tensor]:
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[..., None]  # (q, k, t)
    states = torch.arange(1.0, 1 + mask.numel() * WIDTH).view(-1, TOKENS, WIDTH)  # (q*k, t, d)
    return states, mask


def _fused(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The right result, by a slow loop."""
    q, k, t = mask.shape
    grid = states.view(q, k, t, -1)
    width = int(mask.sum((1, 2)).max())
    fused, real = states.new_zeros(q, width, states.shape[-1]), torch.zeros(q, width, dtype=torch.bool)
    for question in range(q):
        place = 0
        for passage in range(k):
            for token in range(t):
                if mask[question, passage, token]:
                    fused[question, place], real[question, place] = grid[question, passage, token], True
                    place += 1
    return fused, real


def _shape_mistake(mine: Tensor, real: Tensor, wanted: Tensor, mask: Tensor) -> str | None:
    q, k, t = mask.shape
    if mine.shape == (q, k * t, WIDTH):
        return f"You kept the padding: {k * t} tokens a question, of which at most {wanted.shape[1]} are real."
    if mine.ndim == 2 or mine.shape[0] == 1:
        return "You put the tokens of all questions into one row: every question has a decoder input of its own."
    if mine.shape[1:2] == (int(mask.sum((1, 2)).min()),):
        return "You cut every question to the shortest one: s is the largest number of real tokens of a question."
    if mine.shape != wanted.shape:
        return f"The states have shape {tuple(mine.shape)}; wanted (q, s, d) = {tuple(wanted.shape)}."
    if real.shape != wanted.shape[:2] or real.dtype != torch.bool:
        return f"The mask is {tuple(real.shape)}, {real.dtype}; wanted {tuple(wanted.shape[:2])}, torch.bool."
    return None


def _order_mistake(
    mine: Tensor, real: Tensor, wanted: Tensor, wanted_mask: Tensor, states: Tensor, mask: Tensor
) -> str:
    q, k, t = mask.shape
    padding = states.view(q, k, t, -1)[~mask][:, 0]
    if torch.isin(mine[real][:, 0], padding).any():
        return "Among the tokens that your mask calls real there is padding: pick by the mask, not by position."
    own = [torch.isin(mine[row][real[row]][:, 0], wanted[row][wanted_mask[row]][:, 0]).all() for row in range(q)]
    if not all(own):
        return "A question got another question's tokens: (q*k, t, d) goes to (q, k, t, d), questions outermost."
    if not torch.equal(real, wanted_mask):
        return "The real tokens should stand first in each row, and padding behind them."
    return "The tokens stand in another order: passage after passage, each from its first token to its last."


def check_encoder_cost(encoder_cost: Callable[[int, int, int, bool], Any]) -> Verdict:
    """Whether `encoder_cost(passages, tokens, width, apart)` counts the multiplications of one encoder layer.

    12 width^2 for each token (projections and a feed-forward of 4 times the width), and 2 width for each pair of tokens
    that see each other.

    >>> check_encoder_cost(lambda k, t, width, apart: k * t * (12 * width**2 + 2 * width * t))
    Not yet: Apart and together cost the same in your count: apart, a token sees only its own passage's tokens.
    """
    cases = [(3, 5, 4, True), (3, 5, 4, False), (1, 7, 2, True), (1, 7, 2, False)]
    given = [answer_of(encoder_cost, *case) for case in cases]
    for result in given:
        if isinstance(result, Verdict):
            return result
        if not isinstance(result, int | float):
            return not_yet(f"Return a number, not {type(result).__name__}.")
    wanted = [_cost(*case) for case in cases]
    if given == wanted:
        return passed("Apart the cost grows with k; in one input the second part grows with k squared.")
    return not_yet(_cost_mistake(given, cases))


def _cost(passages: int, tokens: int, width: int, apart: bool) -> int:
    pairs = passages * tokens**2 if apart else (passages * tokens) ** 2
    return 12 * width**2 * passages * tokens + 2 * width * pairs


def _cost_mistake(given: list[Any], cases: list[tuple[int, int, int, bool]]) -> str:
    if not any(given):
        return "Your count is 0: fill in the TODO."
    if given[0] == given[1]:
        return "Apart and together cost the same in your count: apart, a token sees only its own passage's tokens."
    if given[:2] == [_cost(*cases[1]), _cost(*cases[0])]:
        return "You have the two cases the wrong way round: together, every token sees the tokens of all passages."
    slips = {
        "You forgot the 12 width^2 that every token costs by itself.": lambda k, t, d, a: (
            _cost(k, t, d, a) - 12 * d * d * k * t
        ),
        "You forgot the pairs of tokens: each costs 2 width.": lambda k, t, d, a: 12 * d * d * k * t,
        "A pair of tokens costs 2 width: once for q.k, once for the sum of the values.": lambda k, t, d, a: (
            (_cost(k, t, d, a) + 12 * d * d * k * t) / 2
        ),
        "Apart, there are k passages with t^2 pairs each: you counted one passage.": lambda k, t, d, a: (
            12 * d * d * k * t + 2 * d * (t * t if a else (k * t) ** 2)
        ),
    }
    for message, slip in slips.items():
        if given == [slip(*case) for case in cases]:
            return message
    k, t, d, _ = cases[0]
    return f"For {k} passages of {t} tokens, width {d}, apart, your count is {given[0]}; it is {_cost(*cases[0])}."
