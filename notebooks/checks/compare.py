"""A student's function beside the right one: passed, or not yet and the typical error that gives the same values.

Knows nothing of any exercise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import Any

import numpy as np
from torch import Tensor

NAN = "A value is NaN, from -inf times 0, inf - inf or 0 / 0. Put a finite number into masked cells first."


@dataclass(frozen=True)
class Verdict:
    """A checker's answer: whether the exercise is solved, and one sentence that says what is right or still wrong.

    >>> Verdict(False, "You summed; the mean is expected.")
    Not yet: You summed; the mean is expected.
    """

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'Passed' if self.passed else 'Not yet'}: {self.message}"

    def _repr_html_(self) -> str:
        colour, sign = ("#2e7d32", "✓ Passed") if self.passed else ("#c25e00", "… Not yet")
        style = f"border-left:4px solid {colour};padding:.3em .8em"
        return f'<p style="{style}"><b>{sign}:</b> {escape(self.message)}</p>'


class Mistake(Exception):
    """Raised inside a checker with the sentence that names the mistake."""


def call(function: Callable[..., Any], *arguments: Any, copied: bool = True, **named: Any) -> Any:
    """The result of a student's function, on copies of the arguments. Raises `Mistake` if there is none.

    >>> call(lambda x: None, 1)
    Traceback (most recent call last):
    checks.compare.Mistake: <lambda> returned None: fill in the TODO, and return the result.
    """
    if not callable(function):
        raise Mistake(f"A function is expected, this is {type(function).__name__}.")
    name = getattr(function, "__name__", "your function")
    try:
        result = function(*(deepcopy(arguments) if copied else arguments), **named)
    except Mistake:
        raise
    except Exception as error:
        raise Mistake(f"{name} raised {type(error).__name__}: {error}.") from None
    if result is None:
        raise Mistake(f"{name} returned None: fill in the TODO, and return the result.")
    return result


def checker(check: Callable[..., str]) -> Callable[..., Verdict]:
    """The function as a checker: it returns the message of a pass, and raises `Mistake` if it is not yet one."""

    def checked(*arguments: Any, **named: Any) -> Verdict:
        try:
            return Verdict(True, check(*arguments, **named))
        except Mistake as mistake:
            return Verdict(False, str(mistake))

    checked.__name__, checked.__doc__ = check.__name__, check.__doc__
    return checked


def compare(value: Any, correct: Any, mistakes: Mapping[str, Any], note: str = "", tolerance: float = 1e-4) -> None:
    """Nothing if the values agree; else raises `Mistake`: the sentence whose value it is, or what is expected.

    >>> compare(4.0, 2.0, {"You summed: take the mean.": 4.0})
    Traceback (most recent call last):
    checks.compare.Mistake: You summed: take the mean.
    """
    if same(value, correct, tolerance):
        return
    for message, wrong in mistakes.items():
        if same(value, wrong, tolerance) and not same(wrong, correct, tolerance):
            raise Mistake(message)
    shape, expected = _shape(value), _shape(correct)
    if shape != expected:
        kind = shape.lower() if shape else type(value).__name__
        raise Mistake(f"{expected or type(correct).__name__} was expected, this is {kind}. {note}".strip())
    if shape and np.isnan(_array(value)).any() and not np.isnan(_array(correct)).any():
        raise Mistake(f"{NAN} {note}".strip())
    raise Mistake(f"{_short(correct)} was expected, not {_short(value)}. {note}".strip())


def compare_calls(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Mapping[str, Sequence[Any]],
    mistakes: Mapping[str, Mapping[str, Any]],
    tolerance: float = 1e-4,
) -> None:
    """Nothing if the function agrees with `reference` in all `cases`, {note: arguments}; else raises `Mistake`.

    `mistakes`: {sentence: options of `reference` with which it makes this mistake}. Two at once are named too.

    >>> def mean(x, count=0):
    ...     return sum(x) / (len(x) + count)
    >>> compare_calls(lambda x: sum(x) / 3, mean, {"": [[1, 2]]}, {"You divided by one too many.": {"count": 1}})
    Traceback (most recent call last):
    checks.compare.Mistake: You divided by one too many.
    """
    values: list[Any] = []
    for number, (note, arguments) in enumerate(cases.items()):
        try:
            values.append(call(function, *arguments))
        except Mistake as mistake:
            raise Mistake(f"{mistake} {note}" if number else str(mistake)) from None
    correct = [reference(*arguments) for arguments in cases.values()]
    if all(same(value, right, tolerance) for value, right in zip(values, correct, strict=True)):
        return
    pairs = combinations(mistakes.items(), 2)
    options = {**mistakes, **{f"Two mistakes at once. {a} And: {b}": {**x, **y} for (a, x), (b, y) in pairs}}
    for message, option in options.items():
        wrong = [reference(*arguments, **option) for arguments in cases.values()]
        if not same(wrong, correct, tolerance) and same(values, wrong, tolerance):
            raise Mistake(message)
    for value, right, note in zip(values, correct, cases, strict=True):
        compare(value, right, {}, note, tolerance)


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether numbers, arrays, or lists of them agree, also where they are NaN."""
    if isinstance(b, list) and isinstance(a, list) and any(_shape(part) is None or np.ndim(part) for part in b):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if _shape(a) is None or _shape(a) != _shape(b):
        return type(a) is type(b) and bool(a == b)
    return np.allclose(_array(a), _array(b), rtol=tolerance, atol=1e-6, equal_nan=True)


def tensor(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The value, if it is a tensor of that shape. Raises `Mistake` if not; `what` says what was expected."""
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        got = f"{tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise Mistake(f"{what}, {shape}, is expected; yours is {got}.")
    return value


def number(value: Any) -> float:
    """The value as a number. Raises `Mistake` if it is none."""
    if (shape := _shape(value)) != "One number":
        raise Mistake(f"One number was expected, this is {shape.lower() if shape else type(value).__name__}.")
    return float(value)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=float)


def _shape(value: Any) -> str | None:
    if isinstance(value, str):
        return None
    try:
        shape = _array(value).shape
    except (TypeError, ValueError):
        return None
    return f"An array {shape}" if shape else "One number"


def _short(value: Any) -> str:
    if not _shape(value):
        return f"{value!r:.120}"
    return f"{float(value):.6g}" if np.ndim(_array(value)) == 0 else str(np.round(_array(value), 4).tolist())[:120]
