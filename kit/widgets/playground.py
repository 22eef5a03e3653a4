"""The playground of retrieval and reading: ask, see what is found and read, change the passages, read again.

It wires controls to kit.widgets.reading_desk (the state), passage_columns and reading_views (what is shown).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from kit.reader import FiDReader
from kit.types import KitError, Passage, Question
from kit.widgets import passage_list
from kit.widgets.explorer import Explorer, StatusLine
from kit.widgets.figure_view import FigureView
from kit.widgets.packed_html import PackedHtml
from kit.widgets.passage_columns import columns_html, gold_of
from kit.widgets.passage_reading import ASKED, PassageReading, check_reader, read_passages
from kit.widgets.playground_controls import OWN_WORDS, TYPED, add_options, arranged, listed, make_controls
from kit.widgets.reading_desk import Desk, Retriever, asked, desk_html
from kit.widgets.reading_views import answer_html, reading_figure, reading_table, truth_html

LONG = ("found", "numbers")  # of what is told: many texts, a row for each passage


class Playground(Explorer):
    """A question put to every retriever, the passages of one of them read, and the passages changed at will.

    `retrievers` is {name: what has `retrieve(questions, k)`}; `questions` are offered in a list, and one with the
    typed text lends it its answers. Questions without answers work: nothing has a star then. Shown are each passage's
    attention score and its leave-one-out effect; after a change the reading before stays in view.

    `ask`, `read_from`, `edit`, `drop`, `add`, `move` and `read` do what the controls do; `desk` is the present state.
    """

    def __init__(
        self,
        corpus: Mapping[str, Passage],
        retrievers: Mapping[str, Retriever],
        reader: FiDReader,
        *,
        questions: Sequence[Question] = (),
        k: int = 5,
    ) -> None:
        questions = [questions] if isinstance(questions, Question) else list(questions)
        _check(corpus, retrievers, questions, k)
        check_reader(reader)
        self._corpus, self._retrievers, self._reader = corpus, dict(retrievers), reader
        self._questions = {question.text: question for question in reversed(questions)}
        self.desk = Desk()
        self.controls = make_controls(questions, list(retrievers), k)
        heights = {"found": "0", "answer": "4.4em", "truth": "5.5em", "numbers": "0"}
        self._told = {
            name: (PackedHtml if name in LONG else ipywidgets.HTML)(layout={"min_height": height})
            for name, height in heights.items()
        }
        self._told["status"] = self._status = StatusLine()
        self._picture = FigureView(
            label="Attention score and leave-one-out effect of each passage read", least_width=520
        )
        self._picture.on_click(lambda trace, point: self._clicked(trace, point))
        super().__init__("Playground: retrieve, read, change", arranged(self.controls, self._told, self._picture))
        self._wire()
        if questions:
            self.ask(questions[0])
        else:
            self._show()

    @property
    def reading(self) -> PassageReading | None:
        """The last reading, also where the passages have changed since."""
        return self.desk.reading

    def ask(self, question: Question | str) -> None:
        """Put a question to every retriever, and read what the chosen one finds."""
        if isinstance(question, str):
            question = self._questions.get(question, Question(ASKED, question))
        controls = self.controls
        k, name = controls["k"].value, controls["read_from"].value
        self._change(asked(question, self._retrievers, self._corpus, k, name))

    def read_from(self, name: str) -> None:
        """Read the passages of another retriever, as they were found."""
        desk = self.desk.with_passages(self.desk.found_by(name, self._corpus))
        with self._hold():
            self.controls["read_from"].value = name
        self._change(desk)

    def edit(self, place: int, text: str, *, title: str | None = None) -> None:
        """Give the passage at `place` (from 0) another text."""
        self._change(self.desk.with_passages(passage_list.edited(self.desk.passages, place, text, title=title)))

    def drop(self, place: int) -> None:
        """Take the passage at `place` from the list."""
        self._change(self.desk.with_passages(passage_list.dropped(self.desk.passages, place)))

    def add(self, passage: Passage, place: int | None = None) -> None:
        """Put a passage on the list, at its end unless a place is given."""
        self._change(self.desk.with_passages(passage_list.added(self.desk.passages, passage, place)), chosen=passage.id)

    def move(self, place: int, to: int) -> None:
        """Put the passage at `place` where `to` is."""
        self._change(self.desk.with_passages(passage_list.moved(self.desk.passages, place, to)))

    def read(self, *, again: bool = False) -> PassageReading:
        """Read the passages as they are now; what is read already only if `again`."""
        self._status.say("reading …")
        start, effect = time.perf_counter(), self.controls["leave_one_out"].value

        def read(text: str, passages: Sequence[Passage]) -> PassageReading:
            return read_passages(self._reader, text, passages, leave_one_out=effect)

        self.desk = self.desk.read(read, again=again)
        self._show()
        self._status.say(f"{len(self.desk.passages)} passages read in {time.perf_counter() - start:.2g} s")
        return self.desk.reading

    def still(self) -> str:
        """The question, what was found and read, and both measures, as static pictures and tables."""
        return desk_html(self.desk, self._corpus)

    def _change(self, desk: Desk, *, chosen: str | None = None) -> None:
        """Take over another desk, and read it if that is done at once."""
        self.desk = desk
        self._show(chosen)
        if self.controls["at_once"].value:
            self.read()
        elif not desk.is_read:
            self._status.say("changed since it was read: press Read")

    def _show(self, chosen: str | None = None) -> None:
        """Everything in view, as the desk says."""
        desk, told = self.desk, self._told
        letters, answers = desk.letters, desk.question.answers if desk.question else ()
        told["found"].value = columns_html(desk.found, self._corpus, answers, letters) if desk.question else ""
        if desk.reading is None:
            told["answer"].value = told["truth"].value = told["numbers"].value = ""
        else:
            views: dict[str, Any] = {"before": desk.before, "answers": answers}
            told["answer"].value = answer_html(desk.reading, **views)
            told["truth"].value = truth_html(desk.reading, letters)
            numbers = reading_table(desk.reading, **views, letters=letters)
            told["numbers"].value = f"<details><summary>The numbers</summary>{numbers}</details>"
            self._picture.show(reading_figure(desk.reading, **views, letters=letters))
        self._picture.layout.visibility = "visible" if desk.reading else "hidden"  # it keeps its place
        with self._hold():
            self._show_controls(letters, answers, chosen)

    def _show_controls(self, letters: Mapping[str, str], answers: Sequence[str], chosen: str | None) -> None:
        desk, controls = self.desk, self.controls
        if desk.question is not None:
            controls["text"].value = desk.question.text
            if "question" in controls:
                controls["question"].value = desk.question.text if desk.question.text in self._questions else TYPED
        chosen = chosen or controls["passage"].value
        stars = gold_of(desk.passages, answers)
        options = [
            (listed(number, passage, letters[passage.id], star, self._corpus), passage.id)
            for number, (passage, star) in enumerate(zip(desk.passages, stars, strict=True), start=1)
        ]
        ids = [i for _, i in options]
        controls["passage"].options = options
        controls["passage"].value = chosen if chosen in ids else ids[0] if ids else None
        controls["more"].options = add_options(desk, self._corpus, letters)
        controls["more"].value = OWN_WORDS
        for name in ("up", "down", "drop", "apply"):
            controls[name].disabled = not ids
        self._fill_editor()

    def _fill_editor(self) -> None:
        place = self._place()
        passage = self.desk.passages[place] if place is not None else Passage("none", "", "")
        self.controls["title"].value, self.controls["passage_text"].value = passage.title, passage.text

    def _place(self) -> int | None:
        """The place of the passage that is chosen in the editor."""
        ids = [passage.id for passage in self.desk.passages]
        chosen = self.controls["passage"].value
        return ids.index(chosen) if chosen in ids else None

    def _wire(self) -> None:
        controls = self.controls
        if "question" in controls:
            self._on_value("question", lambda text: self.ask(text) if text != TYPED else None)
        self._on_value("text", lambda text: self.ask(text) if text.strip() else None)
        self._on_value("k", lambda _: self.ask(self.desk.question) if self.desk.question else None)
        self._on_value("read_from", lambda name: self.read_from(name) if self.desk.question else None)
        self._on_value("passage", lambda _: self._fill_editor())
        self._on_value("at_once", lambda on: self.read() if on and self.desk.question else None)
        self._on_value("leave_one_out", lambda _: self.read(again=True) if self.desk.is_read else None)
        actions: dict[str, Callable[[], object]] = {
            "read": self.read,
            "as_found": lambda: self.read_from(controls["read_from"].value),
            "apply": lambda: self.edit(self._place(), controls["passage_text"].value, title=controls["title"].value),
            "drop": lambda: self.drop(self._place()),
            "up": lambda: self._shift(-1),
            "down": lambda: self._shift(1),
            "add": self._add_chosen,
        }
        for name, action in actions.items():
            controls[name].on_click(lambda _, action=action: self._status.attempt(action))

    def _on_value(self, name: str, action: Callable[[Any], object]) -> None:
        def changed(change: dict[str, Any]) -> None:
            if not self._held:
                self._status.attempt(lambda: action(change["new"]))

        self.controls[name].observe(changed, "value")

    def _shift(self, by: int) -> None:
        place = self._place()
        if place is not None and 0 <= place + by < len(self.desk.passages):
            self.move(place, place + by)

    def _add_chosen(self) -> None:
        chosen = self.controls["more"].value
        if chosen != OWN_WORDS:
            self.add(self._corpus[chosen])
            return
        title, text = self.controls["title"].value, self.controls["passage_text"].value
        self.add(passage_list.own_passage(self.desk.passages, title, text))

    def _clicked(self, trace: int, point: int) -> None:
        """A click on a bar chooses its passage in the editor."""
        rows = self._picture.figure.data[trace].y
        if rows is not None and self.desk.reading is not None and point < len(rows):
            chosen = self.desk.reading.ids[int(rows[point])]
            if any(passage.id == chosen for passage in self.desk.passages):
                self.controls["passage"].value = chosen


def _check(corpus: Mapping[str, Passage], retrievers: Mapping[str, Retriever], questions: list, k: int) -> None:
    if not isinstance(corpus, Mapping) or not len(corpus):
        raise KitError("Playground", "a corpus {id: Passage} with passages", type(corpus).__name__)
    if not isinstance(retrievers, Mapping) or not retrievers:
        raise KitError("Playground", "retrievers as {name: retriever}", type(retrievers).__name__)
    for name, retriever in retrievers.items():
        if not hasattr(retriever, "retrieve"):
            raise KitError(f"retriever {name!r}", "something with retrieve(questions, k)", type(retriever).__name__)
    for question in questions:
        if not isinstance(question, Question):
            raise KitError("Playground, questions", "kit.Question objects", type(question).__name__)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise KitError("Playground", "k of at least 1", repr(k))
