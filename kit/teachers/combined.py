"""Teachers made of other teachers' scores: the mean of several, one scale for all, a table from earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kit.teachers.scaling import standardised
from kit.teachers.scores import Teacher
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The arithmetic mean of several teachers' raw scores, cell by cell: T2 of Margin-MSE, three BERT_Cat.

    Costs what they cost together. A cell that one of them did not score is NaN. Raw scores of teachers of other kinds
    have other scales, and the widest weighs most: wrap them in `Standardised` then.
    Source: Hofstaetter et al. 2020, section 4, and its teacher_scores_ensemble.py.

    >>> bm25 = ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]])
    >>> one, two = ScoreTable("t1", ["q"], [["b", "a"]], [[4.0, 0.0]]), ScoreTable("t2", ["q"], [["a"]], [[6.0]])
    >>> Ensemble([FromTable(one), FromTable(two)]).score([Question("q", "why")], {}, bm25).values.tolist()
    [[3.0, nan]]
    """

    teachers: Sequence[Teacher]
    name: str = "ensemble"

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", tuple(self.teachers))
        if not self.teachers:
            raise KitError("Ensemble", "at least one teacher", "none")

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Mean scores (q, k) in the cells of `table`, a row for each question."""
        rows = table.select([question.id for question in questions])
        tables = [teacher.score(questions, corpus, rows, progress=progress) for teacher in self.teachers]
        values = np.stack([scores.aligned_to(rows).values for scores in tables]).mean(axis=0, dtype=np.float64)
        return ScoreTable(self.name, rows.question_ids, rows.passage_ids, values)


@dataclass(frozen=True)
class Standardised:
    """A teacher whose scores have mean 0 and standard deviation `scale` for every question; see `standardised`.

    The kit's own choice, not of a paper. The statistics are over the passages that the teacher scored.
    """

    teacher: Teacher
    scale: float = 1.0

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Standardised scores (q, k) in the cells of `table`, a row for each question."""
        return standardised(self.teacher.score(questions, corpus, table, progress=progress), scale=self.scale)


@dataclass(frozen=True, eq=False)
class FromTable:
    """A teacher whose scores were computed earlier: those of a saved table, or of `load_teacher_triples`.

    A passage that the table lacks is NaN; raises `KitError` for a question that it lacks.
    """

    table: ScoreTable

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """The table's scores (q, k) in the cells of `table`, a row for each question; the corpus is not looked at."""
        return self.table.aligned_to(table.select([question.id for question in questions]))
