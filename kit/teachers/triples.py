"""Margin-MSE's teacher files: a line of two scores, a question and its two passages; some 40 million of them.

`pos_score <tab> neg_score <tab> question id <tab> pos_passage id <tab> neg_passage id`, with or without gzip.
Source: Hofstaetter et al. 2020, the released files (Zenodo 4068216) and the page of neural-ranking-kd.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kit.data import Corpus, load_passages, load_questions
from kit.data.records import reading, warn
from kit.teachers.scaling import looks_like_probabilities
from kit.types import KitError, Question, ScoreTable

COLUMNS = "five columns: pos_score, neg_score, question id, positive passage's id, negative passage's id"


class TeacherTriple(NamedTuple):
    """One line of a teacher file; the target of Margin-MSE is positive_score - negative_score."""

    positive_score: float
    negative_score: float
    question_id: str
    positive_id: str
    negative_id: str


def iter_teacher_triples(path: str | Path) -> Iterator[TeacherTriple]:
    """The lines of a teacher file, one at a time; a `KitError` names file and line of a broken one."""
    return (triple for _, triple in _numbered_triples(path))


def load_teacher_triples(
    path: str | Path,
    *,
    name: str = "teacher",
    most: int | None = None,
    tolerance: float = 0.1,
    allow_probabilities: bool = False,
) -> ScoreTable:
    """The scores of a teacher file as a table (q, k): a row a question, its passages in the file's order.

    With two passages a question `margin_mse` of such a table is the paper's; with more it is over all their pairs, two
    negatives too. `most` keeps the first so many passages of a question: the table is as wide as its longest row, and
    making it takes some 325 bytes a passage, holding it 32 (400,000 questions of 32 passages: 4 GB, then 0.4 GB).
    The released file of 40 million lines is for `iter_teacher_triples`, or needs `most` and minutes.

    A pair that comes again has the score of its first line; one that differs by more than `tolerance` is a warning
    (half precision and padding make small differences). Scores that all lie from 0 to 1, as a sigmoid's do, are an
    error, unless `allow_probabilities` (see `looks_like_probabilities`).
    """
    if most is not None and most < 2:
        raise KitError("load_teacher_triples: most", "at least 2 passages a question, or None", most)
    rows: dict[str, dict[str, float]] = {}
    others: list[int] = []
    for line, triple in _numbered_triples(path):
        row = rows.setdefault(triple.question_id, {})
        scored = ((triple.positive_id, triple.positive_score), (triple.negative_id, triple.negative_score))
        for passage_id, score in scored:
            if most is None or len(row) < most or passage_id in row:
                first = row.setdefault(passage_id, score)
                if abs(first - score) > tolerance:
                    others.append(line)
    if not rows:
        raise KitError(str(path), "a teacher's triples", "an empty file")
    if others:
        warn(f"{path}:{others[0]}", "a pair with another score than on an earlier line, which is kept", len(others))
    table = ScoreTable.from_rows(name, {question_id: list(row.items()) for question_id, row in rows.items()})
    if not allow_probabilities and looks_like_probabilities(table):
        raise KitError(
            str(path), "raw scores (allow_probabilities=True takes others)", "scores that all lie from 0 to 1"
        )
    return table


def load_triple_examples(
    path: str | Path, questions: str | Path, passages: str | Path
) -> tuple[list[Question], Corpus, ScoreTable]:
    """Questions, corpus and table of a teacher file, whose lines hold ids alone, and the files with their texts."""
    table, corpus = load_teacher_triples(path), load_passages(passages)
    texts = {question.id: question for question in load_questions(questions)}
    for file, what, ids, have in (
        (questions, "question", table.question_ids, texts),
        (passages, "passage", table.passage_ids[table.mask], corpus),
    ):
        missing = next((name for name in ids.tolist() if name not in have), None)
        if missing is not None:
            raise KitError(str(file), f"all {what}s of the triples", f"no {what} {missing!r}")
    return [texts[name] for name in table.question_ids.tolist()], corpus, table


def _numbered_triples(path: str | Path) -> Iterator[tuple[int, TeacherTriple]]:
    with reading(path) as stream:
        for number, raw in enumerate(stream, start=1):
            if not raw.strip():
                continue
            try:
                fields = raw.decode("utf-8-sig").rstrip("\r\n").split("\t")
                triple = TeacherTriple(float(fields[0]), float(fields[1]), *fields[2:])
            except (ValueError, TypeError, IndexError):
                raise KitError(f"{path}:{number}", COLUMNS, f"{raw[:80].decode(errors='replace')!r}") from None
            if not (math.isfinite(triple.positive_score) and math.isfinite(triple.negative_score)):
                raise KitError(f"{path}:{number}", "finite scores", f"{fields[0]} and {fields[1]}")
            if not all(triple[2:]) or triple.positive_id == triple.negative_id:
                raise KitError(f"{path}:{number}", "three ids, of two passages", f"{fields[2:]}")
            yield number, triple
