"""What a state is made of: each part has a name, what it takes, and how a page lets it be changed.

A part with a label becomes a control of the page, one without is changed by the explorer's own pictures. `place` names
where an explorer puts a control that does not stand in the row on top. Knows no widgets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kit.types import KitError


@dataclass(frozen=True)
class Choice:
    """One of some options: values, or (label, value) pairs. Few are radio buttons, many get a filter.

    >>> Choice("show", "show", ["scores", "shares"], "scores").checked("shares")
    'shares'
    """

    name: str
    label: str
    options: Sequence[Any]
    value: Any
    hint: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        if not self.options:
            raise KitError(self.name, "at least one option", "none")
        self.checked(self.value)

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """(label, value) of each option."""
        return [option if isinstance(option, tuple) else (str(option), option) for option in self.options]

    def checked(self, value: Any) -> Any:
        """The value; `KitError` if it is no option."""
        values = [one for _, one in self.pairs]
        if not any(value is one or (type(value) is type(one) and value == one) for one in values):
            raise KitError(self.name, f"one of {', '.join(map(repr, values[:20]))}", repr(value))
        return value

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {"kind": "choice", "options": [{"label": label, "value": value} for label, value in self.pairs]}


@dataclass(frozen=True)
class Several(Choice):
    """At least one of some options, as a list in their order.

    >>> Several("losses", "compare", ["kl", "mse", "js"], ["kl"]).checked(["mse", "kl"])
    ['kl', 'mse']
    """

    def checked(self, value: Any) -> list[Any]:
        """The values in the options' order; `KitError` if one is no option, or there is none."""
        options = [one for _, one in self.pairs]
        if isinstance(value, str) or not value or any(one not in options for one in value):
            raise KitError(self.name, f"at least one of {', '.join(map(repr, options))}", repr(value))
        return [one for one in options if one in value]

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {**super().declaration(), "kind": "several"}


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, whole if all bounds are; with `log` a slider moves evenly through powers of ten.

    >>> Number("steps", "steps", 1, 200, 1, 20).checked(7)
    7
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    log: bool = False
    hint: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high or self.step <= 0 or (self.log and self.low <= 0):
            wanted = "0 < low < high and a step above 0" if self.log else "low < high and a step above 0"
            raise KitError(self.name, wanted, f"low {self.low}, high {self.high}, step {self.step}")
        self.checked(self.value)

    def checked(self, value: Any) -> float:
        """The number; `KitError` if it is none, or out of bounds."""
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not self.low <= value <= self.high:
            raise KitError(self.name, f"a number from {self.low:g} to {self.high:g}", repr(value))
        whole = not self.log and all(isinstance(one, int) for one in (self.low, self.high, self.step))
        if whole and value != int(value):
            raise KitError(self.name, f"a whole number from {self.low:g} to {self.high:g}", repr(value))
        return int(value) if whole else value

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {"kind": "number", "low": self.low, "high": self.high, "step": self.step, "log": self.log}


@dataclass(frozen=True)
class Flag:
    """True or False."""

    name: str
    label: str
    value: bool = False
    hint: str = ""
    place: str = ""

    def checked(self, value: Any) -> bool:
        """The value; `KitError` if it is neither True nor False."""
        if not isinstance(value, bool):
            raise KitError(self.name, "True or False", repr(value))
        return value

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {"kind": "flag"}


@dataclass(frozen=True)
class Text:
    """A line of text that `check` takes (it raises `KitError` if not)."""

    name: str
    label: str
    value: str
    check: Callable[[str], object]
    hint: str = ""
    place: str = ""

    def checked(self, value: Any) -> str:
        """The text; `KitError` if it is none, or does not pass."""
        if not isinstance(value, str):
            raise KitError(self.name, "a text", repr(value))
        self.check(value)
        return value

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {"kind": "text"}


@dataclass(frozen=True)
class Free:
    """Anything that JSON holds and `check` takes (it returns the value, or raises `KitError`); has no control."""

    name: str
    value: Any
    check: Callable[[Any], Any]
    label: str = ""
    hint: str = ""
    place: str = ""

    def checked(self, value: Any) -> Any:
        """What `check` returns."""
        return self.check(value)

    def declaration(self) -> dict[str, Any]:
        """What the page needs."""
        return {"kind": "free"}


Control = Choice | Number | Flag | Text | Free


def declared(control: Control, start: Any) -> dict[str, Any]:
    """A control as the page takes it, `start` being the value that the page begins with."""
    common = {"name": control.name, "label": control.label, "hint": control.hint, "place": control.place}
    return {**common, "default": control.value, "value": start, **control.declaration()}
