"""A retriever as a teacher: the scores of a dual encoder in the cells of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kit.encoder import DualEncoder
from kit.teachers.scores import best_cells, check_passages
from kit.types import Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class EncoderScores:
    """A dual encoder's own scores q.p times its family's scale: to measure a student, or to teach another one.

    Each distinct passage is encoded once (the vectors are held: 4 d bytes each); of each question the `n_context`
    highest passages of the table are scored, all if None.
    """

    encoder: DualEncoder = field(repr=False)
    n_context: int | None = None
    batch_size: int = 64
    name: str = "dual_encoder"

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        rows = table.select([question.id for question in questions])
        cells = best_cells(rows, self.n_context)
        check_passages(rows, cells, corpus)
        ids, positions = np.unique(rows.passage_ids[cells], return_inverse=True)  # (x,), (cells,)
        passages = self.encoder.encode_passages(
            [corpus[i] for i in ids.tolist()], batch_size=self.batch_size, progress=progress
        )  # (x, d)
        texts = [question.text for question in questions]
        vectors = self.encoder.encode_questions(texts, batch_size=self.batch_size)  # (q, d)
        values = np.full(rows.values.shape, np.nan, dtype=np.float32)
        start = 0
        for row, count in enumerate(cells.sum(axis=1).tolist()):
            own = positions[start : start + count]  # (k,)
            values[row, cells[row]] = passages[own] @ vectors[row] * self.encoder.scale  # (k, d) @ (d,) -> (k,)
            start += count
        return ScoreTable(self.name, rows.question_ids, rows.passage_ids, values)
