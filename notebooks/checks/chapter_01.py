"""Checkers of notebook 01: word F1, recall by gold passages, a broken file repaired."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from checks.compare import Mistake, call, checker, compare_calls
from kit.data import load_examples, validate
from kit.metrics import normalize_answer
from kit.types import KitError, ScoreTable

# A broken file, record by record: a string for a list (which the kit reads as one answer), an id that comes twice, one
# id with two passages, a score that is no number, an answer that is no string; and a blank alias.
BROKEN = (
    {"id": "q1", "question": "Which city is the capital of France?", "answers": "Paris",
     "ctxs": [{"id": "7", "title": "France", "text": "Paris is the capital of France.", "score": 4.0}]},
    {"id": "q2", "question": "Which river flows through Cairo?", "answers": ["Nile", ""],
     "ctxs": [{"id": "8", "title": "Cairo", "text": "Cairo stands on the Nile.", "score": "high"},
              {"id": "9", "title": "Nile", "text": "The Nile flows through Egypt.", "score": 2.0}]},
    {"id": "q2", "question": "What is the capital of Egypt?", "answers": ["Cairo"],
     "ctxs": [{"id": "7", "title": "Egypt", "text": "Cairo is the capital of Egypt.", "score": 3.0}]},
    {"id": "q4", "question": "In which year was the phonograph invented?", "answers": [1877], "ctxs": []},
)  # fmt: skip


@checker
def check_f1(f1):
    """A verdict on `f1(prediction, answers)`: word F1 of normalised texts, at its best over the answers."""
    cases = {
        "One word of two is right, and all of the answer is there: precision 1/2, recall 1.": ("river nile", ["nile"]),
        "Precision is 1, recall 1/2.": ("nile", ["river nile"]),
        "Normalise both texts first: case, punctuation and articles do not count.": ("The Nile!", ["nile"]),
        "Count how often each word occurs (a Counter): the second 'nile' matches nothing.": ("nile nile", ["nile"]),
        "No word in common is 0: return it before you divide by precision + recall.": ("amazon", ["nile"]),
        "Take the best of the answers (max).": ("nile", ["amazon", "nile"]),
    }
    compare_calls(f1, _f1, cases, {
        "This is precision alone: F1 is 2 * precision * recall / (precision + recall).": {"measure": "precision"},
        "This is recall alone: F1 is 2 * precision * recall / (precision + recall).": {"measure": "recall"},
        "This is the mean of precision and recall: F1 is their harmonic mean.": {"measure": "mean"},
        "Normalise both texts first: case, punctuation and articles do not count.": {"normalise": str},
        "Lower case is not enough: punctuation and articles do not count either.": {"normalise": str.lower},
        "Count how often each word occurs (a Counter, not a set): the second 'nile' matches nothing.": {"words": set},
        "Take the best of the answers (max), not the mean over them.": {"over": np.mean},
        "Take the best of the answers (max), not the first alone.": {"over": lambda values: values[0]},
        "No word in common is 0, not 1.": {"nothing": 1.0},
        "No word in common is 0, and not 0 / 0: return it before you divide.": {"nothing": np.nan},
    })  # fmt: skip
    return "An answer with one word too many gets part of the credit, where exact match gives none."


def _f1(
    prediction: str, answers: Sequence[str], measure="f1", normalise=normalize_answer, words=list, over=max, nothing=0.0
) -> float:
    def one(answer: str) -> float:
        a, b = (Counter(words(normalise(text).split())) for text in (prediction, answer))
        shared = (a & b).total()
        precision, recall = shared / a.total(), shared / b.total()
        if not shared:
            return nothing
        return {"precision": precision, "recall": recall, "mean": (precision + recall) / 2}.get(
            measure, 2 * precision * recall / (precision + recall)
        )

    return float(over([one(answer) for answer in answers]))


@checker
def check_gold_recall(gold_recall):
    """A verdict on `gold_recall(table, gold, k)`: the share of questions with a gold passage among the k best."""
    ids = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", ""]]
    table = ScoreTable("retriever", ["q1", "q2", "q3"], ids, [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 1.0, np.nan]])
    first = {"q1": {"a", "b"}, "q2": {"f"}, "q3": {"z"}}
    later = {"q1": {"b"}, "q2": {"d"}, "q3": {"h"}}
    note = "A question counts if one of its k passages of highest score is gold; take the mean over all questions."
    cases = [(first, 1), (first, 2), (later, 1), (later, 2), (later, 3)]
    compare_calls(gold_recall, _gold_recall, {note + " " * n: (table, *case) for n, case in enumerate(cases)}, {
        "The table need not be sorted: table.top(k) sorts it by score.": {"ordered": False},
        "You left out the questions whose gold passage is not there: they count as 0.": {"lost": "never"},
        "You left out the questions whose gold passage is in no row: they count as 0.": {"lost": "not in the row"},
        "This is precision at k, the share of the k passages that are gold: recall asks for one of them.":
            {"score": lambda hits, gold, k: hits / k},
        "You counted gold passages: a question counts once, if any of its k passages is gold.":
            {"score": lambda hits, gold, k: hits},
        "This is the share of a question's gold passages: here one of them is enough.":
            {"score": lambda hits, gold, k: hits / gold},
        "You looked for gold at rank k alone: it counts at any rank up to k.": {"from_rank": True},
    })  # fmt: skip
    return "this recall needs somebody who marked the passages; answer recall needs the answers alone."


def _gold_recall(
    table: ScoreTable, gold: Mapping[str, set[str]], k: int, ordered=True, lost="count", score=None, from_rank=False
) -> float:
    values = []
    for name in table.question_ids.tolist():
        ids = (table.top(k).passages_of(name) if ordered else table.passages_of(name))[k - 1 if from_rank else 0 : k]
        hits = len(gold[name] & set(ids))
        if hits or lost == "count" or (lost == "not in the row" and gold[name] & set(table.passages_of(name))):
            values.append(score(hits, len(gold[name]), k) if score else hits > 0)
    return float(np.mean(values)) if values else 0.0


@checker
def check_repair(repair):
    """A verdict on `repair(records)`: makes of `BROKEN` a file that `validate` passes and that has lost nothing."""
    fixed = call(repair, list(BROKEN))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fixed.jsonl"
        try:
            path.write_text("".join(json.dumps(record) + "\n" for record in fixed), encoding="utf-8")
            report = validate(path)
        except (TypeError, KitError) as error:
            raise Mistake(f"these are not records that JSON can write: {error}") from None
        if report.errors:
            raise Mistake(f"there is still an error on line {report.errors[0].removeprefix(f'{path}:')}")
        if report.questions < len(BROKEN):
            raise Mistake(f"you dropped {len(BROKEN) - report.questions} of {len(BROKEN)} questions: repair them.")
        corpus = load_examples(path)[1]
    answers = [set(record["answers"]) for record in fixed]
    for lost in ("Paris", "Nile", "Cairo", "1877"):
        if not any(lost in of_question for of_question in answers):
            raise Mistake(f"the answer {lost!r} is lost: put it into a list of strings, do not throw it away.")
    if any("P" in of_question or "" in of_question for of_question in answers):
        raise Mistake("list('Paris') is five letters; ['Paris'] is one answer. And '' is no answer: leave it out.")
    if len(corpus) < 4 and sum(len(record.get("ctxs", ())) for record in fixed) < 4:
        raise Mistake("a passage is lost: two texts under one id are two passages, so give one of them another id.")
    return "the file loads. What a program should do with such a file is to stop and name the line."
