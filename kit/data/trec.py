"""TREC's files: runs (ranked passages with scores) as score tables, qrels (judgements), and topics (questions)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kit.data.records import reading, writing
from kit.types import KitError, Question, ScoreTable


def read_run(path: str | Path, name: str | None = None) -> ScoreTable:
    """The run as a table (q, k), questions and passages in the file's order, called `name` or else the run's own tag.

    A line is `question Q0 passage rank score tag`; the rank is not read, as in trec_eval: the score ranks. A broken
    line and a passage given twice for a question are `KitError`s that name file and line. `.gz` is unpacked.
    """
    rows: dict[str, dict[str, float]] = {}
    tag = ""
    for where, columns in _columns(path, ("question", "Q0", "passage", "rank", "score", "tag")):
        question_id, _, passage_id, _, score, tag = columns
        row = rows.setdefault(question_id, {})
        if passage_id in row:
            raise KitError(where, f"each passage of question {question_id!r} once", repr(passage_id))
        row[passage_id] = _number(where, score)
    if not rows:
        raise KitError(str(path), "a run", "an empty file")
    return ScoreTable.from_rows(name or tag, {question_id: list(row.items()) for question_id, row in rows.items()})


def write_run(path: str | Path, table: ScoreTable, tag: str | None = None) -> None:
    """Write the table as a run, highest score first, called `tag` or else the table's name.

    Every passage must have a score, and no id may hold white space: the format has no room for either.
    """
    ranked = table.top(max(table.values.shape[1], 1))
    tag = _word("tag", (tag or table.name).replace(" ", "-"))
    with writing(path) as text:
        for question_id, ids, values in zip(
            ranked.question_ids.tolist(), ranked.passage_ids.tolist(), ranked.values, strict=True
        ):
            _word("question id", question_id)
            for rank, (passage_id, value) in enumerate(zip(ids, values, strict=True), start=1):
                if not passage_id:
                    continue
                if np.isnan(value):
                    raise KitError(f"question {question_id!r}", f"a score for passage {passage_id!r}", "none")
                text.write(f"{question_id} Q0 {_word('passage id', passage_id)} {rank} {value!s} {tag}\n")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """{question id: {passage id: grade}} from lines `question 0 passage grade`, with blanks or tabs between."""
    judgements: dict[str, dict[str, int]] = {}
    for where, (question_id, _, passage_id, grade) in _columns(path, ("question", "0", "passage", "grade")):
        row = judgements.setdefault(question_id, {})
        if passage_id in row:
            raise KitError(where, f"each passage of question {question_id!r} once", repr(passage_id))
        try:
            row[passage_id] = int(grade)
        except ValueError:
            raise KitError(where, "a whole number as grade", repr(grade)) from None
    if not judgements:
        raise KitError(str(path), "judgements", "an empty file")
    return judgements


def write_qrels(path: str | Path, judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Write {question id: {passage id: grade}} as lines `question 0 passage grade`."""
    with writing(path) as text:
        for question_id, row in judgements.items():
            for passage_id, grade in row.items():
                text.write(f"{_word('question id', question_id)} 0 {_word('passage id', passage_id)} {grade}\n")


def read_topics(path: str | Path) -> list[Question]:
    """The questions, without answers, of a file with `id<TAB>question` lines (MS MARCO's queries.tsv, BEIR)."""
    questions: dict[str, Question] = {}
    for where, line in _lines(path):
        question_id, tab, text = line.partition("\t")
        if not tab or not question_id or not text.strip():
            raise KitError(where, "id, tab, question", f"{line!r:.80}")
        if question_id in questions:
            raise KitError(where, "each question once", repr(question_id))
        questions[question_id] = Question(question_id, text)
    return list(questions.values())


def _lines(path: str | Path) -> Iterator[tuple[str, str]]:
    with reading(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield f"{path}:{number}", line.decode("utf-8-sig").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise KitError(f"{path}:{number}", "text in UTF-8", error) from None


def _columns(path: str | Path, names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    for where, line in _lines(path):
        columns = line.split()
        if len(columns) != len(names):
            raise KitError(where, f"{len(names)} columns {' '.join(names)}", f"{len(columns)}: {line!r:.80}")
        yield where, columns


def _number(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise KitError(where, "a number as score", repr(text))
    return value


def _word(what: str, text: str) -> str:
    if not text or text.split() != [text]:
        raise KitError(what, "a word without white space", repr(text))
    return text
