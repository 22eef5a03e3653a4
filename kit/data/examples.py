"""Examples and questions on disk: the FiD format and its kin, a JSON list or JSON Lines, with or without gzip.

One record is `{"id"?, "question", "answers", "target"?, "ctxs"?: [{"id"?, "title", "text", "score"?}]}`; other keys are
passed over. What is missing stays missing: a passage without `score` gets NaN. Atlas's `passages`, SQuAD's paragraphs
and DPR's `positive_ctxs` and negatives (without scores: theirs are of other scales) are read too.
Source: Izacard & Grave 2021, data format of the released FiD code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kit.arguments import instance_of
from kit.data.corpus import Corpus
from kit.data.records import Complain, read_records, warn, writing_records
from kit.data.spreadsheets import ENDINGS, read_question_table
from kit.metrics import exact_match
from kit.types import KitError, Passage, Question, ScoreTable, is_blank


class Example(NamedTuple):
    """A question with its passages in the file's order and their scores, NaN where there is none."""

    question: Question
    passages: list[Passage]
    scores: list[float]


def load_questions(path: str | Path) -> list[Question]:
    """The questions of a file, in its order; passages in it are passed over, and answers may be missing.

    JSON and JSON Lines (FiD, DPR, Atlas, BEIR's queries, SQuAD), or a table: `.tsv`, `.csv`, `.txt` (MS MARCO's and
    pyserini's topics, DPR's qa files, spreadsheets; see `kit.data.spreadsheets`). A question without id has its
    position as FiD gives it: "0", "1" ... Raises `KitError`, with file and line, for a broken record, an id given
    twice, and a file without questions.
    """
    name = str(instance_of("load_questions", path, str | Path, "a path")).removesuffix(".gz")
    if name.endswith(ENDINGS):
        return read_question_table(path)
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for line, _, question in _questions(path, None):
        _refuse_repeated(path, line, question, lines)
        questions.append(question)
    if not questions:
        raise KitError(str(path), "questions", "none")
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
    if not questions:
        raise KitError(str(path), "examples", "none")
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


def save_predictions(
    path: str | Path, questions: Sequence[Question], answers: Mapping[str, str], *, regex: bool = False
) -> None:
    """Write a reader's answers {question id: answer}, with each question, its answers and whether they match."""
    with writing_records(path) as write:
        for one in questions:
            record = {"id": one.id, "question": one.text, "prediction": answers[one.id], "answers": list(one.answers)}
            write(record | ({"em": exact_match(answers[one.id], one.answers, regex)} if one.answers else {}))


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
    records = ((line, one) for line, record in read_records(path, on_error) for one in _squad_records(record))
    blank = []
    for position, (line, record) in enumerate(records):
        try:
            question = _question(record, position)
        except KitError as error:
            _complain(on_error, path, line, error)
            continue
        blank += [line] * sum(map(is_blank, _answers(record)))
        yield line, record, question
    if blank:
        warn(f"{path}:{blank[0]}", "blank answer (it is passed over)", len(blank))


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
    text = next((record[key] for key in ("question", "query") if key in record), None)
    if text is None and not {"title", "contents", "question", "query"} & record.keys():
        text = record.get("text")  # BEIR's queries
    if not isinstance(text, str):
        given = repr(text) if {"question", "query"} & record.keys() else f"the keys {sorted(record)}"
        raise KitError("", "a string in 'question'", given)
    name = next((record[key] for key in ("id", "_id", "qid", "question_id") if record.get(key) is not None), None)
    question_id = str(position) if name is None else _identifier(name)
    return Question(question_id, text, _answers(record), record.get("target"))


def _answers(record: dict[str, Any]) -> tuple[str, ...]:
    """Answers as FiD has them (a list), or one string, lists of aliases, SQuAD's objects with a `text`."""
    value: Any = next((record[key] for key in ("answers", "answer") if record.get(key) is not None), [])
    flat: list[Any] = []
    for one in [value] if isinstance(value, str | dict) else value if isinstance(value, list) else [value]:
        flat += one if isinstance(one, list) else [one]
    flat = [one.get("text") if isinstance(one, dict) else one for one in flat]
    if not all(isinstance(answer, str) for answer in flat):
        raise KitError("", "a list of strings in 'answers'", f"{value!r:.60}")
    return tuple(flat)


CONTEXTS = ("ctxs", "passages", "contexts")  # FiD, Atlas
DPR_CONTEXTS = ("positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
UNKNOWN_CONTEXTS = {"documents", "docs", "retrieved", "retrieved_docs", "evidence", "paragraphs", "context", "hits"}


def _contexts(record: dict[str, Any]) -> tuple[list[Passage], list[float]]:
    keys = [key for key in (*CONTEXTS, *DPR_CONTEXTS) if record.get(key) is not None]
    strange = sorted(UNKNOWN_CONTEXTS & record.keys())
    if not keys and strange:
        raise KitError("", f"passages in {', '.join((*CONTEXTS, *DPR_CONTEXTS))}", f"the key {strange[0]!r}")
    if len(keys) > 1 and not set(keys) <= {*DPR_CONTEXTS}:
        raise KitError("", "passages under one key", " and ".join(keys))
    passages, scores = list[Passage](), list[float]()
    numbers: dict[str, int] = {}
    for key in keys:
        contexts = record[key]
        if not isinstance(contexts, list) or not all(isinstance(context, dict | str) for context in contexts):
            raise KitError("", f"a list of passages in {key!r}", f"{contexts!r:.60}")
        for number, context in enumerate(contexts, start=1):
            passage = _passage(number, {"text": context} if isinstance(context, str) else context)
            if passage.id in numbers:
                if key in DPR_CONTEXTS:
                    continue  # a negative that is a positive too
                raise KitError("", "each passage once", f"{passage.id!r} as {key} {numbers[passage.id]} and {number}")
            numbers[passage.id] = number
            passages.append(passage)
            scores.append(float("nan") if key in DPR_CONTEXTS else _score(number, _context_score(context)))
    return passages, scores


def _context_score(context: Any) -> object:
    return context.get("score") if isinstance(context, dict) else None


def _squad_records(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of a SQuAD file, each with its paragraph; another record as it is."""
    articles = record.get("data")
    if "question" in record or not isinstance(articles, list):
        yield record
        return
    for article in articles:
        title = article.get("title") if isinstance(article, dict) else None
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        for paragraph in paragraphs if isinstance(paragraphs, list) else []:
            text, questions = paragraph.get("context"), paragraph.get("qas")
            for question in questions if isinstance(questions, list) else []:
                kept = {key: question.get(key) for key in ("id", "question", "answers")}
                yield kept | {"ctxs": [{"title": str(title or "").replace("_", " "), "text": text}]}


def _passage(number: int, context: dict[str, Any]) -> Passage:
    title = context.get("title")
    text = next((context[key] for key in ("text", "contents", "passage_text") if context.get(key) is not None), None)
    title = "" if title is None else title
    if not isinstance(text, str) or not isinstance(title, str):
        key, value = ("title", title) if isinstance(text, str) else ("text", text)
        raise KitError("", f"a string in {key!r} of ctxs {number}", f"{value!r:.60}")
    names = ("id", "passage_id", "psg_id", "_id", "docid", "pid")
    name = next((context[key] for key in names if context.get(key) is not None), None)
    if name is None:
        digest = hashlib.sha256(f"{title}\0{text}".encode()).hexdigest()
        return Passage(f"text-{digest[:16]}", title, text)
    return Passage(_identifier(name), title, text)


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
