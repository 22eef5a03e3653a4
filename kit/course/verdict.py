"""What a checker of an exercise says: passed, or not yet and why. Knows nothing of any exercise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """A checker's answer: whether the exercise is solved, and one sentence that says what is right or still wrong.

    >>> Verdict(False, "You summed; the mean is wanted.")
    Not yet: You summed; the mean is wanted.
    """

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'Passed' if self.passed else 'Not yet'}: {self.message}"

    def _repr_html_(self) -> str:
        colour = "#2e7d32" if self.passed else "#c25e00"
        sign, word = ("✓", "Passed") if self.passed else ("…", "Not yet")
        return (
            f'<p style="border-left:4px solid {colour};padding:.3em .8em"><b>{sign} {word}:</b> '
            f"{escape(self.message)}</p>"
        )


def not_yet(message: str) -> Verdict:
    """A verdict that names the mistake."""
    return Verdict(False, message)


def passed(message: str) -> Verdict:
    """A verdict that says what the solution shows."""
    return Verdict(True, message)


def answer_of(solution: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a learner's function gives, or a `Verdict` where it raises an error or returns nothing.

    >>> answer_of(lambda x: None, 1)
    Not yet: <lambda> returned None: fill in the TODO, and return the result.
    """
    name = getattr(solution, "__name__", "your function")
    if not callable(solution):
        return not_yet(f"A function was wanted, this is {type(solution).__name__}.")
    try:
        result = solution(*arguments, **named)
    except Exception as error:
        return not_yet(f"{name} raised {type(error).__name__}: {error}")
    if result is None:
        return not_yet(f"{name} returned None: fill in the TODO, and return the result.")
    return result


def number_of(solution: Callable[..., Any], *arguments: Any, **named: Any) -> float | Verdict:
    """The number that a learner's function gives, or a `Verdict` where it gives something else.

    >>> number_of(lambda x: [x], 1)
    Not yet: One number was wanted, this is list.
    """
    given = answer_of(solution, *arguments, **named)
    if isinstance(given, Verdict):
        return given
    try:
        return float(given)
    except (TypeError, ValueError):
        return not_yet(f"One number was wanted, this is {type(given).__name__}.")
