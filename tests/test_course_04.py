"""The checkers of notebook 04: right answers pass, and wrong ones are told what is wrong."""

from __future__ import annotations

import pytest
import torch
from checks import chapter_04


def weights(logits):
    return logits.flatten(-2).softmax(-1).view(logits.shape)


def adist(logits, value_lengths, labels, *, by=weights, over=("mean", "sum"), real_only=True):
    weighted = by(logits) * value_lengths.unsqueeze(3)  # (n, q, h, a, k, t)
    tokens = getattr(weighted, over[0])((0, 2))  # (q, a, k, t)
    tokens = getattr(tokens, over[1])(-1)  # (q, a, k)
    real = (labels != -100).float() if real_only else torch.ones(labels.shape)
    return (tokens * real.unsqueeze(-1)).sum(1) / real.sum(1, keepdim=True)


def test_the_right_adist_passes():
    assert chapter_04.check_adist(adist).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda logits, lengths, labels: None, "fill in the TODO"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels)[0], "A score for each passage"),
        (lambda logits, lengths, labels: adist(logits, torch.ones_like(lengths), labels), "norm of the values"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels, by=lambda x: x.softmax(-1)), "compete"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels, real_only=False), "label -100"),
        (lambda logits, lengths, labels: adist(logits[:, :, :, :1], lengths, labels[:, :1]), "first answer token"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels, over=("mean", "mean")), "padding included"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels, over=("sum", "sum")), "layers and heads"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels) / 256, "divided by 256"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels, by=lambda x: x), "NaN"),
        (lambda logits, lengths, labels: adist(logits, lengths, labels) + 1, "was expected"),
    ],
)
def test_a_wrong_adist_is_named(wrong, said):
    verdict = chapter_04.check_adist(wrong)
    assert not verdict.passed
    assert said in verdict.message


def answer_mass(probabilities, is_answer):
    return (probabilities * is_answer[None, :, None]).sum((-2, -1)).mean((0, 2))


def mean_of_the_marked(probabilities, is_answer):
    on = (probabilities * is_answer[None, :, None]).sum((-2, -1)).mean((0, 2))
    return on / is_answer.sum((-2, -1))


def test_the_right_mass_passes():
    assert chapter_04.check_answer_mass(answer_mass).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda p, marked: None, "fill in the TODO"),
        (lambda p, marked: answer_mass(p, marked)[:2], "One share a question"),
        (lambda p, marked: answer_mass(p, marked) * 4, "summed over layers and heads"),
        (lambda p, marked: answer_mass(p, marked) / 6, "mean over all tokens"),
        (lambda p, marked: (p * marked[None, :, None]).sum(-1).mean((0, 2)).amax(-1), "only one passage"),
        (lambda p, marked: (p * marked[None, :, None])[..., 0, :].sum(-1).mean((0, 2)), "first passage"),
        (lambda p, marked: (p * marked[None, :, None]).mean((0, 2)).amax((-2, -1)), "highest token"),
        (mean_of_the_marked, "NaN"),
        (lambda p, marked: answer_mass(p, marked) + 1, "was expected"),
    ],
)
def test_a_wrong_mass_is_named(wrong, said):
    verdict = chapter_04.check_answer_mass(wrong)
    assert not verdict.passed
    assert said in verdict.message


@pytest.mark.parametrize("weigh", [True, False])
def test_a_softmax_inside_each_passage_is_named(weigh):
    def adist(logits, value_lengths, labels):
        values = logits.softmax(-1) * (value_lengths.unsqueeze(3) if weigh else 1)
        real = (labels != -100).unsqueeze(-1)
        tokens = values.mean((0, 2)).sum(-1)
        return (tokens * real).sum(1) / real.sum(1)

    message = chapter_04.check_adist(adist).message
    assert "Your softmax is over each passage's own tokens" in message
    assert ("You left out the norm of the values" in message) is not weigh
