"""The attention explorer: what a reader looks at, from passages to layers and heads to words to answer tokens.

Wiring alone: what is shown comes from `attention_views`, how it is drawn from js/attention_*.js, in a notebook and in
an exported page alike. The whole attention stays in Python; a page asks for the pieces that it draws.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anywidget
import numpy as np
import traitlets

from kit.metrics import has_answer
from kit.reader import FiDReader
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.attention_choice import READER, RETRIEVED, Choice, check_choice, read_selection
from kit.widgets.attention_look import Look, look_at
from kit.widgets.attention_page import javascript, saved_body, still_body, stylesheet
from kit.widgets.attention_pieces import aggregations, first_pieces, packed, page_facts, size_of, token_ids
from kit.widgets.attention_views import bars
from kit.widgets.explorer import Explorer

A_CLICK = 23_000  # bytes of pieces in one answer to the page: below 25 kB with the list of what they are
KEPT = 1_000_000_000  # bytes of looks kept, beside the present one


class AttentionView(anywidget.AnyWidget):
    """The page's side: `page` and `data` are what it starts with, `choice` is what it shows."""

    _esm = javascript("live")
    _css = stylesheet()
    page = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    choice = traitlets.Dict().tag(sync=True)


class AttentionExplorer(Explorer):
    """Which passages, words, layers and heads a reader looks at before it says each token of its answer.

    `questions`: one or several; the passages are the `n_context` highest of `table` (all if None). `others`: tables
    whose scores and ranks stand beside the reader's (none given: `table` itself). `gold`: ids of the passages that
    state the answer, by question id (not given: those that hold one of the question's answers).

    `.selection` is the view as a short text that can be given back; `.passage_scores()` the bars as a score table.
    """

    def __init__(
        self,
        reader: FiDReader,
        questions: Question | Sequence[Question],
        corpus: Mapping[str, Passage],
        table: ScoreTable,
        *,
        others: Mapping[str, ScoreTable] | None = None,
        gold: Mapping[str, Collection[str]] | None = None,
        n_context: int | None = None,
    ) -> None:
        self._reader, self._corpus, self._gold = reader, corpus, gold
        self._questions = _checked_questions(questions)
        self._others = _checked_others(others if others else {table.name: table}, self._questions)
        found = table.select([question.id for question in self._questions])
        self._table = found.top(n_context if n_context is not None else max(1, found.values.shape[1]))
        self._looks: dict[int, Look] = {}
        self._view = AttentionView()
        self._open(self._questions[0].id)
        self._view.on_msg(self._receive)
        self._view.observe(self._chosen, "choice")
        super().__init__("What the reader looks at", [self._view])

    @property
    def selection(self) -> str:
        """What is looked at: `question=... passage=... layer=... head=... answer=... aggregation=...`, settable.

        What a given text leaves out stays as it is. `KitError` for what is not there.
        """
        return self.choice.text

    @selection.setter
    def selection(self, text: str) -> None:
        choice = read_selection(text, self.choice)
        number = self._number(choice.question)
        if not choice.passage:
            choice = replace(choice, passage=self._best(number, choice))
        self._check(choice)
        if choice.question == self.choice.question:
            self._view.choice = asdict(choice)
        else:
            self._open(choice.question, choice)

    @property
    def choice(self) -> Choice:
        """What is looked at."""
        return Choice(**self._view.choice)

    def passage_scores(self) -> ScoreTable:
        """The bars: the reader's scores (1, k) of the question's passages, in the order in which they were read."""
        look = self._look(self._number(self.choice.question))
        ids = [passage.id for passage in look.passages]
        return ScoreTable(self.choice.aggregation, [look.question.id], [ids], bars(look, self.choice).scores[None])

    def still(self) -> str:
        """The bars, the chosen passage's map and its shaded tokens as HTML without script."""
        look = self._look(self._number(self.choice.question))
        return still_body(look, self.choice, self._gold_of(look))

    def export_body(self) -> str:
        """The explorer of the present question with its data, in a page of its own: see `attention_page.saved_body`."""
        number = self._number(self.choice.question)
        look = self._look(number)
        page, numbers = self._page(number)
        return saved_body({**page, "choice": asdict(self.choice)}, look, self.choice, number, numbers)

    def pieces(self, keys: Sequence[str]) -> tuple[list[list[Any]], bytes]:
        """[key, bytes] of each piece that a page asked for, and the pieces: what fits below 25 kB, at least one."""
        if not keys:
            raise KitError("pieces", "at least one key", "none")
        fit, room = [], A_CLICK
        look = self._look(_question_of(keys[0], len(self._questions)))
        for key in keys:
            room -= size_of(key, look)
            if (fit and room < 0) or key.split("|")[1] != keys[0].split("|")[1]:
                break
            fit.append(key)
        return packed(fit, look)

    def _open(self, question_id: str, choice: Choice | None = None) -> None:
        """Show a question: its best passage, or what a choice says."""
        number = self._number(question_id)
        first = choice or self._first_choice(number)
        look = self._look(number)
        page, numbers = self._page(number)
        parts, pieces = packed(first_pieces(look, replace(first, token=None), number), look)
        page["parts"] = [["tokens", len(numbers)], *parts]
        with self._view.hold_sync():
            self._view.page, self._view.data, self._view.choice = page, numbers + pieces, asdict(first)

    def _first_choice(self, number: int) -> Choice:
        """The best passage of a question, counted as before."""
        before = self.choice if self._view.choice else Choice("", "")
        answer = None if before.answer is None else 0
        choice = replace(before, question=self._questions[number].id, answer=answer, said="generated", token=None)
        return replace(choice, passage=self._best(number, choice))

    def _page(self, number: int) -> tuple[dict[str, Any], bytes]:
        """What the page is told of a question, and the numbers of its tokens."""
        look = self._look(number)
        words, numbers = token_ids(look)
        facts = page_facts(look, self._gold_of(look), self._others, self._table.select([look.question.id]))
        listed = [[question.id, question.text] for question in self._questions]
        facts |= {"questions": listed, "question": number, "vocabulary": words, "aggregations": aggregations()}
        return facts | {"retriever": self._table.name}, numbers

    def _look(self, number: int) -> Look:
        """The look at a question: kept, while there is room, for when it is opened again."""
        if number not in self._looks:
            question = self._questions[number]
            ids = self._table.passages_of(question.id)
            missing = [passage_id for passage_id in ids if passage_id not in self._corpus]
            if missing:
                raise KitError(f"question {question.id!r}", "passages that are in the corpus", repr(missing[0]))
            look = look_at(self._reader, question, [self._corpus[passage_id] for passage_id in ids])
            while self._looks and sum(map(_bytes_of, self._looks.values())) > KEPT:
                del self._looks[next(iter(self._looks))]
            self._looks[number] = look
        return self._looks[number]

    def _best(self, number: int, choice: Choice) -> str:
        look = self._look(number)
        usable = replace(choice, answer=None if choice.answer is None else 0, said="generated")
        return look.passages[int(np.argmax(bars(look, usable).scores))].id

    def _gold_of(self, look: Look) -> set[str]:
        if self._gold is not None:
            return set(self._gold.get(look.question.id, ()))
        return {passage.id for passage in look.passages if has_answer(passage.text, look.question.answers)}

    def _number(self, question_id: str) -> int:
        ids = [question.id for question in self._questions]
        if question_id not in ids:
            raise KitError("selection, question", f"one of {', '.join(ids[:8])}", repr(question_id))
        return ids.index(question_id)

    def _check(self, choice: Choice) -> None:
        look = self._look(self._number(choice.question))
        ids = [passage.id for passage in look.passages]
        if choice.passage not in ids:
            raise KitError("selection, passage", f"one that was read: {', '.join(ids[:8])}", repr(choice.passage))
        n, h, _, _ = look.sizes
        said = tuple(look.answers)
        answers = len(look.answers[choice.said].tokens) if choice.said in said else 1
        tokens = look.lengths[ids.index(choice.passage)]
        sizes = {"layer": n, "head": h, "answer": answers, "token": tokens}
        check_choice(choice, sizes, said, (READER, RETRIEVED, *self._others))

    def _chosen(self, change: dict[str, Any]) -> None:
        """A page's choice that is not there is refused, and the one before it shown again."""
        try:
            self._check(Choice(**change["new"]))
        except (KitError, TypeError):
            self._view.choice = change["old"]
            raise

    def _exported(self) -> bytes:
        with TemporaryDirectory() as folder:
            return self.export_html(Path(folder) / "attention.html").read_bytes()

    def _receive(self, _: Any, message: dict[str, Any], buffers: list[bytes]) -> None:
        try:
            if "want" in message:
                parts, pieces = self.pieces(message["want"])
                self._view.send({"parts": parts}, [pieces])
            elif "open" in message:
                self._open(message["open"])
            elif "select" in message:
                self.selection = message["select"]
            elif "save" in message:
                self._view.send({"saved": "attention.html"}, [self._exported()])
        except Exception as error:
            self._view.send({"error": str(error)})
            if not isinstance(error, KitError):
                raise


def _checked_questions(questions: Question | Sequence[Question]) -> list[Question]:
    listed = [questions] if isinstance(questions, Question) else list(questions)
    if not listed or not all(isinstance(question, Question) for question in listed):
        raise KitError(
            "AttentionExplorer", "a question, or several", "none" if not listed else type(listed[0]).__name__
        )
    return listed


def _checked_others(others: Mapping[str, ScoreTable], questions: list[Question]) -> dict[str, ScoreTable]:
    for name, table in others.items():
        if not isinstance(table, ScoreTable):
            raise KitError(f"AttentionExplorer, others[{name!r}]", "a ScoreTable", type(table).__name__)
        if name in (READER, RETRIEVED):
            raise KitError("AttentionExplorer, others", f"names other than {READER!r} and {RETRIEVED!r}", repr(name))
        table.select([question.id for question in questions])  # a question that it lacks is an error
    return dict(others)


def _question_of(key: str, count: int) -> int:
    number = key.split("|")[1] if key.count("|") == 8 else ""
    if not (number.isascii() and number.isdigit() and int(number) < count):
        raise KitError("piece", "the key of a question's piece", repr(key))
    return int(number)


def _bytes_of(look: Look) -> int:
    tensors = [look.value_lengths, *(one.log_probabilities for one in look.answers.values())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
