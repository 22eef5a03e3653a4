"""The attention explorer: what a reader looks at, from passages to layers and heads to words to answer tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from kit.attention import AGGREGATIONS
from kit.attention.views import passage_scores, token_weights
from kit.metrics import has_answer
from kit.reader import FiDReader
from kit.reader.question_attention import MOST_ANSWER_TOKENS, QuestionAttention, question_attention
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.attention_data import aggregation_of, label_of, passage_of, preset, question_facts, view_of
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Control, Flag, Free
from kit.widgets.packed import packed

KEPT = 1_000_000_000  # bytes of attention kept, beside the present question's
EXPORTED = 620_000  # bytes of answers in an exported page: below 1 MB with its script
VIEW = ("question", "said", "answer", "aggregation", "kind", "layer", "head")  # as js/attention.js asks
KINDS = [("probabilities", "probabilities"), ("logits", "logits"), ("probability × value length", "value_norms")]
ANSWERS = {"question": question_facts, "view": view_of, "passage": passage_of}


class AttentionExplorer(Explorer):
    """Which passages, words, layers and heads a reader looks at before it says each token of its answer.

    `questions`: one or several; the passages are the `n_context` highest of `table` (all if None). `others`: tables
    whose scores and ranks stand beside the reader's (`table` itself unless given). `gold`: ids of the passages that
    state the answer, by question id, or the passages that hold one of the question's answers.

    `state` and `set(...)`: question, aggregation, kind ("probabilities", "logits", "value_norms"), layer and head
    (None: all), answer (the number of an answer token, None: all), said (the answer that the decoder is fed:
    "generated" or "given"), passage (an id, None: the one with the highest score), beside (another passage to compare),
    token (of the passage), order (of the passages: "reader", "retrieved", the name of another table), same_shade.
    Another aggregation brings its own kind and answer token. `passage_scores()` returns the bars as a score table.
    """

    modules = (
        "tour.js", "attention_numbers.js", "attention_views.js", "attention_bars.js", "attention_flow.js",
        "attention.js",
    )  # fmt: skip
    plotly = False

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
        chosen = table.select(list(self._questions))
        self._table = chosen.top(n_context if n_context is not None else max(1, chosen.values.shape[1]))
        self._attended: dict[str, QuestionAttention] = {}
        first = next(iter(self._questions))
        layers, heads = self._attention(first).answers["generated"].record.value_lengths[:, 0].shape[:2]
        orders = [("the reader’s score", "reader"), (f"as read ({table.name})", "retrieved")]
        controls: list[Control] = [
            Choice("question", "question", [(one.text, i) for i, one in self._questions.items()], first),
            Choice("aggregation", "score", [(label_of(name), name) for name in _ordered()], "attention_share"),
            Choice("layer", "layer", [("all", None), *range(layers)], None),
            Choice("head", "head", [("all", None), *range(heads)], None),
            Choice("kind", "attention as", KINDS, "probabilities"),
            Choice("answer", "", [None, *range(MOST_ANSWER_TOKENS)], 0),
            Choice("said", "decoder is fed", [("its own answer", "generated"), ("the given one", "given")], "generated",
                   place="answer"),
            Choice("order", "order", [*orders, *((f"{name}’s", name) for name in self._others)], "reader",
                   place="passages"),
            Flag("same_shade", "same shade in all passages", True, place="words"),
            Free("passage", None, self._checked_passage), Free("beside", None, self._checked_passage),
            Free("token", None, checked_token),
        ]  # fmt: skip
        ways = {name: {**vars(way), "defined": preset(name)} for name, way in AGGREGATIONS.items()}
        data = {"aggregations": ways, "questions": len(self._questions), "sizes": [layers, heads]}
        super().__init__("What the reader looks at", controls, data)
        self.answer_beforehand(islice(self._wanted(), 1 if self._is_whole(first) else 3))

    def set(self, **changes: Any) -> None:
        """Change parts of the state by name; an aggregation brings its kind and answer token, a question no passage."""
        if changes.get("aggregation") in AGGREGATIONS:
            changes = {**preset(changes["aggregation"]), **changes}
        if "question" in changes:
            changes = {"passage": None, "beside": None, "token": None, "said": "generated", **changes}
        super().set(**changes)

    def passage_scores(self) -> ScoreTable:
        """The bars: the reader's scores (1, k) of the question's passages, in the order in which they were read."""
        attended, request = self._attention(self.state["question"]), self._request()
        record, chosen = attended.answers[request["said"]].record, aggregation_of(request)
        scores = passage_scores(record, chosen, token_weights(record, chosen), attended.question_length)  # (a, k)
        row = scores.mean(0) if request["answer"] is None else scores[request["answer"]]
        ids = [passage.id for passage in attended.passages]
        return ScoreTable(self.state["aggregation"], [attended.question.id], [ids], row[None].numpy())

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The passages by score, and the answer."""
        attended, scores = self._attention(self.state["question"]), self.passage_scores()
        gold = self._gold_of(attended)
        ranked = scores.top(len(attended.passages))
        rows = [
            [f"{'★ ' if i in gold else ''}{self._corpus[i].title or i}", f"{value:.3g}"]
            for i, value in zip(ranked.passages_of(attended.question.id), ranked.values[0], strict=False)
        ]
        answer = attended.answers[self._request()["said"]].text
        caption = f"{attended.question.text} {answer} ({label_of(self.state['aggregation'])}; ★ gold passage)"
        return caption, ["passage", "score"], rows

    def answer(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """A question's facts, one view of its attention, or one passage in a view."""
        if name not in ANSWERS:
            return super().answer(name, request)
        attended = self._attention(request["question"])
        if name == "question":
            return question_facts(attended, self._gold_of(attended), self._others)
        return ANSWERS[name](attended, request)

    def exported_requests(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """As many questions as fit into a page, the present one first; of a large reader's, views near the present."""
        room = EXPORTED
        for name, request in self._wanted():
            room -= len(packed(self.answer(name, request)))
            if room < 0:
                return
            yield name, request

    def exported_controls(self, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> Sequence[Control]:
        """Only questions that the page holds are on its list."""
        held = {request["question"] for name, request in requests if name == "question"}
        parts = {**self.parts}
        kept = [(label, i) for label, i in parts["question"].pairs if i in held]
        parts["question"] = replace(parts["question"], options=kept, value=self.state["question"])
        return list(parts.values())

    def _wanted(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        present, request = self.state["question"], self._request()
        yield "question", {"question": present}
        if self._is_whole(present):
            yield from (("question", {"question": i}) for i in self._questions if i != present)
            return
        attended = self._attention(present)
        count = len(attended.answers[request["said"]].tokens)
        best = np.argsort(-self.passage_scores().values[0], kind="stable").tolist()
        for layer, head in dict.fromkeys([(request["layer"], request["head"]), (None, None)]):
            for answer in dict.fromkeys([request["answer"], *range(count), None]):
                view = {**request, "answer": answer, "layer": layer, "head": head}
                yield "view", view
                yield from (("passage", {**view, "passage": passage}) for passage in best[:5])
        yield from (("passage", {**request, "passage": passage}) for passage in best[5:])

    def _is_whole(self, question_id: str) -> bool:
        """Whether the page gets all of a question's attention."""
        return self.answer("question", {"question": question_id})["value_lengths"] is not None

    def _request(self) -> dict[str, Any]:
        """What the page asks for the present state: an answer, and a token of it, that are there."""
        request = {name: self.state[name] for name in VIEW}
        answers = self._attention(request["question"]).answers
        request["said"] = request["said"] if request["said"] in answers else "generated"
        if request["answer"] is not None:
            request["answer"] = min(request["answer"], len(answers[request["said"]].tokens) - 1)
        return request

    def _attention(self, question_id: str) -> QuestionAttention:
        """The attention of a question: kept, while there is room, for when it is opened again."""
        if question_id not in self._attended:
            ids = self._table.passages_of(question_id)
            missing = [i for i in ids if i not in self._corpus]
            if missing:
                raise KitError(f"question {question_id!r}", "passages that are in the corpus", repr(missing[0]))
            passages = [self._corpus[i] for i in ids]
            attended = question_attention(self._reader, self._questions[question_id], passages)
            while self._attended and sum(one.bytes for one in self._attended.values()) > KEPT:
                del self._attended[next(iter(self._attended))]
            self._attended[question_id] = attended
        return self._attended[question_id]

    def _gold_of(self, attended: QuestionAttention) -> set[str]:
        if self._gold is not None:
            return set(self._gold.get(attended.question.id, ()))
        return {passage.id for passage in attended.passages if has_answer(passage.text, attended.question.answers)}

    def _checked_passage(self, value: Any) -> str | None:
        if value is not None and not any(str(value) in row for row in self._table.passage_ids):
            raise KitError("passage", "the id of one that was read, or None", repr(value))
        return None if value is None else str(value)


def checked_token(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise KitError("token", "the number of a passage's token, or None", repr(value))
    return value


def _ordered() -> list[str]:
    """Shares of attention first, then as listed."""
    return sorted(AGGREGATIONS, key=lambda name: name != "attention_share")


def _checked_questions(questions: Question | Sequence[Question]) -> dict[str, Question]:
    listed = [questions] if isinstance(questions, Question) else list(questions)
    if not listed or not all(isinstance(question, Question) for question in listed):
        given = "none" if not listed else type(listed[0]).__name__
        raise KitError("AttentionExplorer", "a question, or several", given)
    return {question.id: question for question in listed}


def _checked_others(others: Mapping[str, ScoreTable], questions: Iterable[str]) -> dict[str, ScoreTable]:
    for name, table in others.items():
        if not isinstance(table, ScoreTable):
            raise KitError(f"AttentionExplorer, others[{name!r}]", "a ScoreTable", type(table).__name__)
        if name in ("reader", "retrieved"):
            raise KitError("AttentionExplorer, others", "names other than 'reader' and 'retrieved'", repr(name))
        table.select(list(questions))  # a question that it lacks is an error
    return dict(others)
