"""What is looked at in the attention explorer: one choice, as a short text that can be copied and given back.

Pure. Knows nothing of tensors or widgets.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import quote, unquote

from kit.attention import AGGREGATIONS, Aggregation
from kit.types import KitError

SAID = ("generated", "given")  # the answer that the decoder is fed: the reader's own, or the question's
NUMBERS = ("layer", "head", "answer", "token")
ALL = "all"
READER, RETRIEVED = "reader", "retrieved"  # orders of the passages, beside the names of other tables


@dataclass(frozen=True)
class Choice:
    """One view: a question, one of its passages, and how the attention to it is counted. None means all, or no token.

    >>> Choice("q12", "p7", layer=2, head=1).text.split()[:6]
    ['question=q12', 'passage=p7', 'layer=2', 'head=1', 'answer=0', 'aggregation=attention_share']
    """

    question: str
    passage: str
    layer: int | None = None
    head: int | None = None
    answer: int | None = 0  # the answer token
    aggregation: str = "attention_share"
    kind: str = "probabilities"
    said: str = "generated"
    order: str = READER
    token: int | None = None  # of the passage

    @property
    def text(self) -> str:
        """The choice as `name=value` words; blanks, % and = in ids are written as in a URL."""
        shown = {name: value for name, value in asdict(self).items() if name != "token" or value is not None}
        return " ".join(
            f"{name}={ALL if value is None else quote(str(value), safe=':')}" for name, value in shown.items()
        )

    @property
    def way(self) -> Aggregation:
        """How the attention becomes one score a passage."""
        picked = {"layers": _one(self.layer), "heads": _one(self.head)}
        return replace(AGGREGATIONS[self.aggregation], kind=self.kind, answer="first", **picked)


def preset(aggregation: str) -> dict[str, Any]:
    """The kind and the answer token that an aggregation is defined with.

    >>> preset("adist")
    {'kind': 'value_norms', 'answer': None}
    """
    if aggregation not in AGGREGATIONS:
        raise KitError("selection, aggregation", f"one of {', '.join(AGGREGATIONS)}", repr(aggregation))
    way = AGGREGATIONS[aggregation]
    return {"kind": way.kind, "answer": 0 if way.answer == "first" else None}


def read_selection(text: str, present: Choice) -> Choice:
    """The choice that a text describes; what it leaves out stays as it is in `present`, but for three things.

    Another aggregation brings its own kind and answer token, another question its first passage (written as ""), and
    a token is only chosen where it is named.
    """
    if not isinstance(text, str):
        raise KitError("selection", "a text such as 'question=q1 passage=p1 layer=2'", type(text).__name__)
    names = [field.name for field in fields(Choice)]
    given: dict[str, Any] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in names:
            raise KitError("selection", f"words name=value with a name of {', '.join(names)}", repr(word))
        if name in given:
            raise KitError("selection", "each name once", repr(word))
        given[name] = _number(name, value) if name in NUMBERS else unquote(value)
    if "aggregation" in given:
        given = {**preset(given["aggregation"]), **given}
    if given.get("question", present.question) != present.question:
        given = {"passage": "", **given}
    return replace(present, **{"token": None, **given})


def check_choice(choice: Choice, sizes: dict[str, int], said: tuple[str, ...], orders: tuple[str, ...]) -> None:
    """Refuse what is not there; `sizes`: of "layer", "head", "answer" and "token"."""
    preset(choice.aggregation)
    kinds = ("logits", "probabilities", "value_norms")
    for name, words in (("kind", kinds), ("said", said), ("order", orders)):
        if getattr(choice, name) not in words:
            raise KitError(f"selection, {name}", f"one of {', '.join(words)}", repr(getattr(choice, name)))
    for name, size in sizes.items():
        value = getattr(choice, name)
        if value is not None and not 0 <= value < size:
            raise KitError(f"selection, {name}", f"a number from 0 to {size - 1}, or all", value)


def _one(number: int | None) -> tuple[int, ...] | None:
    return None if number is None else (number,)


def _number(name: str, value: str) -> int | None:
    if value == ALL:
        return None
    if not (value.isascii() and value.isdigit()):
        raise KitError(f"selection, {name}", "a number, or all", repr(value))
    return int(value)
