"""What is usually reported of answers and of retrieved passages: each measure by its name, one value a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kit.metrics.answers import exact_matches, f1
from kit.metrics.ranking import (
    Judgements,
    answer_hits,
    answer_ranks,
    average_precision,
    judged,
    ndcg,
    recall,
    reciprocal_rank,
)
from kit.text import UNSPACED_LETTER
from kit.types import KitError, Passage, Question, ScoreTable

KS = (1, 5, 20, 100)


def answer_measures(
    answers: Mapping[str, str],
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    read: ScoreTable,
    *,
    regex: bool = False,
) -> dict[str, np.ndarray]:
    """Exact match, F1 (not of patterns) and whether the passages hold an answer: (q,) of the questions with answers.

    `answers` {question id: answer}; `read` has the passages that were read.
    """
    questions = [question for question in questions if question.answers]
    if not questions:
        return {}
    words = {} if regex else {"F1": np.array([f1(answers[one.id], one.answers) for one in questions])}
    held = answer_hits(read, questions, corpus, regex=regex).max(axis=1, initial=False)
    return {"exact match": exact_matches(answers, questions, regex=regex), **words, "answer in the passages": held}


def recall_measures(
    table: ScoreTable, questions: Sequence[Question], corpus: Mapping[str, Passage], *, regex: bool = False
) -> dict[str, np.ndarray]:
    """Answer recall at 1, 5, 20 and 100, as far as the table goes: (q,) of the questions with answers."""
    questions = [question for question in questions if question.answers]
    if not questions:
        return {}
    ranks = answer_ranks(table, questions, corpus, regex=regex)
    return {f"answer recall@{k}": ranks <= k for k in KS if k <= table.values.shape[1]}


def unspaced_answers(questions: Sequence[Question]) -> int:
    """Questions with answers in a script without blanks between words: inside a longer run these are not matched.

    >>> unspaced_answers([Question("1", "?", ("奥斯陆",)), Question("2", "?", ("Oslo",))])
    1
    """
    return sum(any(map(UNSPACED_LETTER.search, question.answers)) for question in questions)


def judged_measures(
    table: ScoreTable, judgements: Judgements, corpus: Mapping[str, Passage] | None = None
) -> tuple[dict[str, np.ndarray], str]:
    """MRR@10, nDCG@10, MAP and recall (q,) of the judged questions, and a line on how much of the table is judged.

    Raises `KitError` if no question, or no passage of the corpus (without one: of the table), is judged.
    """
    known = judged(table, judgements)
    if not len(known):
        raise KitError("judgements", "judgements of these questions", "none of them")
    ids = {passage for question in known.question_ids.tolist() for passage in judgements[question]}
    pool: Any = set(table.passage_ids.ravel().tolist()) if corpus is None else corpus
    there = sum(name in pool for name in ids)
    place = "among those found" if corpus is None else "in the corpus"
    if not there:
        raise KitError("judgements", f"judged passages {place}", f"none of {len(ids):,} (ids of another corpus?)")
    width = table.values.shape[1]
    values = {
        "MRR@10": reciprocal_rank(known, judgements, 10),
        "nDCG@10": ndcg(known, judgements, 10),
        "MAP": average_precision(known, judgements),
        f"recall@{width}": recall(known, judgements, width),
    }
    counts = f"judged {len(known):,} of {len(table):,} questions, {there:,} of {len(ids):,} judged passages {place}"
    return values, counts
