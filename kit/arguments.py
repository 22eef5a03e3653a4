"""Checks of what a caller passes at a public entry: what was wanted and what was given, in one `KitError` line."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import Any, TypeVar

from kit.types import KitError

T = TypeVar("T")


def whole_number(where: str, name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """The value, which is a whole number of at least `least` (and at most `most`).

    >>> whole_number("search", "k", 5)
    5
    >>> whole_number("search", "k", 2.5)
    Traceback (most recent call last):
    kit.types.KitError: search: wanted k of at least 1, given 2.5
    """
    wanted = f"{name} of at least {least}" if most is None else f"{name} from {least:,} to {most:,}"
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        raise KitError(where, wanted, f"{value!r:.60}")
    return number


def list_of(where: str, items: Iterable[T] | Any, kind: type[T], what: str) -> list[T]:
    """The items as a list, each of which is of `kind`; a string, a mapping, one object or None is no list.

    >>> list_of("retrieve", ["a", "b"], str, "questions")
    ['a', 'b']
    >>> list_of("retrieve", "ab", str, "questions")
    Traceback (most recent call last):
    kit.types.KitError: retrieve: wanted a list of questions (str), given 'ab'
    """
    wanted = f"a list of {what} ({kind.__name__})"
    if isinstance(items, str | bytes | Mapping | kind) or not isinstance(items, Iterable):
        raise KitError(where, wanted, f"{items!r:.60}")
    taken = list(items)
    wrong = next((number for number, item in enumerate(taken) if not isinstance(item, kind)), None)
    if wrong is not None:
        raise KitError(where, wanted, f"{taken[wrong]!r:.60} at position {wrong}")
    return taken


def real_number(where: str, name: str, value: object) -> float:
    """The value, which is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise KitError(where, f"{name} that is a number", f"{value!r:.60}")
    return float(value)


def one_of(where: str, value: object, names: Collection[str]) -> str:
    """The value, which is one of `names`.

    >>> one_of("loss", "kl", ("kl", "mse"))
    'kl'
    """
    if not isinstance(value, str) or value not in names:
        raise KitError(where, f"one of {', '.join(names)}", f"{value!r:.60}")
    return value


def named(where: str, value: str | T | Any, table: Mapping[str, T], kind: Any) -> T:
    """The object of this name in `table`, or the value itself if it is of `kind`.

    >>> named("size", "small", {"small": 1, "large": 9}, int), named("size", 5, {"small": 1, "large": 9}, int)
    (1, 5)
    """
    return value if isinstance(value, kind) else table[one_of(where, value, table)]


def instance_of(where: str, value: Any, kind: Any, wanted: str) -> Any:
    """The value, which is of `kind`."""
    if not isinstance(value, kind):
        raise KitError(where, wanted, f"{value!r:.60}")
    return value
