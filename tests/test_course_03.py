"""The checkers of notebook 03: right answers pass, and wrong ones are told what is wrong."""

from __future__ import annotations

import pytest
import torch
from checks import chapter_03

WIDE = 9  # real tokens of the longer question in the checker's example


def fuse_real(states, mask):
    q, k, t = mask.shape
    rows = [row[here] for row, here in zip(states.view(q, k * t, -1), mask.view(q, k * t), strict=True)]
    fused = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    real = torch.arange(fused.shape[1]) < torch.tensor([[len(row)] for row in rows])
    return fused, real


def keeps_padding(states, mask):
    q, k, t = mask.shape
    return states.view(q, k * t, -1), mask.view(q, k * t)


def one_row(states, mask):
    return states[mask.view(-1, mask.shape[-1])], mask


def cuts_to_the_shortest(states, mask):
    fused, real = fuse_real(states, mask)
    return fused[:, : real.sum(1).min()], real[:, : real.sum(1).min()]


def forgets_the_mask(states, mask):
    fused, real = fuse_real(states, mask)
    return fused, torch.ones_like(real)


def mixes_questions(states, mask):
    q, k, t = mask.shape
    grid = states.view(k, q, t, -1).transpose(0, 1)
    rows = [row[here] for row, here in zip(grid, mask, strict=True)]
    fused = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return fused, fuse_real(states, mask)[1]


def takes_the_first_tokens(states, mask):
    fused, real = fuse_real(states, mask)
    return keeps_padding(states, mask)[0][:, : fused.shape[1]], real


def turns_the_order(states, mask):
    fused, real = fuse_real(states, mask)
    for row, count in enumerate(real.sum(1).tolist()):
        fused[row, :count] = fused[row, :count].flip(0)
    return fused, real


def test_the_right_fusion_passes():
    assert chapter_03.check_fuse_real(fuse_real).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda states, mask: None, "fill in the TODO"),
        (lambda states, mask: states, "two tensors"),
        (lambda states, mask: 1 / 0, "ZeroDivisionError"),
        (keeps_padding, "You kept the padding: 12 tokens"),
        (one_row, "all questions into one row"),
        (cuts_to_the_shortest, "cut every question"),
        (forgets_the_mask, "does not count"),
        (mixes_questions, "another question's tokens|padding: pick by the mask"),
        (takes_the_first_tokens, "padding: pick by the mask"),
        (turns_the_order, "another order"),
        (lambda states, mask: (fuse_real(states, mask)[0], fuse_real(states, mask)[1].long()), "torch.int64"),
    ],
)
def test_a_wrong_fusion_is_named(wrong, said):
    verdict = chapter_03.check_fuse_real(wrong)
    assert not verdict.passed
    assert any(part in verdict.message for part in said.split("|")), verdict.message


def encoder_cost(passages, tokens, width, apart):
    seen = tokens if apart else passages * tokens
    return passages * tokens * (12 * width**2 + 2 * width * seen)


def test_the_right_cost_passes():
    assert chapter_03.check_encoder_cost(encoder_cost).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda k, t, d, apart: None, "fill in the TODO"),
        (lambda k, t, d, apart: "12", "this is str"),
        (lambda k, t, d, apart: 0, "fill in the TODO"),
        (lambda k, t, d, apart: encoder_cost(k, t, d, True), "cost the same"),
        (lambda k, t, d, apart: encoder_cost(k, t, d, not apart), "wrong way round"),
        (lambda k, t, d, apart: encoder_cost(k, t, d, apart) - 12 * d * d * k * t, "forgot the 12 width^2"),
        (lambda k, t, d, apart: 12 * d * d * k * t, "forgot the pairs"),
        (lambda k, t, d, apart: k * t * (12 * d * d + d * (t if apart else k * t)), "once for q.k"),
        (lambda k, t, d, apart: 12 * d * d * k * t + 2 * d * (t * t if apart else (k * t) ** 2), "one passage"),
        (lambda k, t, d, apart: encoder_cost(k, t, d, apart) + 7, "was expected, not 3487"),
    ],
)
def test_a_wrong_cost_is_named(wrong, said):
    verdict = chapter_03.check_encoder_cost(wrong)
    assert not verdict.passed
    assert said in verdict.message
