"""The checkers of notebook 12 take the right answers and name what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from checks.chapter_12 import check_decisive, check_grounded

from kit.metrics import has_answer


def test_the_right_answers_pass():
    assert check_grounded(lambda answer, passages: any(has_answer(p.text, [answer]) for p in passages)).passed
    assert check_decisive(lambda effects: int(np.nanargmax(effects))).passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda answer, passages: has_answer(passages[0].text, [answer]), "third passage"),
        (lambda answer, passages: any(answer.lower() in p.text.lower() for p in passages), "whole words"),
        (
            lambda answer, passages: any(answer in p.text.split(", ")[0].split() for p in passages),
            "case does not count",
        ),
        (lambda answer, passages: any(has_answer(p.title + " " + p.text, [answer]) for p in passages), "from a title"),
        (lambda answer, passages: answer != "art" and answer != "Rome", "invented"),
        (lambda answer, passages: None, "returned None"),
    ],
)
def test_a_wrong_grounded_is_named(wrong, named):
    verdict = check_grounded(wrong)
    assert not verdict.passed and named in verdict.message


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda effects: int(np.argmin(effects)), "most negative"),
        (lambda effects: int(np.argmax(np.abs(effects))), "largest absolute"),
        (lambda effects: int(np.argmin(np.abs(effects))), "closest to 0"),
        (lambda effects: int(np.argmax(effects)), "np.nanargmax"),
        (lambda effects: "the second", "One number was expected"),
    ],
)
def test_a_wrong_decisive_is_named(wrong, named):
    verdict = check_decisive(wrong)
    assert not verdict.passed and named in verdict.message
