"""The index lab: kinds of index measured on the vectors at hand, and what a whole corpus would take.

It wires controls to kit.widgets.index_measures (the measuring), index_plan (the plan) and index_views (what is shown).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets
import torch

from kit.bench import WIKIPEDIA, describe_machine
from kit.types import KitError
from kit.widgets.explorer import LABEL_WIDTH, Explorer, StatusLine, labelled_choice, labelled_slider
from kit.widgets.figure_view import FigureView
from kit.widgets.index_measures import Measured, Trial, checked_vectors, measured_indexes, usual_specs
from kit.widgets.index_plan import Planned, planned_indexes
from kit.widgets.index_views import lab_html, measured_table, plan_html, problems_html, recall_against_time
from kit.widgets.packed_html import PackedHtml

MOST = 100  # passages on the slider of k
WIDE = {"width": "auto", "max_width": "60em"}
LARGEST_CORPUS, LARGEST_DIMENSION = 10**10, 10**5  # of a plan


class IndexLab(Explorer):
    """Recall, time and memory of FAISS's indexes on `vectors` (count, d), searched with `question_vectors` (x, d).

    `specs` are FAISS factory strings (default: some that suit the count). `measure()` measures and returns
    what the button's run shows: it goes on in the background there, and can be stopped after each index. `measured`
    are the results, `problems` the specs that could not be built, `plan()` the plan for a whole corpus.
    """

    def __init__(
        self,
        vectors: Any,
        question_vectors: Any,
        *,
        ids: Sequence[str] | None = None,
        specs: Sequence[str] | None = None,
        k: int = 10,
    ) -> None:
        self._vectors, self._asked = checked_vectors(vectors, question_vectors, k)
        if isinstance(specs, str):
            raise KitError("specs", "a list of factory strings", f"the string {specs!r}")
        count, dimension = self._vectors.shape
        if ids is not None and len(ids) != count:
            raise KitError("ids", f"one for each of the {count} vectors", len(ids))
        self._ids, self._stop, self._busy = ids, threading.Event(), threading.Lock()
        self.worker: threading.Thread | None = None  # the last measuring that the button began
        self.measured: list[Measured] = []
        self.problems: list[str] = []
        self._told_of = ""
        self.controls = _controls(usual_specs(count, dimension) if specs is None else specs, k, min(MOST, count))
        self._picture = FigureView(label="Recall against time of each index, with memory as size", least_width=460)
        names = ("table", "problems", "plan")
        self._told = {name: PackedHtml() if name in ("table", "plan") else ipywidgets.HTML() for name in names}
        self._told["status"] = self._status = StatusLine()
        super().__init__("Index lab", self._parts())
        self._wire()
        self._show()

    def measure(self) -> list[Measured]:
        """Measure what the controls say, and return it; the pictures grow index by index.

        `KitError` where none of the specs can be built.
        """
        trial = self.trial()
        if not self._busy.acquire(blocking=False):
            raise KitError("measure", "one measuring at a time (Stop ends it)", "a second")
        try:
            self._begin()
            self._go_through(trial)
        finally:
            self._busy.release()
            self._end()
        if self.problems and not self.measured:
            raise KitError("specs", "one at least that can be built", "; ".join(self.problems))
        return self.measured

    def stop(self) -> None:
        """Let the measuring end after the index that is being measured."""
        self._stop.set()

    def trial(self) -> Trial:
        """What the controls ask for."""
        controls = self.controls
        return Trial(
            tuple(controls["specs"].value.split()),
            controls["k"].value,
            numbers_in("nprobe", controls["nprobe"].value),
            numbers_in("efSearch", controls["ef_search"].value),
            controls["together"].value,
        )

    def plan(self) -> list[Planned]:
        """The plan for the corpus that the controls name: sizes computed, times extrapolated."""
        controls = self.controls
        count, dimension = controls["count"].value, controls["dimension"].value
        return planned_indexes(count, dimension, self.measured, least_recall=controls["least_recall"].value)

    def still(self) -> str:
        """The results and the plan as static pictures and tables."""
        controls = self.controls
        sizes = (self._k, controls["count"].value, controls["dimension"].value)
        return lab_html(self.measured, self.plan(), self.problems, self._told_of or self._at_hand(), sizes)

    def close(self) -> None:
        """Stop measuring, and close the lab with all that it holds."""
        if hasattr(self, "_stop"):  # not where its arguments were refused
            self.stop()
        super().close()

    @property
    def _k(self) -> int:
        """The k of what was measured."""
        return getattr(self, "_measured_k", self.controls["k"].value)

    def _begin(self) -> None:
        self._stop.clear()
        self.measured, self.problems = [], []
        self.controls["measure"].disabled, self.controls["stop"].disabled = True, False

    def _go_through(self, trial: Trial) -> None:
        self._measured_k = trial.k
        machine = describe_machine(torch.device("cpu"))
        how = "all together" if trial.together else "one by one"
        self._told_of = f"{self._at_hand()}, searched {how}, on {machine}"
        for step in measured_indexes(self._vectors, self._asked, trial, self._ids):
            self.measured += step.measured
            if step.problem:
                self.problems.append(step.problem)
            self.controls["progress"].value = step.done
            if step.measured or step.problem:
                self._show()
            if step.coming and self._stop.is_set():
                self._status.say(f"stopped before {step.coming}")
                return
            self._status.say(f"measuring {step.coming} …" if step.coming else self._told_of)

    def _end(self) -> None:
        self.controls["measure"].disabled, self.controls["stop"].disabled = False, True
        self._show()

    def _start(self) -> None:
        """Measure in the background, so that the page stays alive and Stop is heard."""
        self.trial()  # a mistake is told at once
        if self._busy.locked():
            raise KitError("measure", "one measuring at a time (Stop ends it)", "a second")
        self.worker = threading.Thread(target=self._status.attempt, args=(self.measure,), name="index lab", daemon=True)
        self.worker.start()

    def _show(self) -> None:
        self._picture.show(recall_against_time(self.measured, self._k))
        self._told["table"].value = measured_table(self.measured, self._k)
        self._told["problems"].value = problems_html(self.problems)
        self._show_plan()

    def _show_plan(self) -> None:
        controls = self.controls
        self._told["plan"].value = plan_html(self.plan(), controls["count"].value, controls["dimension"].value)

    def _at_hand(self) -> str:
        count, dimension = self._vectors.shape
        return f"{count:,} vectors of {dimension}, {len(self._asked)} questions"

    def _wire(self) -> None:
        controls = self.controls
        controls["measure"].on_click(lambda _: self._status.attempt(self._start))
        controls["stop"].on_click(lambda _: (self.stop(), self._status.say("stopping after this index …")))
        controls["specs"].observe(lambda _: self._fitting(), "value")
        for name in ("count", "dimension", "least_recall"):
            controls[name].observe(lambda _: self._status.attempt(self._show_plan), "value")
        self._fitting()
        self._status.say(f"{self._at_hand()}: press Measure")

    def _fitting(self) -> None:
        """nprobe and efSearch can be set where one of the specs has them."""
        specs = self.controls["specs"].value
        self.controls["nprobe"].disabled = "IVF" not in specs
        self.controls["ef_search"].disabled = not any(spec.startswith("HNSW") for spec in specs.split())

    def _parts(self) -> list[ipywidgets.Widget]:
        controls, row = self.controls, {"flex_flow": "row wrap", "align_items": "center", "width": "100%"}
        asked = ("specs", "nprobe", "ef_search", "k", "together")
        buttons = ipywidgets.HBox([controls[name] for name in ("measure", "stop", "progress")], layout=row)
        plan = ipywidgets.HTML('<h4 style="margin:.8em 0 .2em">Plan for a whole corpus (extrapolation)</h4>')
        planned = [controls[name] for name in ("count", "dimension", "least_recall")]
        seen = [self._told["status"], self._picture, self._told["table"], self._told["problems"]]
        return [*(controls[name] for name in asked), buttons, *seen, plan, *planned, self._told["plan"]]


def numbers_in(name: str, text: str) -> tuple[int, ...]:
    """The whole numbers in a text, parted by blanks or commas.

    >>> numbers_in("nprobe", "1, 4 16")
    (1, 4, 16)
    """
    words = text.replace(",", " ").split()
    wrong = [word for word in words if not word.isdecimal() or int(word) < 1]
    if wrong or not words:
        raise KitError(name, "whole numbers of at least 1, as 1 4 16", repr(wrong[0]) if wrong else "none")
    return tuple(map(int, words))


def _controls(specs: Sequence[str], k: int, most: int) -> dict[str, Any]:
    style = {"description_width": LABEL_WIDTH}
    trial = Trial(tuple(specs), k)
    texts = {
        "specs": ("indexes", " ".join(trial.specs), "FAISS factory strings, parted by blanks"),
        "nprobe": ("nprobe", " ".join(map(str, trial.nprobes)), "cells of an IVF index to look into"),
        "ef_search": ("efSearch", " ".join(map(str, trial.ef_searches)), "breadth of an HNSW search"),
    }
    controls: dict[str, Any] = {
        name: ipywidgets.Text(value=value, description=label, tooltip=hint, style=style, layout=WIDE)
        for name, (label, value, hint) in texts.items()
    }
    controls["k"] = labelled_slider("k (passages)", 1, max(most, k, 2), 1, k)
    controls["together"] = labelled_choice("questions", [("all together", True), ("one by one", False)])
    buttons = {"measure": ("Measure", False), "stop": ("Stop", True)}
    for name, (label, off) in buttons.items():
        controls[name] = ipywidgets.Button(description=label, disabled=off, layout={"width": "auto"})
    controls["measure"].button_style = "primary"
    controls["progress"] = ipywidgets.FloatProgress(
        value=0.0, min=0.0, max=1.0, description="", layout={"width": "14em"}
    )
    for name, label, value, top in (
        ("count", "passages", WIKIPEDIA, LARGEST_CORPUS), ("dimension", "dimension", 768, LARGEST_DIMENSION),
    ):  # fmt: skip
        controls[name] = ipywidgets.BoundedIntText(value=value, min=1, max=top, description=label, style=style)
    recalls = [(f"at least {share:.0%}", share) for share in (0.5, 0.8, 0.9, 0.95, 0.99)]
    controls["least_recall"] = labelled_choice("recall, measured", recalls, 0.9)
    return controls
