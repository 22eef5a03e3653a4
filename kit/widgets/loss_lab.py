"""The explorer of losses: a student's scores moved by hand against a teacher's, gradients, and steps of an optimiser.

It wires controls to kit.widgets.loss_views (numbers), loss_pictures (figures) and loss_pages (HTML).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from kit.losses import LOSSES
from kit.types import KitError
from kit.widgets.explorer import Explorer, labelled_choice, labelled_slider, throttled
from kit.widgets.figure_view import FigureView
from kit.widgets.loss_bench import LossBench, benches, with_scores
from kit.widgets.loss_gradients import OPTIMISERS, checked_loss
from kit.widgets.loss_pages import export_html, sentences_html, still_html
from kit.widgets.loss_pictures import compared_figure, gradient_figure, losses_html, path_figure, told
from kit.widgets.loss_views import COMPARED, PRESETS, VIEWS, gradient, path, paths
from kit.widgets.score_sliders import ScoreSliders, bounds_of

if TYPE_CHECKING:
    import pandas

SETTINGS = ("loss", "temperature", "teacher_temperature", "optimiser", "rate", "steps")


class LossLab(Explorer):
    """A workbench for the losses of `kit.LOSSES` on one question's scores at a time, at most 12 passages.

    `teacher` is (k,) or (q, k) scores or a ScoreTable, `student` alike (all 0 where not given); `labels` name the
    passages; `losses` are those compared side by side. Arrows and bars show the gradient; a step goes against it.

    `student` and `loss` are the present scores and loss, to be set too; `step(n)` moves the scores, `compare()` tells
    where each loss would take them.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any = None,
        *,
        labels: Sequence[str] | Sequence[Sequence[str]] | None = None,
        losses: Sequence[str] | None = None,
    ) -> None:
        self._benches = benches(teacher, student, labels)
        compared = COMPARED if losses is None else tuple(losses)
        for loss in compared:
            checked_loss(loss)
        if not compared:
            raise KitError("LossLab: losses", "at least one name of a loss", "none")
        self._start = self._bench = next(iter(self._benches.values()))
        self.controls = _controls(list(self._benches), compared)
        self.sliders = ScoreSliders(self._bench.labels, self._bench.teacher, self._bench.student)
        widths = {"gradient": 660, "compared": 660, "path": 440}
        self._pictures = {name: FigureView(least_width=width) for name, width in widths.items()}
        self._note, self._told, self._losses = (ipywidgets.HTML() for _ in range(3))
        names = ("one step", "all steps", "to the start")
        self._buttons = {name: ipywidgets.Button(description=name) for name in names}
        super().__init__("Loss lab", self._parts())
        self._wire()
        self._restart()

    @property
    def student(self) -> np.ndarray:
        """The student's present scores (k,); setting them makes them the start."""
        return self._bench.student.copy()

    @student.setter
    def student(self, scores: Any) -> None:
        self._start = self._bench = with_scores(self._bench, scores)
        self._show_scores()
        self._refresh()

    @property
    def loss(self) -> str:
        """The name of the loss whose gradient the arrows show; can be set."""
        return self.controls["loss"].value

    @loss.setter
    def loss(self, name: str) -> None:
        checked_loss(name)
        self.controls["loss"].value = name

    @property
    def bench(self) -> LossBench:
        """The scores and settings as they are now."""
        return replace(self._bench, **{name: self.controls[name].value for name in SETTINGS})

    def gradient(self) -> np.ndarray:
        """The present loss's gradient with respect to the student's scores (k,)."""
        return gradient(self.bench).gradient[0]

    def step(self, n: int = 1) -> np.ndarray:
        """The student's scores (k,) after `n` steps of the present loss and optimiser; the sliders move there."""
        self._bench = replace(self._bench, student=path(self.bench, steps=n).scores[-1])
        self._show_scores()
        self._refresh()
        return self.student

    def compare(self) -> pandas.DataFrame:
        """One row a passage: teacher, start (the present scores), and the scores after the steps under each loss."""
        import pandas

        after = {loss: one.scores[-1] for loss, one in self._paths().items()}
        columns = {"teacher": self._bench.teacher, "start": self._bench.student, **after}
        return pandas.DataFrame(columns, index=pandas.Index(self._bench.labels, name="passage"))

    def choose(self, **changes: Any) -> None:
        """Set controls by name: question, preset, loss, temperature, teacher_temperature, optimiser, rate, steps,
        compared (names of losses), view."""
        for name, value in changes.items():
            if name not in self.controls:
                raise KitError("choose", f"one of {', '.join(self.controls)}", repr(name))
            control = self.controls[name]
            options = getattr(control, "options", None)
            wanted = value if name == "compared" else [value]
            if options is not None and (not wanted or not set(wanted) <= set(options)):
                raise KitError(name, f"of {', '.join(map(repr, options))}", repr(value))
            control.value = tuple(value) if name == "compared" else value

    def still(self) -> str:
        """The present state as static pictures and tables."""
        return still_html(self.bench, self.controls["compared"].value, self.controls["view"].value)

    def export_body(self) -> str:
        """The present state, with presets and losses to switch between."""
        chosen = self._benches[self.controls["question"].value]
        settings = {name: self.controls[name].value for name in SETTINGS}
        return export_html(
            self.bench, replace(chosen, **settings), self.controls["compared"].value, self.controls["view"].value
        )

    def _paths(self) -> dict[str, Any]:
        return paths(self.bench, self.controls["compared"].value)

    def _wire(self) -> None:
        soon, later = throttled(self._refresh_gradient), throttled(self._refresh_steps, per_second=2)

        def changed(change: Any = None) -> None:
            soon()
            later()

        for name, control in self.controls.items():
            if name in ("question", "preset"):
                control.observe(lambda change: self._restart(), "value")
            else:
                control.observe(changed, "value")
        self.sliders.observe(lambda change: None if self._held else self._moved(changed), ["scores", "counted"])
        self._buttons["one step"].on_click(lambda button: self.step(1))
        self._buttons["all steps"].on_click(lambda button: self.step(self.controls["steps"].value))
        self._buttons["to the start"].on_click(lambda button: self._back())

    def _restart(self) -> None:
        """Begin anew from the question and the preset that are chosen."""
        preset = PRESETS[self.controls["preset"].value]
        self._start = preset.made(self._benches[self.controls["question"].value])
        self._note.value = sentences_html([preset.note])
        self._back()

    def _back(self) -> None:
        self._bench = self._start
        self._show_scores()
        self._refresh()

    def _moved(self, changed: Any) -> None:
        """A slider or a check box was moved by hand."""
        scores, counted = np.array(self.sliders.scores), np.array(self.sliders.counted)
        self._bench = replace(self._bench, student=scores, mask=counted)
        low, high = self.sliders.bounds
        if scores.min() < low or scores.max() > high:  # never narrower: the thumb would slip from under the hand
            self.sliders.bounds = bounds_of([low, high], scores)
        changed()

    def _show_scores(self) -> None:
        with self._hold():
            self.sliders.show(self._bench.labels, self._bench.teacher, self._bench.student, self._bench.mask)

    def _refresh(self) -> None:
        self._refresh_gradient()
        self._refresh_steps()

    def _refresh_gradient(self) -> None:
        """What follows a hand on a slider: the arrows and the bars."""
        bench, losses = self.bench, self.controls["compared"].value
        self.sliders.push = (-gradient(bench).gradient[0]).tolist()
        self._show("gradient", gradient_figure(bench, losses), "gradients of the compared losses, a bar a passage")

    def _refresh_steps(self) -> None:
        """What takes steps under every compared loss, and comes less often."""
        bench, after, view = self.bench, self._paths(), self.controls["view"].value
        self._told.value = sentences_html(told(bench, after))
        self._show("compared", compared_figure(bench, after, view), f"{view} after {bench.steps} steps, by loss")
        way = after.get(bench.loss) or path(bench)
        self._show("path", path_figure(bench, way), f"scores and loss step by step under {bench.loss}")
        self._losses.value = losses_html(bench, after)

    def _show(self, name: str, figure: Any, label: str) -> None:
        self._pictures[name].label = label
        self._pictures[name].show(figure)

    def _parts(self) -> list[ipywidgets.Widget]:
        first = [self.controls[name] for name in ("question", "preset", "teacher_temperature", "temperature", "loss")]
        more = [self.controls[name] for name in ("optimiser", "rate", "steps", "view", "compared")]
        grid = {"grid_template_columns": "repeat(auto-fit, minmax(min(400px, 100%), 1fr))", "width": "100%"}
        return [
            ipywidgets.GridBox(first, layout=grid),
            self._note,
            self.sliders,
            ipywidgets.HBox(list(self._buttons.values()), layout={"flex_flow": "row wrap"}),
            self._told,
            ipywidgets.HTML("<h4>Gradients</h4>"),
            self._pictures["gradient"],
            ipywidgets.HTML("<h4>Some steps on the scores alone</h4>"),
            ipywidgets.GridBox(more, layout=grid),
            self._pictures["compared"],
            self._pictures["path"],
            self._losses,
        ]


def _controls(questions: list[str], compared: Sequence[str]) -> dict[str, Any]:
    style = {"description_width": "9em"}
    return {
        "question": labelled_choice("question", questions),
        "preset": labelled_choice("start from", list(PRESETS)),
        "loss": labelled_choice("loss", list(LOSSES), "kl"),
        "teacher_temperature": labelled_slider("teacher temp.", 0.01, 100.0, 0.05, 1.0, log=True),
        "temperature": labelled_slider("student temp.", 0.01, 100.0, 0.05, 1.0, log=True),
        "optimiser": labelled_choice("optimiser", list(OPTIMISERS)),
        "rate": labelled_slider("rate", 0.001, 100.0, 0.05, 1.0, log=True),
        "steps": labelled_slider("steps", 1, 200, 1, 20),
        "view": labelled_choice("show", list(VIEWS)),
        "compared": ipywidgets.SelectMultiple(
            options=list(LOSSES), value=tuple(compared), description="compare", rows=6, style=style,
            layout={"width": "auto", "min_width": "18em", "max_width": "100%"},
        ),
    }  # fmt: skip
