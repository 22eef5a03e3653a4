"""One reading by several processes: each reads every n-th batch, and all have the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kit.processes import in_every_process, this_process
from kit.reader.fid import FiDReader, Reading
from kit.types import Passage, Question, ScoreTable


def read_in_shares(
    reader: FiDReader,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    *,
    batch_size: int = 8,
    **options: Any,
) -> Reading:
    """What `FiDReader.read` returns, with the same batches; every process that `torchrun` started must call it."""
    number, count = this_process()
    batches = [questions[start : start + batch_size] for start in range(0, len(questions), batch_size)]
    own = [question for batch in batches[number::count] for question in batch]
    parts = in_every_process(lambda: reader.read(own, corpus, table, batch_size=batch_size, **options))
    answers = {name: answer for part in parts for name, answer in part.answers.items()}
    columns = ([getattr(part.scores, name) for part in parts] for name in ("question_ids", "passage_ids", "values"))
    scores = ScoreTable(parts[0].scores.name, *map(np.concatenate, columns))
    ids = [question.id for question in questions]
    return Reading({name: answers[name] for name in ids}, scores.select(ids))
