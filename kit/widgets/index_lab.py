"""The index lab: kinds of index measured on the vectors at hand, and what a whole corpus would take."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from kit.bench import WIKIPEDIA, describe_machine, index_sizes
from kit.bench.index_measures import Measured, Trial, checked_vectors, measured_indexes, usual_specs
from kit.bench.index_plan import RULES, Planned, family, planned_indexes
from kit.types import KitError
from kit.widgets.base import Explorer
from kit.widgets.controls import Choice, Control, Number, Text
from kit.widgets.packed import packed

MOST = 100  # passages on the slider of k
LARGEST_CORPUS = 10**10  # of a plan
DIMENSIONS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)  # of a plan
RECALLS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)


class IndexLab(Explorer):
    """Recall, time and memory of FAISS's indexes on `vectors` (count, d), searched with `question_vectors` (x, d).

    `specs` are FAISS factory strings (default: some that suit the count). `measure()` measures and returns what the
    button's run shows: it goes on in the background there, and can be stopped after each index. `measured` are the
    results, `problems` the specs that could not be built, `plan()` the plan for a whole corpus.

    `state` and `set(...)`: specs, nprobe, ef_search (texts, parted by blanks), k, together, least_recall (only indexes
    with that recall are listed and planned with), count and dimension (of the plan).
    """

    modules = ("index_lab.js",)

    def __init__(
        self,
        vectors: Any,
        question_vectors: Any,
        *,
        ids: Sequence[str] | None = None,
        specs: Sequence[str] | None = None,
        k: int = 10,
    ) -> None:
        self._vectors, self._questions = checked_vectors(vectors, question_vectors, k)
        if isinstance(specs, str):
            raise KitError("specs", "a list of factory strings", f"the string {specs!r}")
        count, dimension = self._vectors.shape
        if ids is not None and len(ids) != count:
            raise KitError("ids", f"one for each of the {count} vectors", len(ids))
        trial = Trial(tuple(usual_specs(count, dimension) if specs is None else specs), k)
        self._ids, self._stop, self._busy = ids, threading.Event(), threading.Lock()
        self.worker: threading.Thread | None = None  # the last measuring that the button began
        self.measured: list[Measured] = []
        self.problems: list[str] = []
        self._k, self._done = k, 0.0
        self._status = f"{count:,} vectors of {dimension}, {len(self._questions)} questions"
        self._of = self._status
        recalls = [("any", 0.0), *((f"at least {share:.0%}", share) for share in RECALLS[1:])]
        controls: list[Control] = [
            Text("specs", "indexes", " ".join(trial.specs), _checked_specs, "FAISS factory strings, parted by blanks"),
            Text(
                "nprobe",
                "nprobe",
                " ".join(map(str, trial.nprobes)),
                _numbers("nprobe"),
                "cells of an IVF index to look into",
            ),
            Text(
                "ef_search",
                "efSearch",
                " ".join(map(str, trial.ef_searches)),
                _numbers("efSearch"),
                "breadth of an HNSW search",
            ),
            Number("k", "k (passages)", 1, max(min(MOST, count), k, 2), 1, k),
            Choice("together", "questions", [("all together", True), ("one by one", False)], True),
            Choice("least_recall", "recall", recalls, 0.9),
            Number("count", "passages", 1000, LARGEST_CORPUS, 0.05, WIKIPEDIA, log=True, place="plan"),
            Choice("dimension", "dimension", sorted({*DIMENSIONS, dimension}), 768, place="plan"),
        ]
        super().__init__("Index lab", controls, self._for_page())

    def measure(self) -> list[Measured]:
        """Measure what the state says, and return it; the pictures grow index by index.

        `KitError` if none of the specs can be built.
        """
        trial = self.trial()
        if not self._busy.acquire(blocking=False):
            raise KitError("measure", "one measuring at a time (stop() ends it)", "a second")
        try:
            self._stop.clear()
            self.measured, self.problems, self._k, self._done = [], [], trial.k, 0.0
            self._go_through(trial)
        finally:
            self._busy.release()
            self._show()
        if self.problems and not self.measured:
            raise KitError("specs", "one at least that can be built", "; ".join(self.problems))
        return self.measured

    def stop(self) -> None:
        """Let the measuring end after the index that is being measured."""
        self._stop.set()

    def trial(self) -> Trial:
        """What the state asks for."""
        state = self.state
        nprobes, ef_searches = _numbers("nprobe")(state["nprobe"]), _numbers("efSearch")(state["ef_search"])
        return Trial(tuple(state["specs"].split()), state["k"], nprobes, ef_searches, state["together"])

    def plan(self) -> list[Planned]:
        """The plan for the corpus that the state names: sizes computed, times extrapolated."""
        state = self.state
        return planned_indexes(
            int(state["count"]), state["dimension"], self.measured, least_recall=state["least_recall"]
        )

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """What was measured with enough recall."""
        kept = [one for one in self.measured if one.recall >= self.state["least_recall"]]
        rows = [[one.name, f"{one.recall:.1%}", f"{one.milliseconds:.3g}", f"{one.bytes:,}"] for one in kept]
        return self._status, ["index", f"recall@{self._k}", "ms a question", "bytes"], rows

    def answer(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin to measure in the background, so that the page stays alive; or stop."""
        if name == "stop":
            self.stop()
        elif name == "measure":
            self.trial()
            if self._busy.locked():
                raise KitError("measure", "one measuring at a time (stop ends it)", "a second")
            self.worker = threading.Thread(target=self._measured_quietly, name="index lab", daemon=True)
            self.worker.start()
        else:
            super().answer(name, request)
        return {}

    def close(self) -> None:
        """Stop measuring, and close the lab."""
        if hasattr(self, "_stop"):  # its arguments may have been refused
            self.stop()
        super().close()

    def _measured_quietly(self) -> None:
        try:
            self.measure()
        except KitError as error:
            self._status = str(error)
            self._show()

    def _go_through(self, trial: Trial) -> None:
        how = "all together" if trial.together else "one by one"
        done = f"{self._of}, searched {how}, on {describe_machine(torch.device('cpu'))}"
        for step in measured_indexes(self._vectors, self._questions, trial, self._ids):
            self.measured += step.measured
            self.problems += [step.problem] if step.problem else []
            self._done = step.done
            stopped = step.coming and self._stop.is_set()
            self._status = (
                f"stopped before {step.coming}" if stopped else f"measuring {step.coming} …" if step.coming else done
            )
            self._show()
            if stopped:
                return

    def _show(self) -> None:
        self._data = packed(self._for_page())

    def _for_page(self) -> dict[str, Any]:
        dimensions = sorted({*DIMENSIONS, self._vectors.shape[1]})
        return {
            "measured": [{**asdict(one), "name": one.name, "family": family(one.spec)} for one in self.measured],
            "problems": self.problems, "status": self._status, "done": self._done, "busy": self._busy.locked(),
            "k": self._k, "rules": RULES, "sizes": {str(one): _sizes(one) for one in dimensions},
        }  # fmt: skip


def _sizes(dimension: int) -> list[dict[str, Any]]:
    """The planned indexes at a dimension; a size is `fixed` + `each` x the count, in gigabytes."""
    one, many = index_sizes(1_000, dimension), index_sizes(1_001_000, dimension)
    rows = []
    for small, large in zip(one, many, strict=True):
        each = (large.value - small.value) / 1e6
        kind = "" if small.name.startswith("vectors") else family(small.name)
        rows.append(
            {"spec": small.name, "family": kind, "note": small.note, "each": each, "fixed": small.value - 1_000 * each}
        )
    return rows


def _checked_specs(text: str) -> tuple[str, ...]:
    return Trial(tuple(text.split())).specs


def _numbers(name: str) -> Any:
    """A function that reads whole numbers from a text, parted by blanks or commas.

    >>> _numbers("nprobe")("1, 4 16")
    (1, 4, 16)
    """

    def read(text: str) -> tuple[int, ...]:
        words = text.replace(",", " ").split()
        wrong = [word for word in words if not word.isdecimal() or int(word) < 1]
        if wrong or not words:
            raise KitError(name, "whole numbers of at least 1, as 1 4 16", repr(wrong[0]) if wrong else "none")
        return tuple(map(int, words))

    return read
