"""Examples and questions on disk: the FiD format, a JSON list or JSON Lines, with or without gzip.

One record is `{"id"?, "question", "answers", "target"?, "ctxs"?: [{"id"?, "title", "text", "score"?}]}`; other keys are
passed over. What is missing stays missing: a passage without `score` gets NaN. Passages alone are in `kit.data.corpus`.
Source: Izacard & Grave 2021, data format of the released FiD code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kit.data.corpus import Corpus
from kit.data.records import Complain, read_records, writing_records
from kit.types import KitError, Passage, Question, ScoreTable


class Example(NamedTuple):
    """A question with its passages in the file's order and their scores, NaN where there is none."""

    question: Question
    passages: list[Passage]
    scores: list[float]


def load_questions(path: str | Path) -> list[Question]:
    """The questions of a file, in its order; passages in it are passed over, and answers may be missing.

    Answers stand in `answers` (a list) or `answer` (a string or a list). A question without id has its position as
    FiD gives it: "0", "1" ... A broken record and an id given twice are `KitError`s that name file and line.
    """
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for line, _, question in _questions(path, None):
        _refuse_repeated(path, line, question, lines)
        questions.append(question)
    return questions


def iter_examples(path: str | Path) -> Iterator[Example]:
    """The examples of a file, one at a time: `for question, passages, scores in iter_examples(path)`.

    The file may be larger than memory, also as a JSON list. Within one example passage ids differ (a `KitError` else).
    """
    return (example for _, example in numbered_examples(path))


def numbered_examples(path: str | Path, on_error: Complain | None = None) -> Iterator[tuple[int, Example]]:
    """(line, example) for each record; errors go to `on_error`, where given, and the next record is read."""
    for line, record, question in _questions(path, on_error):
        try:
            yield line, Example(question, *_contexts(record))
        except KitError as error:
            _complain(on_error, path, line, error)


def load_examples(path: str | Path, name: str = "retriever") -> tuple[list[Question], Corpus, ScoreTable]:
    """(questions, their passages, their scores as a table called `name`) of a FiD file, each in the file's order.

    The table (q, k) keeps the order of `ctxs`; shorter lists end in missing cells. A passage without id is called
    after a digest of its title and text. One id with two texts, and a question id given twice, are `KitError`s that
    name file and line. Passages that questions share are held once; a file larger than memory is for `iter_examples`.
    """
    questions: list[Question] = []
    rows: dict[str, list[tuple[str, float]]] = {}
    passages: dict[str, Passage] = {}
    lines: dict[str, int] = {}
    for line, (question, found, scores) in numbered_examples(path):
        _refuse_repeated(path, line, question, lines)
        for passage in found:
            if passages.setdefault(passage.id, passage) != passage:
                wanted = f"passage {passage.id!r} as earlier in the file"
                raise KitError(f"{path}:{line}", wanted, f"{passage.text!r:.60}")
        questions.append(question)
        rows[question.id] = [(passage.id, score) for passage, score in zip(found, scores, strict=True)]
    return questions, Corpus(passages.values()), ScoreTable.from_rows(name, rows)


def save_examples(
    path: str | Path, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable
) -> None:
    """Write questions with the table's passages and scores as FiD's format: a list for `.json`, lines for `.jsonl`.

    Passages stand in the table's order (`table.top(k)` sorts and cuts); a missing score is left out.
    """
    with example_writer(path) as write:
        for question in questions:
            row = table.row_of(question.id)
            cells = [cell for cell in zip(table.passage_ids[row].tolist(), table.values[row], strict=True) if cell[0]]
            unknown = [passage_id for passage_id, _ in cells if passage_id not in corpus]
            if unknown:
                raise KitError(f"question {question.id!r}", "passages that the corpus holds", repr(unknown[0]))
            write(question, [corpus[passage_id] for passage_id, _ in cells], [value for _, value in cells])


def save_questions(path: str | Path, questions: Sequence[Question]) -> None:
    """Write questions without passages (`ctxs` is an empty list), in the format that the name of the file tells."""
    with example_writer(path) as write:
        for question in questions:
            write(question)


@contextmanager
def example_writer(path: str | Path) -> Iterator[Callable[..., None]]:
    """A function `write(question, passages=(), scores=None)`; the file appears, whole, when the block ends well.

    `scores` None or NaN is left out of the file. An infinite score is written as a string, which JSON allows and
    `float` reads. A float32 is written with the digits that give it back.
    """
    with writing_records(path) as write_record:

        def write(question: Question, passages: Sequence[Passage] = (), scores: Sequence[float] | None = None) -> None:
            values = [np.nan] * len(passages) if scores is None else scores
            if len(values) != len(passages):
                raise KitError(f"question {question.id!r}", f"{len(passages)} scores", len(values))
            record: dict[str, Any] = {"id": question.id, "question": question.text}
            if question.target is not None:
                record["target"] = question.target
            contexts = [_context_record(*cell) for cell in zip(passages, values, strict=True)]
            write_record({**record, "answers": list(question.answers), "ctxs": contexts})

        yield write


def _context_record(passage: Passage, score: float) -> dict[str, Any]:
    record: dict[str, Any] = {"id": passage.id, "title": passage.title, "text": passage.text}
    if not np.isnan(score):
        digits = float(str(score)) if isinstance(score, np.floating) else float(score)
        record["score"] = digits if np.isfinite(digits) else str(digits)
    return record


def _questions(path: str | Path, on_error: Complain | None) -> Iterator[tuple[int, dict[str, Any], Question]]:
    for position, (line, record) in enumerate(read_records(path, on_error)):
        try:
            question = _question(record, position)
        except KitError as error:
            _complain(on_error, path, line, error)
            continue
        yield line, record, question


def _refuse_repeated(path: str | Path, line: int, question: Question, lines: dict[str, int]) -> None:
    if question.id in lines:
        wanted = f"an id other than that of the question on line {lines[question.id]}"
        raise KitError(f"{path}:{line}", wanted, repr(question.id))
    lines[question.id] = line


def _complain(on_error: Complain | None, path: str | Path, line: int, error: KitError) -> None:
    placed = KitError(f"{path}:{line}", error.wanted, error.given)
    if on_error is None:
        raise placed from None
    on_error(placed)


def _question(record: dict[str, Any], position: int) -> Question:
    text = record.get("question")
    if not isinstance(text, str):
        given = repr(text) if "question" in record else f"the keys {sorted(record)}"
        raise KitError("", "a string in 'question'", given)
    question_id = str(position) if record.get("id") is None else _identifier(record["id"])
    return Question(question_id, text, _answers(record), record.get("target"))


def _answers(record: dict[str, Any]) -> tuple[str, ...]:
    if record.get("answers") is not None:
        answers = record["answers"]
    else:
        answers = record.get("answer")
        answers = [answers] if isinstance(answers, str) else answers
    if answers is None:
        return ()
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise KitError("", "a list of strings in 'answers'", f"{answers!r:.60}")
    return tuple(answers)


def _contexts(record: dict[str, Any]) -> tuple[list[Passage], list[float]]:
    contexts = record.get("ctxs") or []
    if not isinstance(contexts, list) or not all(isinstance(context, dict) for context in contexts):
        raise KitError("", "a list of passages in 'ctxs'", f"{contexts!r:.60}")
    passages, scores, seen = [], [], {}
    for number, context in enumerate(contexts, start=1):
        passage = _passage(number, context)
        if seen.setdefault(passage.id, number) != number:
            raise KitError("", "each passage once", f"{passage.id!r} as ctxs {seen[passage.id]} and {number}")
        passages.append(passage)
        scores.append(_score(number, context.get("score")))
    return passages, scores


def _passage(number: int, context: dict[str, Any]) -> Passage:
    title, text = context.get("title"), context.get("text")
    title = "" if title is None else title
    if not isinstance(text, str) or not isinstance(title, str):
        key, value = ("title", title) if isinstance(text, str) else ("text", text)
        raise KitError("", f"a string in {key!r} of ctxs {number}", f"{value!r:.60}")
    if context.get("id") is None:
        digest = hashlib.sha256(f"{title}\0{text}".encode()).hexdigest()
        return Passage(f"text-{digest[:16]}", title, text)
    return Passage(_identifier(context["id"]), title, text)


def _identifier(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise KitError("", "an id that is a string or a whole number", repr(value))
    return str(value)


def _score(number: int, value: object) -> float:
    """The score as a number; null, an empty string and no score are NaN."""
    if value is None or value == "":
        return float("nan")
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise KitError("", f"a number in 'score' of ctxs {number}", f"{value!r:.60}") from None
