"""What a click sends to the page: at most 25 kB in all, for each explorer, at toy size and with 100 passages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ipywidgets
import numpy as np
import pytest

from kit.types import Passage, Question, ScoreTable
from kit.widgets import Playground
from kit.widgets.explorer import Explorer
from kit.widgets.figure_view import FigureView

A_CLICK = 25_000  # bytes


@contextmanager
def sent() -> Iterator[list[int]]:
    """The sizes of all messages that widgets send meanwhile."""
    sizes: list[int] = []

    def count(self: ipywidgets.Widget, message: dict, buffers: Sequence[bytes] | None = None) -> None:
        sizes.append(len(json.dumps(message, default=str).encode()) + sum(map(len, buffers or ())))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ipywidgets.Widget, "_send", count)
        yield sizes


def bytes_of(explorer: Explorer, click: Callable[[], object]) -> int:
    """All that a click sends to a page that has drawn the pictures before."""
    for view in pictures_in(explorer):
        view._receive(view, {"kind": "drawn"}, [])
    with sent() as sizes:
        click()
    return sum(sizes)


def pictures_in(box: ipywidgets.Box) -> Iterator[FigureView]:
    for child in box.children:
        if isinstance(child, FigureView):
            yield child
        elif isinstance(child, ipywidgets.Box):
            yield from pictures_in(child)


def texts(count: int, words: int = 100) -> dict[str, Passage]:
    """Passages of 100 words from 2,000 drawn ones: they compress about as little as English does."""
    drawn = np.random.default_rng(0)
    letters = list("eeeetttaaaooinshrdlucmwfgypbvk")
    pool = ["".join(drawn.choice(letters, drawn.integers(2, 9))) for _ in range(2000)]
    made = (" ".join(drawn.choice(pool, words)) for _ in range(count))
    return {f"p{n}": Passage(f"p{n}", f"The title of passage {n}", text) for n, text in enumerate(made)}


def tables(names: Sequence[str], questions: Sequence[Question], ids: Sequence[str]) -> dict[str, ScoreTable]:
    drawn = np.random.default_rng(1)
    asked = [question.id for question in questions]
    return {
        name: ScoreTable(name, asked, [list(ids)] * len(asked), drawn.normal(size=(len(asked), len(ids))))
        for name in names
    }


def asked(count: int) -> list[Question]:
    return [Question(f"q{n}", f"Which is the number {n} of all that there are?", ("fox jumps",)) for n in range(count)]


class Found:
    """A retriever that finds passages from a place on, for each question another."""

    def __init__(self, ids: Sequence[str], start: int) -> None:
        self.ids, self.start = list(ids), start

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable:
        rows = {}
        for question in questions:
            start = (self.start + len(question.text)) % len(self.ids)
            ids = [*self.ids[start:], *self.ids[:start]][:k]
            rows[question.id] = [(i, float(-n)) for n, i in enumerate(ids)]
        return ScoreTable.from_rows("found", rows)


@pytest.mark.parametrize("k", [5, 20, 100])
def test_playground(k, small_reader):
    corpus = texts(2 * k)
    retrievers = {name: Found(list(corpus), start) for name, start in (("BM25", 0), ("before", 3), ("after", k // 2))}
    playground = Playground(corpus, retrievers, small_reader, questions=asked(9), k=k)
    clicks = {
        "a question": lambda: playground.ask("What else is there to be known?"),
        "drop": lambda: playground.drop(2),
        "edit": lambda: playground.edit(0, "A fox is here."),
        "another retriever": lambda: playground.read_from("after"),
    }
    took = {name: bytes_of(playground, click) for name, click in clicks.items()}
    print(k, took)
    playground.close()
    assert min(took.values()) > 0 and max(took.values()) <= A_CLICK
