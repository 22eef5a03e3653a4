"""The playground of retrieval and reading: ask, see what is retrieved and read, change the passages, read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from kit.metrics import exact_match, has_answer
from kit.reader import FiDReader
from kit.reader.passage_reading import PassageReading, check_reader, read_passages, truth_of_attention
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Flag, Free, Number, Text
from kit.widgets.packed import packed

MOST = 20  # passages on the slider, unless more are asked for
LISTED = 500  # questions in the list
IN_FULL = 20  # passages a retriever that come with their texts, the others with its beginning
BEGINNING = 80  # characters
EXPORTED = 400_000  # bytes of answers in an exported page
EXPORTED_QUESTIONS = 12  # which an exported page can show, beside the present one


class Retriever(Protocol):
    """What retrieves passages: `kit.BM25`, `kit.DenseRetriever`."""

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable:
        """The highest k passages of each question, best first."""


class Playground(Explorer):
    """A question put to every retriever, the passages of one of them read, and the passages changed at will.

    `retrievers` is {name: what has `retrieve(questions, k)`}; `questions` are offered in a list, and one with the
    typed text lends it its answers. Questions without answers work: no passage has a star then. Each passage has its
    attention score and its leave-one-out effect; after a change the reading before stays in view.

    `state` and `set(...)`: question (its text, or a `Question`), k (passages a retriever), read_from (the name of a
    retriever), passages (those that are read, in order: `Passage`s or ids; None: what `read_from` retrieves),
    leave_one_out, at_once (read after every change). `reading` is the reading of the present state.
    """

    modules = ("playground_views.js", "playground.js")
    plotly = False

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
        self._retrieved: dict[tuple[str, int], dict[str, ScoreTable]] = {}
        self._readings: dict[tuple[Any, ...], PassageReading] = {}
        hint = "one more decoder pass for each passage: switch it off if reading takes long"
        listed = list(dict.fromkeys(question.text for question in questions[:LISTED]))
        super().__init__(
            "Playground: retrieve, read, change",
            [
                Text("question", "question", listed[0] if listed else "", lambda text: text),
                Number("k", "passages", 1, max(MOST, k), 1, k),
                Choice("read_from", "read those of", list(retrievers), next(iter(retrievers))),
                Flag("leave_one_out", "leave-one-out", True, hint=hint),
                Flag("at_once", "read after every change", True),
                Free("passages", None, self._checked_passages),
            ],
            {"questions": listed},
        )
        if listed:
            self.answer_beforehand([("retrieved", {"question": listed[0], "k": k}), ("reading", self._request())])

    def set(self, **changes: Any) -> None:
        """Change parts of the state by name; another question, k or retriever brings its passages."""
        if isinstance(changes.get("question"), Question):
            question = changes["question"]
            self._questions[question.text] = question
            changes["question"] = question.text
        if {"question", "k", "read_from"} & set(changes):
            changes = {"passages": None, **changes}
        super().set(**changes)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages that are read, in their order."""
        return self._passages(self._request()["passages"])

    @property
    def reading(self) -> PassageReading:
        """The reading of the present state; raises `KitError` if there is no question yet."""
        return self._reading(self._request())

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The passages with both measures, and the answer."""
        if not self.state["question"].strip():
            return "No question has been asked yet.", ["passage"], []
        reading = self.reading
        measures = zip(reading.passages, reading.attention, reading.effect, strict=True)
        rows = [[one.title or one.id, f"{attention:.3g}", f"{effect:.3g}"] for one, attention, effect in measures]
        caption = f"{reading.question} {reading.answer or '(nothing)'}"
        return caption, ["passage", "attention score", "leave-one-out effect (nats)"], rows

    def answer(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What every retriever finds, a passage in full, or a reading."""
        if name == "retrieved":
            return self._retrieved_facts(request["question"], request["k"])
        if name == "passage":
            return asdict(self._corpus[request["id"]])
        if name == "reading":
            return self._reading_facts(request)
        return super().answer(name, request)

    def exported_requests(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """All readings of this session, the present passages without each one, and other questions, as many as fit."""
        if not self.state["question"].strip():
            return
        room, present = EXPORTED, {"question": self.state["question"], "k": self.state["k"]}
        for name, request in [("retrieved", present), ("reading", self._request()), *self._wanted(present)]:
            room -= len(packed(self.answer(name, request)))
            if room < 0:
                return
            yield name, request

    def _wanted(self, present: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        now = self._request()
        passages = now["passages"]
        seen = [self._asked(*key) for key in self._readings]
        without = [{**now, "passages": passages[:n] + passages[n + 1 :]} for n in range(len(passages))]
        yield from (("reading", one) for one in [*seen, *without] if one["question"] == now["question"] and one != now)
        for text in dict.fromkeys([present["question"], *list(self._questions)[::-1][:EXPORTED_QUESTIONS]]):
            if text != present["question"]:
                yield "retrieved", {**present, "question": text}
            for table in self._retrieve(text, present["k"]).values():
                ids = list(table.passages_of(table.question_ids[0]))
                yield "reading", {**now, "question": text, "passages": ids}

    def _request(self) -> dict[str, Any]:
        """What the page asks to be read in the present state."""
        state = self.state
        if not state["question"].strip():
            raise KitError("Playground", "a question with words", repr(state["question"]))
        passages = state["passages"]
        if passages is None:
            table = self._retrieve(state["question"], state["k"])[state["read_from"]]
            passages = list(table.passages_of(table.question_ids[0]))
        return {"question": state["question"], "passages": passages, "leave_one_out": state["leave_one_out"]}

    def _asked(self, question: str, passages: tuple[Passage, ...], leave_one_out: bool) -> dict[str, Any]:
        listed = [self._as_state(one) for one in passages]
        return {"question": question, "passages": listed, "leave_one_out": leave_one_out}

    def _as_state(self, passage: Passage) -> str | dict[str, str]:
        return passage.id if self._corpus.get(passage.id) == passage else asdict(passage)

    def _passages(self, listed: Sequence[Any]) -> tuple[Passage, ...]:
        return tuple(self._corpus[one] if isinstance(one, str) else Passage(**one) for one in listed)

    def _question(self, text: str) -> Question:
        return self._questions.get(text, Question("typed", text))

    def _retrieve(self, text: str, k: int) -> dict[str, ScoreTable]:
        """At most k passages of every retriever for a question, kept."""
        if (text, k) not in self._retrieved:
            question, tables = self._question(text), {}
            for name, retriever in self._retrievers.items():
                table = retriever.retrieve([question], k)
                tables[name] = table.top(k) if table.values.shape[1] else table
                missing = [i for i in tables[name].passages_of(question.id) if i not in self._corpus]
                if missing:
                    raise KitError(f"retriever {name!r}", "passages that are in the corpus", repr(missing[0]))
            self._retrieved[text, k] = tables
        return self._retrieved[text, k]

    def _reading(self, request: Mapping[str, Any]) -> PassageReading:
        """A reading, kept."""
        passages = self._passages(self._checked_passages(request["passages"]) or ())
        key = (request["question"], passages, request["leave_one_out"])
        if key not in self._readings:
            self._readings[key] = read_passages(self._reader, key[0], passages, leave_one_out=key[2])
        return self._readings[key]

    def _retrieved_facts(self, text: str, k: int) -> dict[str, Any]:
        """The passages of every retriever with scores, long lists with the beginnings of their texts; the answers."""
        question = self._question(text)
        passages: dict[str, dict[str, Any]] = {}
        lists = []
        for name, table in self._retrieve(text, k).items():
            ids = list(table.passages_of(question.id))
            lists.append({"name": name, "ids": ids, "scores": table.values[0, : len(ids)]})
            for place, passage in enumerate(self._corpus[i] for i in ids):
                cut = place >= IN_FULL and len(passage.text) > BEGINNING
                facts = {**asdict(passage), "gold": _states(question, passage), "cut": cut}
                known = passages.get(passage.id)
                if known is None or (known["cut"] and not cut):
                    passages[passage.id] = {**facts, "text": passage.text[:BEGINNING]} if cut else facts
        return {"lists": lists, "passages": passages, "accepted": list(question.answers)}

    def _reading_facts(self, request: Mapping[str, Any]) -> dict[str, Any]:
        reading, question = self._reading(request), self._question(request["question"])
        truth = truth_of_attention(reading)
        return {
            "answer": reading.answer, "log_likelihood": reading.log_likelihood,
            "right": exact_match(reading.answer, list(question.answers)) if question.answers else None,
            "attention": reading.attention, "effect": reading.effect,
            "gold": [_states(question, passage) for passage in reading.passages],
            "truth": None if truth is None else {name: _number(one) for name, one in asdict(truth).items()},
        }  # fmt: skip

    def _checked_passages(self, value: Any) -> list[str | dict[str, str]] | None:
        """Passages as the state holds them: an id of the corpus, or the fields of one that was changed or added."""
        if value is None:
            return None
        if not isinstance(value, list | tuple):
            raise KitError("passages", "a list of passages or ids, or None", repr(value))
        listed: list[str | dict[str, str]] = []
        for one in value:
            if isinstance(one, Mapping) and set(one) == {"id", "title", "text"}:
                one = Passage(**one)
            if not (isinstance(one, Passage) or (isinstance(one, str) and one in self._corpus)):
                raise KitError("passages", "passages, or ids of the corpus", repr(one))
            listed.append(self._as_state(one) if isinstance(one, Passage) else one)
        ids = [one if isinstance(one, str) else one["id"] for one in listed]
        if len(set(ids)) < len(ids):
            raise KitError("passages", "each passage once", f"{next(i for i in ids if ids.count(i) > 1)!r} twice")
        return listed


def _states(question: Question, passage: Passage) -> bool:
    """Whether a passage states one of the question's answers."""
    return bool(question.answers) and has_answer(passage.text, question.answers)


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else value  # NaN: nothing to rank


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
