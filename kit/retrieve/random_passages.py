"""Passages drawn at random beside the retrieved ones, so that a teacher sees some that no retriever would offer."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from kit.arguments import instance_of, whole_number
from kit.index.search import MOST_K
from kit.types import Passage, ScoreTable


def add_random_passages(table: ScoreTable, corpus: Mapping[str, Passage], count: int, seed: int = 0) -> ScoreTable:
    """The table with `count` more passages a question, drawn from the corpus and not yet scored (NaN): (q, k + count).

    A passage that the question has already is not drawn; a small corpus leaves missing cells.

    >>> table = ScoreTable("bm25", ["q"], [["a"]], [[1.0]])
    >>> corpus = {name: Passage(name, "", "text") for name in "abc"}
    >>> sorted(add_random_passages(table, corpus, 2).passages_of("q"))
    ['a', 'b', 'c']
    """
    instance_of("add_random_passages", table, ScoreTable, "a score table")
    instance_of("add_random_passages", corpus, Mapping, "a corpus")
    if whole_number("add_random_passages", "count", count, least=0, most=MOST_K) == 0:
        return table
    names, rows = list(corpus), []
    for question_id in table.question_ids.tolist():
        rng, have = random.Random(f"{seed}-{question_id}"), set(table.passages_of(question_id))
        row: list[str] = []
        room = min(count, len(names) - sum(name in corpus for name in have))
        while len(row) < room:
            name = rng.choice(names)
            if name not in have:
                row.append(name)
                have.add(name)
        rows.append([*row, *[""] * (count - len(row))])
    more = np.full((len(table), count), np.nan, dtype=np.float32)
    ids = np.concatenate([table.passage_ids, np.array(rows).reshape(len(table), count)], axis=1)
    return ScoreTable(table.name, table.question_ids, ids, np.concatenate([table.values, more], axis=1))
