"""Runs (ranked passages with scores) as score tables and judgements: the formats of TREC, MS MARCO and BEIR."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kit.data.records import lines_of, reading, warn, writing
from kit.types import KitError, ScoreTable

QUESTION_WORDS = {"query-id", "query_id", "qid", "topic", "topic_id", "question_id", "question-id"}
PASSAGE_WORDS = {"corpus-id", "corpus_id", "docid", "doc_id", "docno", "pid", "passage_id", "passage-id"}


def read_run(path: str | Path, name: str | None = None) -> ScoreTable:
    """The run as a table (q, k), questions and passages in the file's order, called `name` or else the run's own tag.

    A line is `question Q0 passage rank score tag` (TREC's format; the rank is not read, as in trec_eval: the score
    ranks) or `question passage rank` (MS MARCO's format; the score is 1 / rank). pyserini writes both. A broken line
    and a passage given twice for a question are `KitError`s that name file and line. `.gz` is unpacked.
    """
    rows: dict[str, dict[str, float]] = {}
    tag = ""
    for where, columns in _columns(path, {6: "question Q0 passage rank score tag", 3: "question passage rank"}):
        if len(columns) == 6:
            question_id, _, passage_id, _, score, tag = columns
            value = _number(where, score)
        else:
            question_id, passage_id, rank = columns
            value = 1 / _rank(where, rank)
            tag = tag or Path(path).name.split(".")[0]
        row = rows.setdefault(question_id, {})
        if passage_id in row:
            raise KitError(where, f"each passage of question {question_id!r} once", repr(passage_id))
        row[passage_id] = value
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
    """{question id: {passage id: grade}} of a file of judgements.

    A line is `question 0 passage grade` (TREC) or `question passage grade` (BEIR). A header and
    lines that begin with # are passed over, and a grade may be written 1.0. A judgement that comes again gives a
    warning, one with another grade than before a `KitError`.
    """
    judgements: dict[str, dict[str, int]] = {}
    again = []
    for where, columns in _columns(path, {4: "question 0 passage grade", 3: "question passage grade"}):
        question_id, passage_id, grade = columns[0], columns[-2], columns[-1]
        row = judgements.setdefault(question_id, {})
        if not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", grade):
            raise KitError(where, "a whole number as grade", repr(grade))
        if passage_id in row:
            again.append(where)
            if row[passage_id] != int(float(grade)):
                raise KitError(where, f"grade {row[passage_id]} of passage {passage_id!r}, as before", grade)
        row[passage_id] = int(float(grade))
    if again:
        warn(again[0], "a judgement that comes again", len(again))
    if not judgements:
        raise KitError(str(path), "judgements", "an empty file")
    return judgements


def write_qrels(path: str | Path, judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Write {question id: {passage id: grade}} as lines `question 0 passage grade`."""
    with writing(path) as text:
        for question_id, row in judgements.items():
            for passage_id, grade in row.items():
                text.write(f"{_word('question id', question_id)} 0 {_word('passage id', passage_id)} {grade}\n")


def _lines(path: str | Path) -> Iterator[tuple[str, str]]:
    with reading(path) as stream:
        for number, line in lines_of(path, stream):
            if line.strip() and not line.startswith(b"#"):
                try:
                    yield f"{path}:{number}", line.decode("utf-8-sig").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise KitError(f"{path}:{number}", "text in UTF-8", error) from None


def _columns(path: str | Path, kinds: Mapping[int, str]) -> Iterator[tuple[str, list[str]]]:
    """(place, columns) of each line; all lines have the number of columns that the first has, one of `kinds`."""
    width, order = 0, []
    for number, (where, line) in enumerate(_lines(path)):
        columns = line.split()
        words = [column.lower() for column in columns]
        if number == 0 and set(words) & (QUESTION_WORDS | PASSAGE_WORDS):
            order = _order(where, words)
            continue
        width = width or len(columns)
        if len(columns) != width or width not in kinds:
            known = {width: kinds[width]} if width in kinds else kinds
            wanted = " or ".join(f"{count} columns {names}" for count, names in known.items())
            raise KitError(where, wanted, f"{len(columns)}: {line!r:.80}")
        yield where, [columns[place] for place in order] if len(order) == width else columns


def _order(where: str, words: list[str]) -> list[int]:
    """The places of question, passage and third column below a header; of wider lines their own order."""
    places = dict(zip(words, range(len(words)), strict=False))
    question = next((places[word] for word in words if word in QUESTION_WORDS), None)
    passage = next((places[word] for word in words if word in PASSAGE_WORDS), None)
    if len(words) != 3 and question in (0, None):
        return list(range(len(words)))
    if len(words) != 3 or question is None or passage is None:
        raise KitError(where, "a header of three columns that names question and passage, or question first", words)
    return [question, passage, 3 - question - passage]


def _rank(where: str, text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise KitError(where, "a rank from 1", repr(text))
    return int(text)


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
