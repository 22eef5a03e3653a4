"""Score tables side by side, as arrays: aligned cells, gold passages, shares, margins, and the numbers of each table.

Pure: tables and a choice in, arrays and rows of numbers out. The pictures of them are kit.widgets.score_pictures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from kit.metrics import agreement, answer_hits
from kit.metrics.table_agreement import entropy
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.loss_gradients import LossAt, checked_loss, loss_at

PAIR_CELLS = 4_000_000  # cells of the k x k tables of pairs that a loss may take at once: what a click can wait for


@dataclass(frozen=True, eq=False)
class AlignedScores:
    """Tables with the teacher's questions, passages and order; a passage that a table does not score is NaN."""

    teacher: str  # the name of a table
    tables: dict[str, ScoreTable]  # all of them, (q, k), in the order given
    gold: Bool[np.ndarray, "q k"]
    questions: dict[str, str]  # id -> text
    titles: dict[str, str]  # passage id -> title

    def values(self, name: str) -> Float[np.ndarray, "q k"]:
        """The scores of one table in float64."""
        return self.tables[named(self.tables, name, "table")].values.astype(float)

    def row_of(self, question: str) -> int:
        """The row of a question; `KitError` where there is none."""
        return self.tables[self.teacher].row_of(question)

    @cached_property
    def agreements(self) -> dict[str, list[dict[str, float]]]:
        """For each table, for each question: kendall, spearman and overlap (of the first 5) with the teacher."""
        found = {name: agreement(self.tables[self.teacher], table, k=5) for name, table in self.tables.items()}
        keys = ("kendall", "spearman", "overlap")
        return {
            name: [dict(zip(keys, row, strict=True)) for row in zip(*(getattr(one, key) for key in keys), strict=True)]
            for name, one in found.items()
        }


@dataclass(frozen=True)
class ScoreChoice:
    """What is looked at: one question (an id) or all (None), raw scores or shares, and the loss at temperatures."""

    student: str
    question: str | None = None
    show: str = "scores"  # or "shares": softmax of scores / temperature
    loss: str = "kl"
    temperature: float = 1.0  # of every table but the teacher
    teacher_temperature: float = 1.0

    def __post_init__(self) -> None:
        checked_loss(self.loss)
        if self.show not in ("scores", "shares"):
            raise KitError("show", "'scores' or 'shares'", repr(self.show))
        for name in ("temperature", "teacher_temperature"):
            if not 0 < getattr(self, name) < np.inf:
                raise KitError(name, "a finite number above 0", getattr(self, name))


def named(tables: Mapping[str, object], name: str, what: str) -> str:
    """The name, where a table has it."""
    if name not in tables:
        raise KitError(what, f"one of the tables {', '.join(map(repr, tables))}", repr(name))
    return name


def aligned_scores(
    tables: Mapping[str, ScoreTable],
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    *,
    teacher: str,
    gold: Mapping[str, Collection[str]] | None = None,
) -> AlignedScores:
    """The tables on the teacher's cells of these questions; gold passages are those given, or those with an answer.

    A question that a table does not hold is a `KitError`, and so is gold that names none of the questions.
    """
    if not tables or not questions:
        raise KitError("ScoreDistributions", "at least one table and one question", f"{len(tables)}, {len(questions)}")
    for name, table in tables.items():
        if not isinstance(table, ScoreTable):
            raise KitError(f"table {name!r}", "a ScoreTable", type(table).__name__)
    base = tables[named(tables, teacher, "teacher")].select([question.id for question in questions])
    if gold is None:
        marked = answer_hits(base, questions, corpus)
    else:
        if not any(question.id in gold for question in questions):
            given = f"ids like {next(iter(gold), 'none')!r}"
            raise KitError("gold", "passages of at least one of the questions", given)
        rows = zip(base.question_ids.tolist(), base.passage_ids.tolist(), strict=True)
        marked = np.array([[i in set(gold.get(question, ())) for i in ids] for question, ids in rows], dtype=bool)
    shown = {i for i in base.passage_ids.ravel().tolist() if i}
    missing = next((i for i in sorted(shown) if i not in corpus), None)
    if missing is not None:
        raise KitError("corpus", "the passages of the teacher's table", f"no passage {missing!r}")
    return AlignedScores(
        teacher,
        {name: table.aligned_to(base) for name, table in tables.items()},
        marked.reshape(base.values.shape) & base.mask,
        {question.id: question.text for question in questions},
        {i: corpus[i].title for i in shown},
    )


def shares(values: Float[np.ndarray, "q k"], temperature: float = 1.0) -> Float[np.ndarray, "q k"]:
    """Softmax of each question's scores over the temperature; NaN where there is no score.

    >>> shares(np.array([[1.0, 1.0, np.nan]])).tolist()
    [[0.5, 0.5, nan]]
    """
    scaled = values / temperature
    known = np.isfinite(scaled)
    top = np.where(known, scaled, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(np.where(np.isnan(scaled), -np.inf, scaled) - np.where(np.isfinite(top), top, 0.0))
    total = weights.sum(axis=1, keepdims=True)
    return np.where(np.isnan(scaled) | (total == 0), np.nan, weights / np.where(total == 0, 1.0, total))


def margins(values: Float[np.ndarray, "q k"], gold: Bool[np.ndarray, "q k"]) -> Float[np.ndarray, " q"]:
    """The best gold passage's score minus the best other's: (q,); NaN where a question lacks one of them.

    >>> margins(np.array([[3.0, 1.0, 2.5], [1.0, 2.0, np.nan]]), np.array([[True, False, False]] * 2)).tolist()
    [0.5, -1.0]
    """
    scored = np.where(np.isfinite(values), values, -np.inf)
    best, other = (np.where(kind, scored, -np.inf).max(axis=1, initial=-np.inf) for kind in (gold, ~gold))
    told = np.isfinite(best) & np.isfinite(other)
    return np.where(told, np.where(told, best, 0.0) - np.where(told, other, 0.0), np.nan)


def gradient_of(scores: AlignedScores, choice: ScoreChoice, student: str | None = None) -> tuple[LossAt, list[int]]:
    """The loss of a student (the chosen one) against the teacher, its gradient (rows, k), and the rows it is over.

    Of one question, or the mean over all; where there are more pairs of passages than a click can wait for, over the
    first questions. A passage that the student does not score is left out.
    """
    teacher, mine = scores.values(scores.teacher), scores.values(student or choice.student)
    rows = _rows(scores, choice)[: max(1, PAIR_CELLS // max(1, teacher.shape[1] ** 2))]
    at = loss_at(
        choice.loss, mine[rows], teacher[rows], scores.tables[scores.teacher].mask[rows] & np.isfinite(mine[rows]),
        temperature=choice.temperature, teacher_temperature=choice.teacher_temperature,
    )  # fmt: skip
    return at, rows


def numbers(scores: AlignedScores, choice: ScoreChoice) -> list[dict[str, float | str]]:
    """One row a table, means over the chosen questions (NaN where none tells): entropy, margin, ranks, loss.

    `scored` is the share of the teacher's passages that the table scores; `entropy` (nats) and `margin` are of scores
    over the temperature; `on_top` is the share of questions with a margin above 0; `kendall`, `spearman`, `overlap`
    (first 5) and `loss` compare with the teacher.
    """
    rows, found = _rows(scores, choice), []
    for name, table in scores.tables.items():
        values = table.values[rows].astype(float) / temperature_of(scores, choice, name)
        apart = margins(values, scores.gold[rows])
        told = apart[~np.isnan(apart)]
        scored = (~np.isnan(values)).sum() / max(1, scores.tables[scores.teacher].mask[rows].sum())
        agreed = [scores.agreements[name][row] for row in rows]
        found.append({
            "table": name, "scored": float(scored), "entropy": _mean([entropy(row[~np.isnan(row)]) for row in values]),
            "margin": _mean(told), "on_top": _mean(told > 0),
            **{key: _mean([one[key] for one in agreed]) for key in ("kendall", "spearman", "overlap")},
            "loss": gradient_of(scores, choice, name)[0].value,
        })  # fmt: skip
    return found


def gradient_by_rank(scores: AlignedScores, choice: ScoreChoice) -> Float[np.ndarray, "2 k"]:
    """The mean gradient at each place in the teacher's order, of gold passages and of others; NaN where there is none.

    Times the number of questions, so that its size is that of one question's gradient.
    """
    at, rows = gradient_of(scores, choice)
    teacher = scores.values(scores.teacher)[rows]
    order = np.argsort(np.where(np.isnan(teacher), np.inf, -teacher), axis=1, kind="stable")
    counted = np.take_along_axis(np.isfinite(teacher) & np.isfinite(scores.values(choice.student)[rows]), order, 1)
    gradient = np.take_along_axis(at.gradient, order, 1) * len(rows)
    gold = np.take_along_axis(scores.gold[rows], order, 1)
    means = np.full((2, teacher.shape[1]), np.nan)
    for line, kind in enumerate((gold & counted, ~gold & counted)):
        count = kind.sum(0)
        means[line, count > 0] = np.where(kind, gradient, 0.0).sum(0)[count > 0] / count[count > 0]
    return means


def temperature_of(scores: AlignedScores, choice: ScoreChoice, name: str) -> float:
    """The temperature at which a table is looked at: the teacher's own, or that of all others."""
    return choice.teacher_temperature if name == scores.teacher else choice.temperature


def _rows(scores: AlignedScores, choice: ScoreChoice) -> list[int]:
    return list(range(len(scores.gold))) if choice.question is None else [scores.row_of(choice.question)]


def _mean(values: ArrayLike) -> float:
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")
