"""The embedding space of one or several students, and why a passage has its score: the words that add to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kit.attention import AGGREGATIONS
from kit.attention.views import passage_scores, token_weights
from kit.encoder import DualEncoder, principal_components, token_scores
from kit.metrics import has_answer
from kit.reader import FiDReader
from kit.reader.question_attention import question_attention
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.attention_explorer import checked_token
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Free
from kit.widgets.packed import packed

EXPORTED = 160_000  # bytes of the map and of words in an exported page: below 1 MB with plotly.js


class EmbeddingExplorer(Explorer):
    """Questions and their passages on a plane as each of `encoders` places them, and what each word adds to a score.

    `encoders`: by name, such as {"before": ..., "after": ...}. The passages are those of `table`; `gold` are ids of the
    passages that state the answer, by question id, or the passages that hold one of the question's answers. With a
    `reader` its attention stands beside the students' words. The plane is each student's own: the two directions in
    which its vectors of questions and passages differ most. Where a vector is its first token's state, words have no
    parts in the score, and are not shown.

    `state` and `set(...)`: encoder, question (an id), passage (an id; None, or one that is not the question's: its
    first gold passage), token (of the passage).
    """

    modules = ("attention_numbers.js", "attention_views.js", "embedding.js")

    def __init__(
        self,
        encoders: Mapping[str, DualEncoder],
        questions: Question | Sequence[Question],
        corpus: Mapping[str, Passage],
        table: ScoreTable,
        *,
        reader: FiDReader | None = None,
        gold: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        listed = [questions] if isinstance(questions, Question) else list(questions)
        if not encoders or not listed:
            raise KitError("EmbeddingExplorer", "an encoder and a question at least", "none")
        self._encoders, self._reader = dict(encoders), reader
        self._questions = {question.id: question for question in listed}
        self._rows = {i: table.passages_of(i) for i in self._questions}
        ids = list(dict.fromkeys(i for row in self._rows.values() for i in row))
        missing = [i for i in ids if i not in corpus]
        if missing or not all(self._rows.values()):
            wanted = "passages in the corpus for every question"
            raise KitError("EmbeddingExplorer", wanted, repr(missing[0]) if missing else "a question without any")
        self._passages = {i: corpus[i] for i in ids}
        self._gold = {
            one.id: [i for i in self._rows[one.id] if _is_gold(self._passages[i], one, gold)] for one in listed
        }
        titles = [(f"{one.title or i} [{i}]", i) for i, one in self._passages.items()]
        names, first = list(encoders), listed[0].id
        controls = [
            Choice("encoder", "student", names, names[-1]),
            Choice("question", "question", [(one.text, one.id) for one in listed], first),
            Choice("passage", "passage", [("the question's gold one", None), *titles], None),
            Free("token", None, checked_token),
        ]
        data = {
            "questions": [{"id": one.id, "text": one.text} for one in listed],
            "passages": [{"id": i, "title": one.title or i} for i, one in self._passages.items()],
            "rows": self._rows, "gold": self._gold,
            "planes": {name: self._plane(encoder) for name, encoder in self._encoders.items()},
        }  # fmt: skip
        self._scores = {name: plane.pop("scores") for name, plane in data["planes"].items()}
        super().__init__("Embedding space", controls, {**data, "scores": self._scores})

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The question's passages with each student's score."""
        question = self._questions[self.state["question"]]
        columns = [scores[question.id] for scores in self._scores.values()]
        rows = [
            [
                f"{'★ ' if i in self._gold[question.id] else ''}{self._passages[i].title or i}",
                *map("{:.3g}".format, row),
            ]
            for i, *row in zip(self._rows[question.id], *columns, strict=True)
        ]
        return f"{question.text} (★ gold passage)", ["passage", *self._scores], rows

    def answer(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The words of a question's passages with what each adds to a student's score, and the reader's attention."""
        if name != "words":
            return super().answer(name, request)
        question = self._questions[request["question"]]
        passages = [self._passages[i] for i in self._rows[question.id]]
        sides = [
            {
                "name": name,
                "kind": "logits",
                "question_length": 0,
                **_shares(token_scores(encoder, question.text, passages)),
            }
            for name, encoder in self._encoders.items()
            if encoder.family.pooling == "mean"
        ]
        return {"sides": [*sides, self._read(question, passages)] if self._reader else sides}

    def exported_requests(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """The words of as many questions as fit, the present one first."""
        room, present = EXPORTED - len(self._data), self.state["question"]
        for question in dict.fromkeys([present, *self._questions]):
            request = {"question": question}
            room -= len(packed(self.answer("words", request)))
            if room < 0:
                return
            yield "words", request

    def _plane(self, encoder: DualEncoder) -> dict[str, Any]:
        """Coordinates of all questions, then all passages, and the scores of each question's own passages."""
        questions = encoder.encode_questions([one.text for one in self._questions.values()])  # (q, d)
        passages = encoder.encode_passages(list(self._passages.values()))  # (x, d)
        place = {i: n for n, i in enumerate(self._passages)}
        coordinates, explained = principal_components(np.concatenate([questions, passages]))
        scores = {
            i: encoder.score(
                torch.from_numpy(questions[n : n + 1]), torch.from_numpy(passages[[place[p] for p in row]])[None]
            )[0].numpy()
            for n, (i, row) in enumerate(self._rows.items())
        }
        return {"points": coordinates.astype(np.float32), "explained": explained, "scores": scores}

    def _read(self, question: Question, passages: list[Passage]) -> dict[str, Any]:
        attended = question_attention(self._reader, question, passages)
        record, chosen = attended.answers["generated"].record, AGGREGATIONS["attention_share"]
        weights = token_weights(record, chosen)[:1]  # (1, k, t)
        scores = passage_scores(record, chosen, weights, attended.question_length)[0]
        own = weights[0][record.mask[0]].float().numpy()
        common = {"name": "reader", "kind": "probabilities", "question_length": attended.question_length}
        return {**common, **_words(attended.tokens, own), "scores": scores.float().numpy()}


def _shares(parts: list[Any]) -> dict[str, Any]:
    found = _words([one.tokens for one in parts], np.concatenate([one.scores for one in parts]))
    return {**found, "scores": np.array([one.scores.sum() for one in parts], dtype=np.float32)}


def _words(tokens: Sequence[Sequence[str]], weights: np.ndarray) -> dict[str, Any]:
    """Passages' tokens as numbers of words, end to end, with a weight for each."""
    words, numbers = np.unique([word for row in tokens for word in row], return_inverse=True)
    lengths = np.array([len(row) for row in tokens], dtype=np.int32)
    return {"words": words.tolist(), "tokens": numbers.astype(np.uint16), "lengths": lengths, "weights": weights}


def _is_gold(passage: Passage, question: Question, gold: Mapping[str, Collection[str]] | None) -> bool:
    return has_answer(passage.text, question.answers) if gold is None else passage.id in gold.get(question.id, ())
