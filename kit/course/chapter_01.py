"""Checkers of notebook 01: word F1, recall by gold passages, a broken file repaired. Each names the likely mistake."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.course.verdict import Verdict, answer_of, not_yet, passed
from kit.data import load_examples, validate
from kit.metrics import f1
from kit.types import KitError, ScoreTable

# A broken file, record by record: a string for a list, an id given twice, a passage that says two things under one id,
# a score that is no number, an answer that is no string; and a blank alias, which is only a warning.
BROKEN: tuple[dict[str, Any], ...] = (
    {
        "id": "q1",
        "question": "Which city is the capital of France?",
        "answers": "Paris",
        "ctxs": [{"id": "7", "title": "France", "text": "Paris is the capital of France.", "score": 4.0}],
    },
    {
        "id": "q2",
        "question": "Which river flows through Cairo?",
        "answers": ["Nile", ""],
        "ctxs": [
            {"id": "8", "title": "Cairo", "text": "Cairo stands on the Nile.", "score": "high"},
            {"id": "9", "title": "Nile", "text": "The Nile flows through Egypt.", "score": 2.0},
        ],
    },
    {
        "id": "q2",
        "question": "What is the capital of Egypt?",
        "answers": ["Cairo"],
        "ctxs": [{"id": "7", "title": "Egypt", "text": "Cairo is the capital of Egypt.", "score": 3.0}],
    },
    {"id": "q4", "question": "In which year was the phonograph invented?", "answers": [1877], "ctxs": []},
)


def check_f1(my_f1: Callable[[str, Sequence[str]], float]) -> Verdict:
    """Whether `my_f1(prediction, answers)` is the word F1 of normalised texts, at its best over the answers."""
    cases: list[tuple[str, list[str], str]] = [
        ("river nile", ["nile"], "One word of two is right, and all of the answer is said: precision 1/2, recall 1."),
        ("nile", ["river nile"], "Precision is 1, recall 1/2. Did you give one of the two alone?"),
        ("The Nile!", ["nile"], "Normalise both texts first: case, punctuation and articles do not count."),
        ("nile nile", ["nile"], "Count words with their number (a Counter): the second 'nile' matches nothing."),
        ("nile", ["amazon", "nile"], "Take the best of the answers (max): not the mean, and not the first alone."),
        ("amazon", ["nile"], "No word in common is 0, and no division by zero."),
    ]
    for prediction, answers, mistake in cases:
        mine = answer_of(my_f1, prediction, answers)
        if isinstance(mine, Verdict):
            return _with(mine, mistake) if "ZeroDivisionError" in mine.message else mine
        if abs(float(mine) - f1(prediction, answers)) > 1e-6:
            return not_yet(
                f"F1 of {prediction!r} for {answers} is {f1(prediction, answers):.3f}, not {mine}. {mistake}"
            )
    return passed("an answer with a word too many gets a part of the credit, where exact match gives none.")


def check_gold_recall(my_recall: Callable[[ScoreTable, Mapping[str, set[str]], int], float]) -> Verdict:
    """Whether `my_recall(table, gold, k)` is the share of questions with a gold passage among the k best by score."""
    ids = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", ""]]
    table = ScoreTable("given", ["q1", "q2", "q3"], ids, [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 1.0, np.nan]])
    first = {"q1": {"a", "b"}, "q2": {"f"}, "q3": {"z"}}
    later = {"q1": {"b"}, "q2": {"d"}, "q3": {"h"}}
    cases = [(first, 1, 2 / 3), (first, 2, 2 / 3), (later, 1, 0.0), (later, 2, 2 / 3), (later, 3, 1.0)]
    for gold, k, wanted in cases:
        mine = answer_of(my_recall, table, gold, k)
        if isinstance(mine, Verdict):
            return mine
        if abs(float(mine) - wanted) > 1e-6:
            return not_yet(f"recall at {k} is {wanted:.3f} here, not {float(mine):.3f}. {_why(float(mine), k)}")
    return passed("this recall needs somebody who marked the passages; answer recall needs the answers alone.")


def _why(mine: float, k: int) -> str:
    if k == 1 and abs(mine - 1 / 3) < 1e-6:
        return "The table need not stand in falling order: table.top(k) sorts it by score."
    if k == 1 and abs(mine - 1) < 1e-6:
        return "You left out a question whose gold passage was not found: it counts as 0."
    if k == 2 and (abs(mine - 0.5) < 1e-6 or mine >= 1):
        return "You counted gold passages: a question counts once, if any of its k passages is gold."
    return "A question counts if one of its k passages of highest score is gold; take the mean over all questions."


def check_repair(repair: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Verdict:
    """Whether `repair(records)` makes of `BROKEN` a file that `validate` passes and that has lost nothing."""
    fixed = answer_of(repair, copy.deepcopy(list(BROKEN)))
    if isinstance(fixed, Verdict):
        return fixed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fixed.jsonl"
        try:
            path.write_text("".join(json.dumps(record) + "\n" for record in fixed), encoding="utf-8")
            report = validate(path)
        except (TypeError, KitError) as error:
            return not_yet(f"these are not records that JSON can write: {error}")
        if report.errors:
            return not_yet(f"there is still an error on line {report.errors[0].removeprefix(f'{path}:')}")
        if report.questions < len(BROKEN):
            return not_yet(f"you dropped {len(BROKEN) - report.questions} of {len(BROKEN)} questions: repair them.")
        questions, corpus, _ = load_examples(path)
    answers = [set(question.answers) for question in questions]
    for wanted in ({"Paris"}, {"Nile"}, {"Cairo"}, {"1877"}):
        if not any(wanted <= given for given in answers):
            return not_yet(f"the answer {min(wanted)!r} is lost: put it into a list of strings, do not throw it away.")
    if any("P" in given or "" in given for given in answers):
        return not_yet("list('Paris') is five letters; ['Paris'] is one answer. And '' is no answer: leave it out.")
    if len(corpus) < 4 and sum(len(record.get("ctxs", ())) for record in fixed) < 4:
        return not_yet("a passage is lost: two texts under one id are two passages, so give one of them another id.")
    return passed("the file loads. What a program should do with such a file is to stop and name the line.")


def _with(verdict: Verdict, mistake: str) -> Verdict:
    return not_yet(f"{verdict.message}. {mistake}")
