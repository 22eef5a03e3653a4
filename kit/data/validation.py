"""A report on a file of examples, questions or passages: counts, errors with file and line, and what looks odd.

Reads one record at a time and goes on after a broken one, so that all errors are seen at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path

import numpy as np

from kit.data.corpus import load_passages
from kit.data.examples import Example, numbered_examples
from kit.data.records import DataWarning, file_format, read_records
from kit.data.spreadsheets import is_question_table, read_question_table
from kit.metrics.answers import answer_finder, searchable
from kit.types import KitError, Passage

_SHOWN = 20


@dataclass
class Report:
    """What `validate` found in a file; `ok` where there is no error (warnings leave it so)."""

    path: str
    kind: str  # "examples" or "passages"
    questions: int = 0
    passages: int = 0  # different ones
    contexts: tuple[int, int] = (0, 0)  # fewest and most passages of a question
    with_answers: int = 0  # questions that have an answer that is not blank
    answerable: int = 0  # of these, questions with a passage that holds one
    errors: list[str] = field(default_factory=list)  # each names file and line
    warnings: dict[str, tuple[int, str]] = field(default_factory=dict)  # what: (how often, where first)

    @property
    def ok(self) -> bool:
        return not self.errors

    @property
    def answer_share(self) -> float:
        """The share of questions with answers whose passages hold one; NaN where there is none or no passages."""
        return self.answerable / self.with_answers if self.with_answers and self.passages else float("nan")

    def warn(self, what: str, where: str) -> None:
        count, first = self.warnings.get(what, (0, where))
        self.warnings[what] = (count + 1, first)

    def lines(self) -> list[str]:
        counts = f"{self.passages:,} passages"
        if self.kind == "examples":
            fewest, most = self.contexts
            counts = f"{self.questions:,} questions, {counts} ({fewest} to {most} a question)"
        found = [f"{self.path}: {counts}"]
        if self.answer_share == self.answer_share:
            found.append(
                f"passages hold an answer for {self.answerable:,} of {self.with_answers:,} ({self.answer_share:.1%})"
            )
        found += [f"warning: {what}: {count:,} (first: {where})" for what, (count, where) in self.warnings.items()]
        found += [f"error: {error}" for error in self.errors[:_SHOWN]]
        more = len(self.errors) - _SHOWN
        return found + ([f"error: and {more:,} more"] if more > 0 else [])

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def validate(path: str | Path, *, regex: bool = False) -> Report:
    """A report on a file of passages (`.tsv`), or of examples or questions (`.json`, `.jsonl`, tables of questions).

    JSON whose first record has `text` and no `question` is passages; so is a table of ids and texts alone. With `regex`
    the answers are regular expressions.
    A file that is not there is a `KitError`; what is wrong in it is in the report.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        report = _validated(path, regex)
    for each in (one.message for one in caught):
        if isinstance(each, DataWarning) and each.what not in report.warnings:
            report.warnings[each.what] = (each.count, each.where)
    return report


def _validated(path: str | Path, regex: bool) -> Report:
    table = file_format(path, (".json", ".jsonl", ".tsv", ".csv")) in (".tsv", ".csv")
    if not is_question_table(path) if table else _holds_passages(path):
        return _validate_passages(path)
    report, seen = Report(str(path), "examples"), _Seen()
    if table:
        try:
            for question in read_question_table(path):
                _check_example(report, f"question {question.id!r}", Example(question, [], []), seen, regex)
        except KitError as error:
            report.errors.append(str(error))
        return report
    for line, example in numbered_examples(path, lambda error: report.errors.append(str(error))):
        _check_example(report, f"{path}:{line}", example, seen, regex)
    report.passages = len(seen.passages)
    if not report.questions and not report.errors:
        report.errors.append(str(KitError(str(path), "examples", "none")))
    return report


class _Seen:
    """Question ids with their line, and passages as numbers that tell their texts apart."""

    def __init__(self) -> None:
        self.questions: dict[str, str] = {}
        self.passages: dict[str, int] = {}


def _holds_passages(path: str | Path) -> bool:
    first = next((record for _, record in islice(read_records(path, lambda error: None), 1)), {})
    if {"question", "query"} & first.keys():
        return False
    return "contents" in first or ("text" in first and ("title" in first or "_id" not in first))  # else BEIR's queries


def _validate_passages(path: str | Path) -> Report:
    report = Report(str(path), "passages")
    try:
        for passage in load_passages(path).passages():
            report.passages += 1
            _check_passage(passage, partial(report.warn, where=f"passage {passage.id!r}"))
    except KitError as error:
        report.errors.append(str(error))
    return report


def _check_passage(passage: Passage, warn: Callable[[str], None]) -> None:
    if not passage.text.strip():
        warn("passage without text")
    if not passage.title.strip():
        warn("passage without title")


def _check_example(report: Report, where: str, example: Example, seen: _Seen, regex: bool) -> None:
    def warn(what: str) -> None:
        report.warn(what, where)

    question, passages, scores = example
    if question.id in seen.questions:
        wanted = f"an id other than that of the question at {seen.questions[question.id]}"
        report.errors.append(str(KitError(where, wanted, repr(question.id))))
    seen.questions.setdefault(question.id, where)
    fewest, most = report.contexts if report.questions else (len(passages), len(passages))
    report.contexts = min(fewest, len(passages)), max(most, len(passages))
    report.questions += 1
    _check_question(example, warn)
    _check_scores(np.array(scores, dtype=np.float32), warn)
    for passage in passages:
        if seen.passages.setdefault(passage.id, hash((passage.title, passage.text))) != hash(
            (passage.title, passage.text)
        ):
            wanted = f"passage {passage.id!r} as earlier in the file"
            report.errors.append(str(KitError(where, wanted, f"{passage.text!r:.60}")))
        _check_passage(passage, warn)
    _count_answerable(report, where, example, regex)


def _check_question(example: Example, warn: Callable[[str], None]) -> None:
    question = example.question
    if not question.text.strip():
        warn("blank question")
    if not question.answers:
        warn("question without answers")
    if question.target is not None and question.target not in question.answers:
        warn("target that is not one of the answers")
    if not example.passages:
        warn("question without passages")


def _check_scores(scores: np.ndarray, warn: Callable[[str], None]) -> None:
    missing = np.isnan(scores)
    if missing.any():
        warn("passages without scores" if missing.all() else "some passages without scores")
    given = scores[~missing]
    if len(given) > 1 and (given == given[0]).all():
        warn("scores all equal")
    elif len(np.unique(given)) < len(given):
        warn("tied scores")
    if (given[1:] > given[:-1]).any():
        warn("scores not in falling order")


def _count_answerable(report: Report, where: str, example: Example, regex: bool) -> None:
    answers = [answer for answer in example.question.answers if searchable(answer)]
    if not answers:
        return
    report.with_answers += 1
    try:
        holds = answer_finder(answers, regex)
    except KitError as error:
        report.errors.append(str(KitError(where, error.wanted, error.given)))
        return
    report.answerable += any(holds(searchable(passage.text, regex)) for passage in example.passages)
