"""The explorer of score distributions: teacher, student and other tables side by side, and a loss between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.losses import LOSSES
from kit.types import Passage, Question, ScoreTable
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Control, Number
from kit.widgets.packed import packed
from kit.widgets.score_data import evenly, score_data

if TYPE_CHECKING:
    import pandas

CELLS = 100_000  # scores that a page holds: 0.4 MB
TITLE = 60  # characters of a question in the list


class ScoreDistributions(Explorer):
    """Any number of score tables over the same questions: how they spread, agree, and pull at each other.

    All is on the cells that the teacher scores, in its order. `teacher` and `student` are names of tables, the first
    and the last unless named. `gold` is {question id: passage ids}, or the passages that hold an answer. A step of the
    loss goes against the gradient that is drawn. With more than 100,000 scores the page holds some of the questions,
    evenly chosen, and says so; `numbers()` is always over all.

    `state` and `set(...)`: question (an id, or None for all), show ("scores" or "shares"), teacher, student,
    teacher_temperature, temperature (of every other table), loss.
    """

    modules = ("losses.js", "scores.js")

    def __init__(
        self,
        tables: Mapping[str, ScoreTable],
        questions: Sequence[Question],
        corpus: Mapping[str, Passage],
        *,
        teacher: str | None = None,
        student: str | None = None,
        gold: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.scores = score_data(
            tables, [questions] if isinstance(questions, Question) else list(questions), corpus, gold
        )
        names = list(tables)
        cells = self.scores.passages.shape[1] * len(names)
        self._rows = evenly(len(self.scores.questions), max(1, CELLS // cells))
        listed = [(f"{one.id}: {_cut(one.text)}", one.id) for one in self.scores.questions]
        controls: list[Control] = [
            Choice("question", "question", [("all questions", None), *listed], None),
            Choice("show", "show", ["scores", "shares"], "scores", hint="shares: softmax of scores over temperature"),
            Choice("teacher", "teacher", names, names[0] if teacher is None else teacher),
            Choice("student", "student", names, names[-1] if student is None else student),
            Number("teacher_temperature", "teacher temperature", 0.01, 100.0, 0.05, 1.0, log=True),
            Number("temperature", "student temperature", 0.01, 100.0, 0.05, 1.0, log=True),
            Choice("loss", "loss", list(LOSSES), "kl"),
        ]
        super().__init__("Score distributions", controls, self.scores.for_page(self._rows))
        self.observe(self._hold_question, "state")

    def numbers(self) -> pandas.DataFrame:
        """One row a table: scored, entropy, margin, on_top, kendall, spearman, overlap, loss (`ScoreData.numbers`)."""
        import pandas

        return pandas.DataFrame(self._numbers()).set_index("table")

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The numbers of each table."""
        rows = self._numbers()
        over = (
            "this question"
            if self.state["question"] is not None
            else f"means over {len(self.scores.questions)} questions"
        )
        cells = [[str(row["table"]), *(f"{value:.3g}" for value in list(row.values())[1:])] for row in rows]
        return f"Each table on the teacher's passages: {over}", list(rows[0]), cells

    def _numbers(self) -> list[dict[str, Any]]:
        state = self.state
        chosen = state["question"]
        rows = range(len(self.scores.questions)) if chosen is None else [self.scores.row_of(chosen)]
        return self.scores.numbers(
            list(rows), state["teacher"], state["loss"], state["temperature"], state["teacher_temperature"]
        )

    def _hold_question(self, change: dict[str, Any]) -> None:
        """Send the page a question that it does not hold."""
        chosen = change["new"]["question"]
        row = None if chosen is None else self.scores.row_of(chosen)
        if row is not None and row not in self._rows:
            self._rows = sorted([*self._rows, row])
            self._data = packed(self.scores.for_page(self._rows))


def _cut(text: str) -> str:
    return text if len(text) <= TITLE else text[: TITLE - 1] + "…"
