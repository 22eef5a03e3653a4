"""What teachers have in common: which cells of a table they score, batch by batch, and the answer they go by.

A teacher is anything with `score(questions, corpus, table) -> ScoreTable`. Knows no models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from tqdm.auto import tqdm

from kit.types import KitError, Passage, Question, ScoreTable

CELLS_AT_ONCE = 4096  # (question, passage) pairs that are tokenized, sorted by length and written together

Item = TypeVar("Item")
ScoreBatch = Callable[[list[Question], list[list[Passage]]], Sequence[float] | np.ndarray]


class Teacher(Protocol):
    """What a teacher is."""

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each of the questions; higher is better."""


def score_cells(
    name: str,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    score_batch: ScoreBatch,
    *,
    n_context: int | None = None,
    questions_at_once: int | None = None,
    progress: bool = False,
) -> ScoreTable:
    """A table (q, k) called `name` in the cells of `table`, filled batch by batch; what every teacher does.

    `score_batch(questions, passages of each)` gives their scores one after the other; questions without passages are
    not handed to it. A batch is so many questions, or, without that, some 4,000 passages. Of each question only the
    `n_context` passages that `table` scores highest are scored (all if None); the others keep their cell, with NaN.
    Raises `KitError`, before any work, for a question that the table lacks, or a passage that the corpus lacks.

    >>> bm25 = ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]])
    >>> corpus = {i: Passage(i, "", "so many words " * n) for i, n in (("a", 1), ("b", 2))}
    >>> lengths = lambda questions, passages: [len(p.text.split()) for row in passages for p in row]
    >>> score_cells("length", [Question("q", "why")], corpus, bm25, lengths).values.tolist()
    [[3.0, 6.0]]
    """
    rows = table.select([question.id for question in questions])
    cells = best_cells(rows, n_context)
    check_passages(rows, cells, corpus)
    values = np.full(rows.values.shape, np.nan, dtype=np.float32)
    counts = cells.sum(axis=1)
    costs, most = (counts, CELLS_AT_ONCE) if questions_at_once is None else (counts.clip(max=1), questions_at_once)
    with tqdm(total=int(cells.sum()), desc=name, unit="passage", disable=not progress) as bar:
        for batch in batches_by_cost(np.flatnonzero(counts).tolist(), lambda row: int(costs[row]), most):
            passages = [[corpus[i] for i in rows.passage_ids[row][cells[row]].tolist()] for row in batch]
            block = values[batch]
            block[cells[batch]] = score_batch([questions[row] for row in batch], passages)
            values[batch] = block
            bar.update(sum(map(len, passages)))
    return ScoreTable(name, rows.question_ids, rows.passage_ids, values)


def best_cells(table: ScoreTable, n_context: int | None) -> np.ndarray:
    """Which cells are among their question's `n_context` highest, bool (q, k); all that have a passage if None."""
    if n_context is None:
        return table.mask
    best = table.top(n_context).passage_ids
    kept = [np.isin(ids, top) for ids, top in zip(table.passage_ids, best, strict=True)]
    return np.array(kept, dtype=bool).reshape(table.mask.shape) & table.mask


def check_passages(table: ScoreTable, cells: np.ndarray, corpus: Mapping[str, Passage]) -> None:
    """Raises `KitError` if the corpus lacks a passage of the cells."""
    for passage_id in np.unique(table.passage_ids[cells]).tolist():
        if passage_id not in corpus:
            raise KitError(f"score table {table.name!r}", "passages that are in the corpus", repr(passage_id))


def batches_by_cost(items: Iterable[Item], cost: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Items in batches that cost at most `most` together, or one that costs more by itself.

    >>> list(batches_by_cost(["aa", "bb", "ccc", "ddddddddd"], len, most=4))
    [['aa', 'bb'], ['ccc'], ['ddddddddd']]
    """
    if most < 1:
        raise KitError("batch size", "at least 1", most)
    batch: list[Item] = []
    total = 0
    for item in items:
        if batch and total + cost(item) > most:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += cost(item)
    if batch:
        yield batch


def target_of(question: Question) -> str:
    """The answer whose likelihood a teacher measures: the target, or the first answer if there is no target.

    >>> target_of(Question("1", "who", ("Ann", "Anna"))), target_of(Question("2", "who", ("Ann",), target="Anna"))
    ('Ann', 'Anna')
    """
    answer = question.target if question.target is not None else next(iter(question.answers), None)
    if answer is None or not answer.strip():
        given = "none" if answer is None else repr(answer)
        raise KitError(f"question {question.id!r}", "a target or an answer, which this teacher goes by", given)
    return answer
