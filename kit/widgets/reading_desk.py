"""The state of the playground: a question, what was found, what is read, and the last two readings.

Pure: a desk is frozen, and what is done to it gives another. `desk_html` tells it without widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Protocol

from kit.plots.still import still
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.passage_columns import columns_html, letters_of, list_html
from kit.widgets.passage_reading import PassageReading
from kit.widgets.reading_views import answer_html, reading_figure, reading_table, truth_html


class Retriever(Protocol):
    """What is asked of a retriever: `kit.BM25` and `kit.DenseRetriever` are such."""

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable: ...


@dataclass(frozen=True, eq=False)
class Desk:
    """A question, its passages by retriever (tables of one row), the passages to read, and the readings."""

    question: Question | None = None
    found: Mapping[str, ScoreTable] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()
    reading: PassageReading | None = None  # the last one
    before: PassageReading | None = None  # the one before, of the same question

    @property
    def letters(self) -> dict[str, str]:
        """The letter of every passage on the desk: those found, by retriever, then one's own."""
        found = [i for table in self.found.values() for i in table.passages_of(table.question_ids[0])]
        read = [] if self.reading is None else self.reading.ids
        return letters_of([*found, *read, *(passage.id for passage in self.passages)])

    @property
    def is_read(self) -> bool:
        """Whether the last reading is of just these passages."""
        return self.reading is not None and self.reading.passages == self.passages

    def found_by(self, name: str, corpus: Mapping[str, Passage]) -> tuple[Passage, ...]:
        """The passages that one retriever found, best first."""
        if name not in self.found:
            raise KitError("read_from", f"one of {', '.join(map(repr, self.found))}", repr(name))
        table = self.found[name]
        return tuple(corpus[i] for i in table.passages_of(table.question_ids[0]))

    def with_passages(self, passages: Sequence[Passage]) -> Desk:
        """The desk with other passages, not read yet."""
        return replace(self, passages=tuple(passages))

    def read(self, read: Callable[[str, Sequence[Passage]], PassageReading], *, again: bool = False) -> Desk:
        """The desk after `read(question text, passages)`; the reading until now is the one before.

        What is read already is not read again, unless `again`: then the one before stays.
        """
        if self.question is None:
            raise KitError("read", "a question", "none yet")
        if self.is_read:
            return replace(self, reading=read(self.question.text, self.passages)) if again else self
        return replace(self, reading=read(self.question.text, self.passages), before=self.reading)


def asked(
    question: Question, retrievers: Mapping[str, Retriever], corpus: Mapping[str, Passage], k: int, read_from: str
) -> Desk:
    """A desk with what every retriever finds for a question, at most `k` passages each, and those of one to read."""
    if not question.text.strip():
        raise KitError("question", "a question with words", repr(question.text))
    found = {}
    for name, retriever in retrievers.items():
        table = retriever.retrieve([question], k)
        found[name] = table.top(k) if table.values.shape[1] else table
        missing = [i for i in found[name].passages_of(question.id) if i not in corpus]
        if missing:
            raise KitError(f"retriever {name!r}", "passages that are in the corpus", repr(missing[0]))
    desk = Desk(question, found)
    return desk.with_passages(desk.found_by(read_from, corpus))


def desk_html(desk: Desk, corpus: Mapping[str, Passage]) -> str:
    """All of a desk as HTML without script."""
    if desk.question is None:
        return "<p>No question has been asked yet.</p>"
    answers, letters = desk.question.answers, desk.letters
    parts = [
        f"<p><b>Question:</b> {escape(desk.question.text)}</p><h4>Found</h4>",
        columns_html(desk.found, corpus, answers, letters),
        "<h4>Read, in this order</h4>" + list_html(desk.passages, corpus, answers, letters),
    ]
    if desk.is_read:
        views: dict[str, Any] = {"before": desk.before, "answers": answers}
        figure = reading_figure(desk.reading, **views, letters=letters)
        parts.append(answer_html(desk.reading, **views))
        if desk.passages:
            title = "attention score and leave-one-out effect of each passage"
            parts += [f"<figure style='margin:1em 0;overflow-x:auto'>{still(figure, title=title)}</figure>"]
            parts += [truth_html(desk.reading, letters), reading_table(desk.reading, **views, letters=letters)]
    else:
        parts.append("<p>Not read yet.</p>")
    return "".join(parts)
