"""How a checker compares and names: values, kinds, one mistake, two at once; and what a verdict looks like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checks.compare import Mistake, Verdict, call, checker, compare, compare_calls, same


def scaled(values, factor=1.0, shift=0.0):
    return factor * np.asarray(values) + shift


CASES = {"of two": ([1.0, 2.0],), "of one": ([4.0],)}
MISTAKES = {"Doubled.": {"factor": 2.0}, "Shifted.": {"shift": 1.0}}


def named(function):
    with pytest.raises(Mistake) as error:
        compare_calls(function, scaled, CASES, MISTAKES)
    return str(error.value)


def test_one_mistake_is_named_and_so_are_two_at_once():
    compare_calls(lambda values: list(values), scaled, CASES, MISTAKES)
    assert named(lambda values: 2 * np.array(values)) == "Doubled."
    assert named(lambda values: 2 * np.array(values) + 1) == "Two mistakes at once. Doubled. And: Shifted."


def test_an_unknown_mistake_is_shown_with_its_case():
    assert named(lambda values: np.array(values) ** 2) == "[1.0, 2.0] was expected, not [1.0, 4.0]. of two"
    assert (
        named(lambda values: np.array(values) if len(values) > 1 else [3.0]) == "[4.0] was expected, not [3.0]. of one"
    )


def test_another_kind_and_nan_are_named():
    assert "An array (2,) was expected, this is one number" in named(lambda values: 3)
    assert "this is str" in named(lambda values: "three")
    assert "-inf times 0" in named(lambda values: torch.tensor([float("nan")] * len(values)))


def test_an_error_and_nothing_are_mistakes():
    assert named(lambda values: 1 / 0) == "<lambda> raised ZeroDivisionError: division by zero."
    assert named(lambda values: list(values) if len(values) > 1 else 1 / 0).endswith("division by zero. of one")
    assert "returned None: fill in the TODO" in named(lambda values: None)
    with pytest.raises(Mistake, match="A function is expected, this is int"):
        call(7)


def test_arguments_are_copies():
    values = [1.0]
    call(lambda given: given.append(2.0) or 1, values)
    assert values == [1.0]


def test_a_mistake_with_the_right_value_is_not_named():
    with pytest.raises(Mistake, match=r"2 was expected, not 5"):
        compare(5.0, 2.0, {"never": 2.0})
    assert same([1, "a"], [1, "a"]) and not same([1, "b"], [1, "a"]) and same(np.nan, float("nan"))


def test_a_checker_turns_mistakes_into_verdicts():
    @checker
    def check(value):
        compare(value, 1, {"Twice.": 2})
        return "It is one."

    assert repr(check(1)) == "Passed: It is one." and repr(check(2)) == "Not yet: Twice."
    shown = Verdict(False, "k < 1")._repr_html_()
    assert "Not yet:" in shown and "k &lt; 1" in shown and Verdict(True, "")._repr_html_() != shown
