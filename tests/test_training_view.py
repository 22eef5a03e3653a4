"""The view of a training: what is drawn, how often, and what a notebook keeps of it."""

from __future__ import annotations

import re
from itertools import pairwise

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from kit.train import Distillation, Optimisation, TrainingHistory, distil
from kit.types import KitError, ScoreTable
from kit.widgets import TrainingView
from kit.widgets import training_view as module
from kit.widgets.training_pictures import running_mean, spread_figure, thinned, told, training_figure, window_of


def rows(count: int, **further) -> list[dict[str, float]]:
    return [{"step": n + 1, "loss": 1 / (n + 1), "rate": 1e-3, **further} for n in range(count)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_figure_has_each_kind_in_its_place():
    evaluations = [{"step": 10, "recall@1": 0.4, "mean rank": 7.0}, {"step": 20, "recall@1": 0.6, "mean rank": 3.0}]
    figure = training_figure(rows(20, agreement=0.5), evaluations)
    where = {trace.name: trace.yaxis for trace in figure.data}
    assert where == {
        "loss of a step": "y", "loss, mean of the last 5": "y", "agreement, mean of the last 5": "y2",
        "recall@1": "y2", "mean rank": "y3",
    }  # fmt: skip
    recall = next(trace for trace in figure.data if trace.name == "recall@1")
    assert recall.x == (10, 20) and recall.y == (0.4, 0.6) and "markers" in recall.mode
    assert [note.text for note in figure.layout.annotations] == ["loss", "shares", "mean rank"]
    assert len(training_figure(rows(3)).layout.annotations) == 1


def test_the_mean_is_a_slow_loop_s_and_a_nan_free_line_s():
    values = np.random.default_rng(0).random(50).tolist()
    slow = [np.mean(values[max(0, n - 6) : n + 1]) for n in range(50)]
    assert running_mean(values, 7) == pytest.approx(slow)
    assert running_mean([], 5) == [] and (window_of(3), window_of(1000), window_of(10**6)) == (5, 50, 200)


def test_long_runs_are_thinned():
    figure = training_figure(rows(50_000))
    assert all(len(trace.x) <= 300 for trace in figure.data)
    assert figure.data[1].x[0] == 1 and figure.data[1].x[-1] == 50_000
    assert thinned([1, 2], [3, 4]) == ([1, 2], [3, 4])


def test_it_draws_the_first_step_and_then_when_the_time_has_come(clock):
    view, training, drawn = TrainingView(every=1.0, display=False), TrainingHistory(), []
    for number in range(9):  # 0.4 seconds a step
        training.losses.append({"step": number + 1, "loss": 1.0})
        view(training)
        if view.text.startswith(f"step {number + 1} "):
            drawn.append(number + 1)
        clock[0] += 0.4
    assert drawn == [1, 4, 7]


def test_a_new_training_begins_anew(clock):
    view = TrainingView(display=False)
    view(TrainingHistory(rows(3)))
    clock[0] += 0.1
    view(TrainingHistory(rows(1)))
    assert view.text.startswith("step 1 ")


def test_the_last_state_is_drawn_at_the_end_however_soon_it_comes(clock):
    view = TrainingView(every=60, display=False)
    training = TrainingHistory(rows(1))
    view(training)
    training.losses.extend([{"step": 2, "loss": 0.25}])
    view(training)
    assert view.text.startswith("step 1 ")
    view.finish()
    assert view.text.startswith("step 2 ") and "step 2 " in view.still() and view._page.value == view.still()


def test_the_table_is_called_a_tenth_of_the_time(clock):
    calls = []

    def table():
        calls.append(clock[0])
        clock[0] += 0.5
        return {"student": [[2.0, 1.0, 0.5]]}, [[True, False, False]]

    view = TrainingView(every=0.2, table=table, display=False)
    training = TrainingHistory(rows(1))
    for _ in range(12):
        view(training)
        clock[0] += 2.0
    assert 3 <= len(calls) <= 5 and all(later - first >= 5 for first, later in pairwise(calls))
    assert view.still().count("<svg") == 2 and "gold passages" in view.still()


@pytest.mark.parametrize(
    "values", [ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]]), {"bm25": [[1.0, 2.0]]}, [[1.0, 2.0]]]
)
def test_a_table_may_be_of_three_kinds(values):
    assert len(spread_figure(lambda: (values, [[True, False]])).data) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TrainingView(every=0.1), "TrainingView, every: wanted at least 0.2 seconds, given 0.1"),
        (
            lambda: TrainingView(table=lambda: [1.0], display=False)(TrainingHistory(rows(1))),
            "a function that gives (values,",
        ),
        (lambda: spread_figure(lambda: ([[1.0]], [[True, False]])), "wanted scores now of shape (1, 2), given (1, 1)"),
    ],
)
def test_errors_say_what_was_wanted(call, message):
    with pytest.raises(KitError, match=re.escape(message)):
        call()


def test_the_line_of_text():
    assert told([]) == "no step yet"
    assert told(rows(1), interrupted=True).endswith("· interrupted")


def test_it_exports_and_closes(tmp_path):
    view = TrainingView(display=False)
    view(TrainingHistory(rows(30), [{"step": 30, "em": 0.5}]))
    page = view.export_html(tmp_path / "training.html").read_text(encoding="utf-8")
    assert "<svg" in page and "em 0.500" in page and len(page) < 40_000
    view.close()
    assert view._page.comm is None


def test_a_real_distillation_is_seen(small_encoder, world, corpus):
    from kit.retrieve import BM25

    asked = world.questions["train"][:8]
    teacher = BM25(corpus).retrieve(asked, 4)
    view = TrainingView(display=False)
    config = Distillation(Optimisation(steps=3), questions=2, passages=4)
    training = distil(small_encoder, asked, corpus, teacher, config=config, callback=view, progress=False,
                      evaluate=lambda: {"recall@1": 0.5})  # fmt: skip
    view.finish()
    assert view.training.losses is training.losses and view.text.startswith("step 3 ") and "recall@1 0.500" in view.text


TRAINING = """
import time
from kit.train import TrainingHistory
from kit.widgets import TrainingView
def train(seen, steps=3, fail=False):
    training = TrainingHistory()
    try:
        for step in range(steps):
            training.losses.append({"step": step + 1, "loss": 1 / (step + 1)})
            seen(training)
            if fail and step == 1:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        print("stopped")
"""


def test_a_notebook_keeps_the_last_picture_without_widgets(tmp_path):
    cells = [TRAINING, "train(TrainingView(every=60))", "train(TrainingView(every=60), fail=True)",
             "view = TrainingView(every=60)\nview", "train(view)"]  # fmt: skip
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, timeout=120, kernel_name="python3", store_widget_state=False).execute()
    outputs = [cell.outputs for cell in book.cells]
    shown = [one for output in outputs for one in output if one.output_type == "display_data"]
    assert len(shown) == 3 and not outputs[4]  # the view of the fourth cell stays where it was shown
    for one, steps in zip(shown, (3, 2, 3), strict=True):
        assert set(one.data) == {"text/html", "text/plain"} and one.data["text/plain"].startswith(
            f"Training: step {steps} "
        )
        assert f"step {steps} · loss" in one.data["text/html"] and "<svg" in one.data["text/html"]
    assert "widgets" not in book.metadata or len(str(book.metadata["widgets"])) < 200_000
