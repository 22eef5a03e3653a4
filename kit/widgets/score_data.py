"""Score tables of the same questions as arrays over the passages of any of them, and the numbers of each table.

Pure: tables in, arrays and rows of numbers out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from kit.losses.gradients import gradient
from kit.metrics import agreement, answer_hits
from kit.metrics.table_agreement import entropy
from kit.types import KitError, Passage, Question, ScoreTable

AGREED = ("kendall", "spearman", "overlap")  # the last one of the first 5


@dataclass(frozen=True, eq=False)
class ScoreData:
    """Tables over one grid of cells (q, u): a question's passages in any of the tables; NaN where one has no score."""

    questions: list[Question]
    titles: dict[str, str]  # passage id -> title
    passages: np.ndarray  # (q, u) ids, "" where a question has fewer passages
    gold: Bool[np.ndarray, "q u"]
    values: dict[str, Float[np.ndarray, "q u"]]

    def row_of(self, question: str) -> int:
        """The row of a question's id; `KitError` if there is none."""
        for row, one in enumerate(self.questions):
            if one.id == question:
                return row
        raise KitError("question", "the id of a question that the tables hold", repr(question))

    def for_page(self, rows: Sequence[int]) -> dict[str, Any]:
        """What the page draws from, of these rows (see js/scores.js)."""
        shown = self.passages[rows]
        place = {i: n for n, i in enumerate(dict.fromkeys(i for i in shown.ravel().tolist() if i))}
        names, held = list(self.values), {name: self.values[name][rows] for name in self.values}
        tables = {name: self._table(name, rows) for name in names}
        pairs = [(a, b) for n, a in enumerate(names) for b in names[n:]]
        return {
            "questions": [{"id": self.questions[row].id, "text": self.questions[row].text} for row in rows],
            "titles": [self.titles[i] or i for i in place],
            "passages": np.array([[place.get(i, -1) for i in row] for row in shown.tolist()], dtype=np.int32),
            "gold": self.gold[rows],
            "values": {name: values.astype(np.float32) for name, values in held.items()},
            "agreements": {f"{a}|{b}": _agreements(tables[a], tables[b]) for a, b in pairs},
            "held": len(rows),
            "of": len(self.questions),
        }

    def numbers(
        self, rows: Sequence[int], teacher: str, loss: str, temperature: float, teacher_temperature: float
    ) -> list[dict[str, Any]]:
        """One row a table, means over the questions of these rows (NaN where none has a value).

        On the passages that the teacher scores: `scored` is the share of them that the table scores; `entropy` (nats)
        and `margin` (best gold minus best other) are of scores over the temperature, `on_top` is the share of margins
        above 0; `kendall`, `spearman`, `overlap` (first 5) and `loss` compare with the teacher.
        """
        base, table = self.values[teacher][rows], self._table(teacher, rows)
        scored, found = ~np.isnan(base), []
        for name in self.values:
            values = np.where(scored, self.values[name][rows], np.nan)
            warm = values / (teacher_temperature if name == teacher else temperature)
            apart = margins(warm, self.gold[rows])
            at = gradient(
                loss, values, base, scored & np.isfinite(values),
                temperature=temperature, teacher_temperature=teacher_temperature,
            )  # fmt: skip
            found.append({
                "table": name, "scored": float((~np.isnan(values)).sum() / max(1, scored.sum())),
                "entropy": _mean([entropy(row[~np.isnan(row)]) for row in warm]), "margin": _mean(apart),
                "on_top": _mean(np.where(np.isnan(apart), np.nan, apart > 0)),
                **dict(zip(AGREED, map(_mean, _agreements(table, self._table(name, rows)).T), strict=True)),
                "loss": at.value,
            })  # fmt: skip
        return found

    def _table(self, name: str, rows: Sequence[int]) -> ScoreTable:
        ids = [self.questions[row].id for row in rows]
        return ScoreTable(name, ids, self.passages[rows], self.values[name][rows].astype(np.float32))


def score_data(
    tables: Mapping[str, ScoreTable],
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    gold: Mapping[str, Collection[str]] | None = None,
) -> ScoreData:
    """The tables over one grid of cells; gold passages are those of `gold`, or those that hold an answer.

    `KitError` if a table lacks a question, the corpus lacks a passage, or gold names none of the questions.
    """
    if not isinstance(tables, Mapping) or not tables:
        raise KitError("ScoreDistributions", "tables as {name: ScoreTable}", type(tables).__name__)
    for name, table in tables.items():
        if not isinstance(table, ScoreTable):
            raise KitError(f"table {name!r}", "a ScoreTable", type(table).__name__)
    if not questions:
        raise KitError("ScoreDistributions", "at least one question", "none")
    ids = [question.id for question in questions]
    chosen = {name: table.select(ids) for name, table in tables.items()}
    rows = [
        list(dict.fromkeys(i for table in chosen.values() for i in table.passage_ids[row].tolist() if i))
        for row in range(len(ids))
    ]
    missing = next((i for row in rows for i in row if i not in corpus), None)
    if missing is not None:
        raise KitError("corpus", "the passages of the tables", f"no passage {missing!r}")
    width = max(1, *map(len, rows))
    passages = np.array([row + [""] * (width - len(row)) for row in rows], dtype=object)
    grid = ScoreTable("grid", ids, passages, np.where(passages == "", np.nan, 0.0))
    values = {name: table.aligned_to(grid).values.astype(float) for name, table in chosen.items()}
    titles = {i: corpus[i].title for row in rows for i in row}
    return ScoreData(list(questions), titles, passages, _gold(grid, questions, corpus, gold), values)


def _gold(
    grid: ScoreTable,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    gold: Mapping[str, Collection[str]] | None,
) -> Bool[np.ndarray, "q u"]:
    if gold is None:
        return answer_hits(grid, questions, corpus) & grid.mask
    if not any(question.id in gold for question in questions):
        given = f"ids like {next(iter(gold), 'none')!r}"
        raise KitError("gold", "passages of at least one of the questions", given)
    rows = [[i in gold.get(one.id, ()) for i in ids] for one, ids in zip(questions, grid.passage_ids, strict=True)]
    return np.array(rows, dtype=bool) & grid.mask


def evenly(count: int, most: int) -> list[int]:
    """The numbers of at most `most` of `count` rows, evenly; the first and the last among them.

    >>> evenly(5, 3)
    [0, 2, 4]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def margins(values: Float[np.ndarray, "q k"], gold: Bool[np.ndarray, "q k"]) -> Float[np.ndarray, " q"]:
    """The best gold passage's score minus the best other's: (q,); NaN where a question lacks one of them.

    >>> margins(np.array([[3.0, 1.0, 2.5], [1.0, 2.0, np.nan]]), np.array([[True, False, False]] * 2)).tolist()
    [0.5, -1.0]
    """
    scored = np.where(np.isfinite(values), values, -np.inf)
    best, other = (np.where(kind, scored, -np.inf).max(axis=1, initial=-np.inf) for kind in (gold, ~gold))
    both = np.isfinite(best) & np.isfinite(other)
    return np.where(both, np.where(both, best, 0.0) - np.where(both, other, 0.0), np.nan)


def _agreements(first: ScoreTable, second: ScoreTable) -> Float[np.ndarray, "q 3"]:
    found = agreement(first, second, k=5)
    return np.stack([getattr(found, name) for name in AGREED], axis=1).astype(np.float32)


def _mean(values: ArrayLike) -> float:
    held = np.asarray(values, dtype=float)
    held = held[~np.isnan(held)]
    return float(held.mean()) if len(held) else float("nan")
