"""The nouns of the kit: Passage, Question, ScoreTable, and the one error.

Everything after retrieval takes and gives a `ScoreTable`. Knows nothing of files' formats, models or tensors.

Axis letters, everywhere in the kit: `q` questions, `k` passages of a question, `t` tokens of a passage, `a` answer
tokens, `v` vocabulary, `d` embedding, `h` heads, `n` layers, `x` any batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas


LONGEST_ID = 1024  # characters; arrays of ids are as wide as the longest


class KitError(ValueError):
    """A user's mistake, in one line: where it is, what was wanted and what was given.

    >>> str(KitError("questions.jsonl:3", "a string in 'question'", "7"))
    "questions.jsonl:3: wanted a string in 'question', given 7"
    """

    def __init__(self, where: str, wanted: str, given: object) -> None:
        self.where, self.wanted, self.given = where, wanted, given
        super().__init__(" ".join(f"{where}: wanted {wanted}, given {given}".split()))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of the error: its line, as the command line does, and not the calls that led to it."""
        return [f"KitError: {self}"]


@dataclass(frozen=True)
class Passage:
    """A block of text with its title, as in psgs_w100: `Passage("1", "France", "Paris is the capital ...")`."""

    id: str
    title: str
    text: str

    def __post_init__(self) -> None:
        _check_strings("passage", self, ("id", "title", "text"))

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><b>{escape(self.title)}</b> <small>[{escape(self.id)}]</small><br>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Question:
    """A question, its accepted answers (aliases) and, if there is one, the `target` that a reader learns to generate.

    Blank answers are dropped, and a blank target is none.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    target: str | None = None

    def __post_init__(self) -> None:
        _check_strings("question", self, ("id", "text"))
        if isinstance(self.answers, str) or not isinstance(self.answers, Iterable):
            given = f"the string {self.answers!r}" if isinstance(self.answers, str) else f"{self.answers!r:.60}"
            raise KitError(f"question {self.id!r}", "a list of answers", given)
        answers = tuple(self.answers)
        wrong = [answer for answer in answers if not isinstance(answer, str)]
        if wrong:
            raise KitError(f"question {self.id!r}", "answers that are strings", repr(wrong[0]))
        if self.target is not None and not isinstance(self.target, str):
            raise KitError(f"question {self.id!r}", "a target that is a string or None", repr(self.target))
        object.__setattr__(self, "answers", tuple(answer for answer in answers if not is_blank(answer)))
        if self.target is not None and is_blank(self.target):
            object.__setattr__(self, "target", None)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space and control characters at most."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


def _check_strings(what: str, item: Any, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(item, name)
        if not isinstance(value, str):
            raise KitError(f"{what} {getattr(item, 'id', '?')!r}", f"a string in {name!r}", repr(value))
    _check_id(what, item.id)


def _check_id(where: str, value: object, empty: bool = False) -> None:
    """An id is a string of 1 to 1,024 characters (or empty, where a cell is missing) and holds no NUL."""
    if not isinstance(value, str) or not (value or empty):
        raise KitError(where, "an id that is a string and not empty", f"{value!r:.60}")
    if len(value) > LONGEST_ID or "\0" in value:
        raise KitError(where, f"an id of at most {LONGEST_ID:,} characters without NUL", f"{value[:40]!r}")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of passages for questions: what a retriever finds, a teacher says and a loss compares.

    `question_ids` (q,), `passage_ids` (q, k), `values` (q, k) float32, all read-only arrays. A missing cell is `""`
    with NaN (questions may have different numbers of passages); an id with NaN is a passage that was not scored.

    >>> table = ScoreTable("bm25", ["q1"], [["p1", "p2"]], [[0.5, 2.0]])
    >>> table.top(1).passage_ids.tolist()
    [['p2']]
    """

    name: str
    question_ids: np.ndarray
    passage_ids: np.ndarray
    values: np.ndarray

    if TYPE_CHECKING:  # lists will do, or tensors

        def __init__(self, name: str, question_ids: Any, passage_ids: Any, values: Any) -> None: ...

    def __post_init__(self) -> None:
        where = f"score table {self.name!r}"
        question_ids = _as_ids(where, self.question_ids)
        count = len(question_ids)
        passage_ids = _as_grid(where, self.passage_ids, count, np.str_)
        values = _as_grid(where, self.values, count, np.float32)
        if passage_ids.shape != values.shape:
            raise KitError(
                where, f"one value for each of the {passage_ids.shape} passage ids", f"values {values.shape}"
            )
        if len(set(question_ids.tolist())) != count:
            raise KitError(where, "question ids that differ", _first_repeated(question_ids.tolist()))
        stray = (passage_ids == "") & ~np.isnan(values)
        if stray.any():
            row = int(np.argwhere(stray)[0][0])
            raise KitError(
                f"{where}, question {question_ids[row]!r}", "NaN where there is no passage", values[stray][0]
            )
        for row, ids in enumerate(passage_ids.tolist()):
            real = [i for i in ids if i]
            if len(set(real)) != len(real):
                raise KitError(f"{where}, question {question_ids[row]!r}", "each passage once", _first_repeated(real))
        for name, array in (("question_ids", question_ids), ("passage_ids", passage_ids), ("values", values)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.question_ids)

    def __repr__(self) -> str:
        q, k = self.values.shape
        return f"ScoreTable({self.name!r}, {q} questions x {k} passages, {int(self.mask.sum())} cells)"

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{name}</th>" for name in ("question_id", "passage_id", "rank", escape(self.name)))
        rows = "".join(
            f"<tr><td>{escape(question)}</td><td>{escape(passage)}</td><td>{rank}</td><td>{value:.6g}</td></tr>"
            for question, passage, rank, value in zip(*(column[:10].tolist() for column in self._cells()), strict=True)
        )
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>"

    @cached_property
    def mask(self) -> np.ndarray:
        """Where there is a passage: bool (q, k)."""
        return self.passage_ids != ""

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each question id."""
        return {name: row for row, name in enumerate(self.question_ids.tolist())}

    def passages_of(self, question_id: str) -> list[str]:
        """The passage ids of one question, in the table's order, without missing cells."""
        return [i for i in self.passage_ids[self.row_of(question_id)].tolist() if i]

    def row_of(self, question_id: str) -> int:
        """The row of a question; `KitError` where the table does not have it."""
        if not isinstance(question_id, str) or question_id not in self.rows:
            raise KitError(f"score table {self.name!r}", "a question that it holds", repr(question_id))
        return self.rows[question_id]

    def select(self, question_ids: Sequence[str]) -> ScoreTable:
        """The rows of these questions, in their order."""
        if isinstance(question_ids, str | bytes) or not isinstance(question_ids, Iterable):
            raise KitError(f"score table {self.name!r}", "a list of question ids", f"{question_ids!r:.60}")
        rows = [self.row_of(i) for i in question_ids]
        return ScoreTable(self.name, self.question_ids[rows], self.passage_ids[rows], self.values[rows])

    def top(self, k: int) -> ScoreTable:
        """The `k` highest cells of each question, highest first; ties keep their order, unscored passages come last."""
        from kit.arguments import whole_number

        k = whole_number(f"score table {self.name!r}", "k", k)
        unscored = np.isnan(self.values)
        kind = np.where(self.mask, unscored, 2)  # a score, a passage without one, no passage
        order = np.lexsort((np.where(unscored, 0, -self.values), kind), axis=1)[:, :k]
        take = np.take_along_axis
        return ScoreTable(self.name, self.question_ids, take(self.passage_ids, order, 1), take(self.values, order, 1))

    @classmethod
    def from_rows(cls, name: str, rows: Mapping[str, Sequence[tuple[str, float]]]) -> ScoreTable:
        """A table of each question's (passage id, value) pairs; shorter rows are filled up with missing cells.

        >>> ScoreTable.from_rows("bm25", {"q1": [("p1", 2.0), ("p2", 1.0)], "q2": [("p2", 3.0)]}).passage_ids.tolist()
        [['p1', 'p2'], ['p2', '']]
        """
        width = max(map(len, rows.values()), default=0)
        padded = [[*row, *[("", np.nan)] * (width - len(row))] for row in rows.values()]
        passage_ids = [[passage_id for passage_id, _ in row] for row in padded]
        return cls(name, list(rows), passage_ids, [[value for _, value in row] for row in padded])

    def aligned_to(self, other: ScoreTable) -> ScoreTable:
        """This table's values in the cells of `other`: its questions, its passages, its order.

        A passage of `other` that this table does not have gets NaN; a question that it does not have is an error.
        """
        if not isinstance(other, ScoreTable):
            raise KitError(f"score table {self.name!r}", "another score table", f"{other!r:.60}")
        values = np.full(other.values.shape, np.nan, dtype=np.float32)
        for row, question_id in enumerate(other.question_ids.tolist()):
            mine = self.row_of(question_id)
            known = dict(zip(self.passage_ids[mine].tolist(), self.values[mine].tolist(), strict=True))
            values[row] = [known.get(i, np.nan) if i else np.nan for i in other.passage_ids[row].tolist()]
        return ScoreTable(self.name, other.question_ids, other.passage_ids, values)

    def to_frame(self) -> pandas.DataFrame:
        """One row a cell: question_id, passage_id, rank (from 1, in the table's order), value; no missing cells."""
        import pandas

        return pandas.DataFrame(dict(zip(("question_id", "passage_id", "rank", self.name), self._cells(), strict=True)))

    def _cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Question id, passage id, rank and value of each cell that holds a passage."""
        rows, columns = np.nonzero(self.mask)
        ranks = np.cumsum(self.mask, axis=1)[rows, columns]
        return self.question_ids[rows], self.passage_ids[rows, columns], ranks, self.values[rows, columns]

    def save(self, path: str | Path) -> None:
        """Write the table as Parquet (columns question_id, passage_ids, values: one row a question)."""
        from kit.score_files import write_scores

        write_scores(path, self.name, self.question_ids, self.passage_ids, self.values)

    @classmethod
    def load(cls, path: str | Path) -> ScoreTable:
        """The table that `save` wrote."""
        from kit.score_files import read_scores

        return cls(*read_scores(path))


def _as_ids(where: str, ids: object) -> np.ndarray:
    """Ids as an array (x,) of its own."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise KitError(where, "a list of ids", f"{ids!r:.60}")
    taken = ids.reshape(-1).tolist() if isinstance(ids, np.ndarray) else list(ids)
    taken = [str(one) if type(one) is int else one for one in taken]
    for one in taken:
        _check_id(where, one)
    return np.array(taken, dtype=np.str_)


def _as_grid(where: str, rows: Any, count: int, dtype: type) -> np.ndarray:
    """Rows as a (count, k) array of its own; rows of different lengths are an error."""
    if hasattr(rows, "detach"):  # a torch tensor, without importing torch
        rows = rows.detach().cpu().float().numpy()
    try:
        rows = rows if isinstance(rows, np.ndarray) else [() if isinstance(row, str) else list(row) for row in rows]
        lengths = {len(row) for row in rows}
        grid: np.ndarray = np.array([] if len(lengths) > 1 else rows, dtype=dtype)
    except (TypeError, ValueError):
        raise KitError(where, f"{count} rows, one a question", f"{rows!r:.60}") from None
    if len(lengths) > 1:
        raise KitError(where, "rows of one length (missing cells as '' and NaN)", f"lengths {sorted(lengths)}")
    if dtype is np.str_:
        for one in (one for row in rows for one in (row.tolist() if isinstance(row, np.ndarray) else row)):
            _check_id(where, str(one) if type(one) is int else one, empty=True)
    if count == 0:
        grid = grid.reshape(0, grid.shape[1] if grid.ndim == 2 else 0)
    if grid.ndim != 2 or len(grid) != count:
        raise KitError(where, f"{count} rows, one a question", f"an array of shape {grid.shape}")
    return grid


def _first_repeated(ids: Sequence[str]) -> str:
    return next(f"{one!r} twice" for one, count in Counter(ids).items() if count > 1)
