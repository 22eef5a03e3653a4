"""The checkers of notebook 05: right answers pass, and wrong ones are told what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from checks import chapter_05

from kit.metrics import has_answer


def rider(texts, prediction):
    return sorted(range(len(texts)), key=lambda place: not has_answer(texts[place], [prediction]))


def by_substring(texts, prediction):
    return sorted(range(len(texts)), key=lambda place: prediction not in texts[place].lower())


def with_case(texts, prediction):
    return sorted(range(len(texts)), key=lambda place: f" {prediction} " not in f" {texts[place]} ")


def last(texts, prediction):
    return sorted(range(len(texts)), key=lambda place: has_answer(texts[place], [prediction]))


def turned(texts, prediction):
    return sorted(range(len(texts)), key=lambda place: (not has_answer(texts[place], [prediction]), -place))


def everything_for_nothing(texts, prediction):
    return rider(texts, prediction) if prediction else sorted(range(len(texts)), reverse=True)


def test_the_right_rider_passes():
    assert chapter_05.check_rider(rider).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda texts, prediction: None, "fill in the TODO"),
        (lambda texts, prediction: texts, "whole numbers"),
        (lambda texts, prediction: [1, 3], "one new position"),
        (by_substring, "whole words"),
        (with_case, "upper and lower case"),
        (last, "come last"),
        (turned, "stable sort"),
        (lambda texts, prediction: range(len(texts)), "changed nothing"),
        (lambda texts, prediction: [4, 1, 3, 0, 2], "was expected, not [4.0"),
        (everything_for_nothing, "empty prediction"),
    ],
)
def test_a_wrong_rider_is_named(wrong, said):
    verdict = chapter_05.check_rider(wrong)
    assert not verdict.passed
    assert said in verdict.message


def centred(values):
    return values - values.mean(1, keepdims=True)


def slope_within(scores, lengths):
    return (centred(scores) * centred(lengths)).sum() / (centred(lengths) ** 2).sum()


def length_free(scores, lengths):
    return scores - slope_within(scores, lengths) * centred(lengths)


def own_slopes(scores, lengths):
    slopes = (centred(scores) * centred(lengths)).sum(1, keepdims=True) / (centred(lengths) ** 2).sum(1, keepdims=True)
    return scores - slopes * lengths


def test_the_right_correction_passes_with_or_without_its_constants():
    assert chapter_05.check_length_free(length_free).passed
    assert chapter_05.check_length_free(lambda scores, lengths: centred(length_free(scores, lengths)) + 5).passed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda scores, lengths: None, "fill in the TODO"),
        (lambda scores, lengths: scores[0], "A score for each cell"),
        (lambda scores, lengths: scores, "changed nothing"),
        (lambda scores, lengths: scores + slope_within(scores, lengths) * lengths, "sign"),
        (lambda scores, lengths: scores - np.polyfit(lengths.ravel(), scores.ravel(), 1)[0] * lengths, "all cells"),
        (own_slopes, "for each question"),
        (lambda scores, lengths: scores / lengths, "divided by the length"),
        (lambda scores, lengths: scores - 0.1 * lengths, "still depend on length"),
    ],
)
def test_a_wrong_correction_is_named(wrong, said):
    verdict = chapter_05.check_length_free(wrong)
    assert not verdict.passed
    assert said in verdict.message
