"""A training for its page: figures by step, thinned, and the scores of some questions at some of its steps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kit.train import TrainingHistory
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets.score_data import evenly, margins

MOST_POINTS = 300  # of a line: more cannot be told apart
MOST_MOMENTS = 30  # steps whose scores are kept
MOST_QUESTIONS = 24  # of which each passage's score is kept
CELLS = 8_000  # scores in a page: 32 kB
BINS = 30
BY_STEP = ("loss", "agreement")  # the figures of each step that are drawn
LISTED = 20  # rows of the table


def window_of(count: int) -> int:
    """Of how many steps the mean is drawn: a twentieth of them, between 5 and 200."""
    return min(200, max(5, count // 20))


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """The mean of each value and those before it, `window` in all: (n,).

    >>> running_mean([1.0, 3.0, 5.0, 7.0], 2).tolist()
    [1.0, 2.0, 4.0, 6.0]
    """
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def lines_of(history: TrainingHistory) -> list[dict[str, Any]]:
    """A line for each figure: name, kind ("loss", "share", "other"), steps and values (n,), at most 300 points.

    Figures of each step are noisy: their `means` (n,) are over the last `window` steps.

    >>> [(line["name"], line["kind"]) for line in lines_of(TrainingHistory([{"step": 1, "loss": 2.0}]))]
    [('loss', 'loss')]
    """
    lines = []
    for name in BY_STEP:
        steps, values = _figure(history.losses, name)
        if values:
            window = window_of(len(values))
            kept = evenly(len(values), MOST_POINTS)
            means = running_mean(values, window)[kept].astype(np.float32)
            kind = "loss" if name == "loss" else "share"
            lines.append({**_line(name, kind, steps, values, kept), "means": means, "window": window})
    for name in dict.fromkeys(name for row in history.evaluations for name in row if name != "step"):
        steps, values = _figure(history.evaluations, name)
        kind = "share" if all(0 <= value <= 1 for value in values) else "other"
        lines.append(_line(name, kind, steps, values, evenly(len(values), MOST_POINTS)))
    return lines


def _figure(rows: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    present = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [step for step, _ in present], [value for _, value in present]


def _line(name: str, kind: str, steps: Sequence[float], values: Sequence[float], kept: Sequence[int]) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "steps": np.array(steps, dtype=np.int32)[kept],
        "values": np.array(values, dtype=np.float32)[kept],
    }  # fmt: skip


def status_line(history: TrainingHistory, seconds: float | None = None) -> str:
    """The last figures in one line of plain text.

    >>> status_line(TrainingHistory([{"step": 7, "loss": 0.5}], [{"step": 7, "recall@1": 0.25}]), 3.2)
    'step 7 · loss 0.500 (mean of the last 5) · recall@1 0.250 · 3 s'
    """
    steps, losses = _figure(history.losses, "loss")
    if not losses:
        return "no step yet"
    window = window_of(len(losses))
    parts = [f"step {steps[-1]:g}", f"loss {running_mean(losses, window)[-1]:.3f} (mean of the last {window})"]
    if history.evaluations:
        parts += [f"{name} {value:.3f}" for name, value in history.evaluations[-1].items() if name != "step"]
    if seconds is not None:
        parts.append(f"{seconds:.0f} s")
    return " · ".join([*parts, *(["interrupted"] if history.interrupted else [])])


def table_of(history: TrainingHistory) -> tuple[list[str], list[list[str]]]:
    """Header and rows of texts: each evaluation, or without any the loss at some steps.

    >>> table_of(TrainingHistory([{"step": 1, "loss": 2.0}], [{"step": 1, "em": 0.5}]))
    (['step', 'loss', 'em'], [['1', '2', '0.5']])
    """
    steps, losses = _figure(history.losses, "loss")
    if not losses:
        return ["step", "loss"], []
    means = dict(zip(steps, running_mean(losses, window_of(len(losses))).tolist(), strict=True))
    rows = history.evaluations or [{"step": steps[n]} for n in evenly(len(steps), LISTED)]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    values = [[means.get(row["step"]), *(row.get(name) for name in names)] for row in rows]
    cells = [
        [f"{row['step']:g}", *("" if one is None else f"{one:.4g}" for one in line)]
        for row, line in zip(rows, values, strict=True)
    ]
    return ["step", "loss", *names], cells


class WatchedScores:
    """Scores of some questions' passages at some steps of a training; more than 30 are thinned, the last one stays.

    `table()` gives (values, gold): a `ScoreTable`, an array (q, k) or {name: one of these}, and gold (q, k), True for a
    gold passage; the same questions and passages each time. `questions` and `corpus` give names. Raises `KitError` if
    it gives something else.
    """

    def __init__(
        self,
        table: Callable[[], tuple[Any, Any]],
        questions: Sequence[Question] = (),
        corpus: Mapping[str, Passage] | None = None,
    ) -> None:
        self._table = table
        self._grid: ScoreTable | None = None
        values, gold = self._named()
        self._grid = next((one for one in values.values() if isinstance(one, ScoreTable)), None)
        self.gold = np.asarray(gold, dtype=bool)
        if self.gold.ndim != 2 or not self.gold.size:
            raise KitError("TrainingView, table", "gold of shape (q, k)", f"shape {self.gold.shape}")
        self.names = list(values)
        count, passages = self.gold.shape
        most = CELLS // (passages * len(self.names) * MOST_MOMENTS)
        self.rows = evenly(count, max(1, min(MOST_QUESTIONS, most)))
        texts = {one.id: one.text for one in questions}
        ids = self._grid.question_ids if self._grid is not None else [f"question {n + 1}" for n in range(count)]
        self.questions = [(f"{ids[n]}: {texts[ids[n]]}" if ids[n] in texts else ids[n], ids[n]) for n in self.rows]
        self.labels = [self._labels(n, corpus or {}) for n in self.rows]
        self.moments: list[dict[str, Any]] = []
        self._keep(0, self._arrays(values))

    def add(self, step: int) -> None:
        """Take in the scores as they are at this step."""
        self._keep(step, self._arrays(self._named()[0]))

    def clear(self) -> None:
        """Forget all steps: another training begins."""
        self.moments = []

    def for_page(self) -> dict[str, Any]:
        """What js/training.js draws; the arrays have a place for each step first."""
        kept = {key: {name: [one[key][name] for one in self.moments] for name in self.names}
                for key in ("scores", "bars", "edges", "on_top")}  # fmt: skip
        return {
            "steps": [one["step"] for one in self.moments], "names": self.names, "of": len(self.gold),
            "questions": [name for _, name in self.questions], "labels": self.labels, "gold": self.gold[self.rows],
            **{key: {name: np.array(rows, np.float32) for name, rows in named.items()} for key, named in kept.items()},
        }  # fmt: skip

    def _labels(self, row: int, corpus: Mapping[str, Passage]) -> list[str]:
        if self._grid is None:
            return [f"passage {n + 1}" for n in range(self.gold.shape[1])]
        ids = self._grid.passage_ids[row].tolist()
        return [corpus[name].title or name if name in corpus else name for name in ids]

    def _named(self) -> tuple[dict[str, Any], Any]:
        given = self._table()
        if not isinstance(given, tuple) or len(given) != 2:
            raise KitError("TrainingView, table", "a function that gives (values, gold)", type(given).__name__)
        values, gold = given
        if isinstance(values, ScoreTable):
            return {values.name: values}, gold
        return dict(values) if isinstance(values, Mapping) else {"scores": values}, gold

    def _arrays(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        if list(values) != self.names:
            raise KitError("TrainingView, table", f"the tables {self.names} each time", list(values))
        arrays = {}
        for name, one in values.items():
            aligned = one.aligned_to(self._grid).values if isinstance(one, ScoreTable) and self._grid else one
            arrays[name] = np.asarray(aligned, dtype=np.float32)
            if arrays[name].shape != self.gold.shape:
                raise KitError(f"TrainingView, table {name!r}", f"shape {self.gold.shape}", arrays[name].shape)
        return arrays

    def _keep(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        moment: dict[str, Any] = {"step": step, "scores": {}, "bars": {}, "edges": {}, "on_top": {}}
        for name, values in arrays.items():
            finite = np.isfinite(values)
            edges = np.histogram_bin_edges(values[finite], BINS)
            kinds = [np.histogram(values[finite & (self.gold == kind)], edges)[0] for kind in (True, False)]
            apart = margins(values, self.gold)
            moment["scores"][name] = values[self.rows]
            moment["bars"][name] = [counts / max(1, counts.sum()) for counts in kinds]
            moment["edges"][name] = edges[[0, -1]]
            moment["on_top"][name] = np.mean(apart[~np.isnan(apart)] > 0) if (~np.isnan(apart)).any() else np.nan
        if self.moments and self.moments[-1]["step"] == step:
            self.moments.pop()
        self.moments.append(moment)
        if len(self.moments) > MOST_MOMENTS:
            self.moments = [*self.moments[:-1:2], self.moments[-1]]
