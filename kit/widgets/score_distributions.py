"""The explorer of score distributions: teacher, student and other tables side by side, and what a loss makes of them.

It wires controls to kit.widgets.score_views (numbers), score_pictures (figures) and score_pages (HTML).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from kit.losses import LOSSES
from kit.plots.style import LABEL
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.explorer import Explorer, labelled_choice, labelled_slider, throttled
from kit.widgets.figure_view import FigureView
from kit.widgets.score_pages import export_html, sentences_html, still_html
from kit.widgets.score_pictures import gradient_figure, heading, margin_figure, numbers_html, table_figure, told
from kit.widgets.score_views import AlignedScores, ScoreChoice, aligned_scores, named, numbers

if TYPE_CHECKING:
    import pandas

LISTED = 500  # questions in the dropdown: more would cost the page
LOWEST, HIGHEST = 0.01, 100.0  # temperatures


class ScoreDistributions(Explorer):
    """Any number of named score tables over the same questions: how they spread, agree, and pull at each other.

    `tables` are aligned to the teacher's cells (`ScoreTable.aligned_to`), in the order of rounds; `teacher` and
    `student` are names of tables, the first and the last unless given. `gold` is {question id: passage ids}, or the
    passages that hold an answer. A step of the loss goes against the gradient that is drawn.

    `choice` tells the present state, `choose(question=..., loss=...)` sets it, `numbers()` are the rows of the table.
    """

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
        if not isinstance(tables, Mapping) or not tables:
            raise KitError("ScoreDistributions", "tables as {name: ScoreTable}", type(tables).__name__)
        questions = [questions] if isinstance(questions, Question) else list(questions)
        names = list(tables)
        teacher = named(tables, names[0] if teacher is None else teacher, "teacher")
        student = named(tables, names[-1] if student is None else student, "student")
        self._given = (dict(tables), questions, corpus, gold)
        self._scores = self._aligned(teacher)
        self._points: list[list[str]] = []
        self.controls = _controls(names, questions, teacher, student)
        self._tables = [FigureView() for _ in names]
        self._margins, self._gradient = FigureView(), FigureView()
        self._told, self._numbers = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__("Score distributions", self._parts())
        later = throttled(self._refresh)
        for control in self.controls.values():
            control.observe(lambda change: None if self._held else later(), "value")
        self._margins.on_click(self._clicked)
        self._refresh()

    @property
    def choice(self) -> ScoreChoice:
        """What is looked at now."""
        return ScoreChoice(**{name: control.value for name, control in self.controls.items() if name != "teacher"})

    def choose(self, **changes: Any) -> None:
        """Set controls by name: question (an id, or None for all), show, loss, teacher, student, temperature,
        teacher_temperature."""
        with self._hold():
            for name, value in changes.items():
                if name not in self.controls:
                    raise KitError("choose", f"one of {', '.join(self.controls)}", repr(name))
                self._set(name, value)
        self._refresh()

    def numbers(self) -> pandas.DataFrame:
        """One row a table: scored, entropy, margin, on_top, kendall, spearman, overlap, loss (see `score_views`)."""
        import pandas

        return pandas.DataFrame(numbers(self._present(), self.choice)).set_index("table")

    def still(self) -> str:
        """The present state as static pictures and a table."""
        return still_html(self._present(), self.choice)

    def export_body(self) -> str:
        """The present state, with losses and teacher temperatures to switch between."""
        return export_html(self._present(), self.choice)

    def _set(self, name: str, value: Any) -> None:
        control = self.controls[name]
        if name == "question" and value is not None and value not in [v for _, v in control.options]:
            self._scores.row_of(value)  # a KitError where there is no such question
            control.options = [*control.options, (_listed(value, self._scores.questions[value]), value)]
        if isinstance(control, ipywidgets.Dropdown):
            values = [option[1] if isinstance(option, tuple) else option for option in control.options]
            if value not in values:
                raise KitError(name, f"one of {', '.join(map(repr, values))}", repr(value))
        control.value = value

    def _aligned(self, teacher: str) -> AlignedScores:
        tables, questions, corpus, gold = self._given
        return aligned_scores(tables, questions, corpus, teacher=teacher, gold=gold)

    def _present(self) -> AlignedScores:
        if self.controls["teacher"].value != self._scores.teacher:
            self._scores = self._aligned(self.controls["teacher"].value)
        return self._scores

    def _clicked(self, trace: int, point: int) -> None:
        self.choose(question=self._points[trace][point])

    def _parts(self) -> list[ipywidgets.Widget]:
        rows = [ipywidgets.HBox([control], layout={"flex_flow": "row wrap"}) for control in self.controls.values()]
        grid = {"grid_template_columns": "repeat(auto-fit, minmax(min(340px, 100%), 1fr))", "width": "100%"}
        return [
            ipywidgets.GridBox(rows, layout=grid),
            self._told,
            ipywidgets.GridBox(self._tables, layout=grid),
            ipywidgets.GridBox([self._gradient, self._margins], layout=grid),
            self._numbers,
        ]

    def _refresh(self) -> None:
        scores, choice = self._present(), self.choice
        names = list(dict.fromkeys([scores.teacher, choice.student, *scores.tables]))
        for view, name in zip(self._tables, names, strict=True):
            view.label = f"{choice.show} of {heading(scores, choice, name)}, gold passages apart"
            view.show(table_figure(scores, choice, name))
        figure, self._points = margin_figure(scores, choice)
        self._margins.label = "margins: gold minus the best other passage, over questions"
        self._margins.show(figure)
        self._gradient.label = f"gradient of {choice.loss} with respect to the student's scores"
        self._gradient.show(gradient_figure(scores, choice))
        self._told.value = sentences_html(told(scores, choice))
        self._numbers.value = numbers_html(scores, choice)


def _controls(names: list[str], questions: Sequence[Question], teacher: str, student: str) -> dict[str, Any]:
    listed = [("all questions", None), *((_listed(one.id, one.text), one.id) for one in questions[:LISTED])]
    return {
        "question": labelled_choice("question", listed),
        "show": labelled_choice("show", ["scores", "shares"]),
        "teacher": labelled_choice("teacher", names, teacher),
        "student": labelled_choice("student", names, student),
        "teacher_temperature": labelled_slider("teacher temp.", LOWEST, HIGHEST, 0.05, 1.0, log=True),
        "temperature": labelled_slider("student temp.", LOWEST, HIGHEST, 0.05, 1.0, log=True),
        "loss": labelled_choice("loss", list(LOSSES), "kl"),
    }


def _listed(question_id: str, text: str) -> str:
    return f"{question_id}: {text if len(text) <= 2 * LABEL else text[: 2 * LABEL - 1] + '…'}"
