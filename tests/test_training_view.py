"""The view of a training: what is drawn, how often, and what a notebook keeps of it."""

from __future__ import annotations

import re
from itertools import pairwise

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from kit.pages.figures import MIME
from kit.train import Distillation, Optimisation, TrainingHistory, distil
from kit.types import KitError, Passage, Question, ScoreTable
from kit.widgets import TrainingView
from kit.widgets import training_view as module
from kit.widgets.training_data import WatchedScores, lines_of, running_mean, status_line, window_of


def rows(count: int, **further) -> list[dict[str, float]]:
    return [{"step": n + 1, "loss": 1 / (n + 1), "rate": 1e-3, **further} for n in range(count)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_each_figure_is_a_line_of_its_kind():
    evaluations = [{"step": 10, "recall@1": 0.4, "mean rank": 7.0}, {"step": 20, "recall@1": 0.6, "mean rank": 3.0}]
    lines = {line["name"]: line for line in lines_of(TrainingHistory(rows(20, agreement=0.5), evaluations))}
    kinds = {name: line["kind"] for name, line in lines.items()}
    assert kinds == {"loss": "loss", "agreement": "share", "recall@1": "share", "mean rank": "other"}
    assert lines["recall@1"]["steps"].tolist() == [10, 20] and "means" not in lines["recall@1"]
    assert lines["recall@1"]["values"].tolist() == pytest.approx([0.4, 0.6]) and lines["loss"]["window"] == 5
    assert [line["name"] for line in lines_of(TrainingHistory(rows(3)))] == ["loss"]


def test_the_mean_is_a_slow_loop_s():
    values = np.random.default_rng(0).random(50).tolist()
    slow = [np.mean(values[max(0, n - 6) : n + 1]) for n in range(50)]
    assert running_mean(values, 7) == pytest.approx(slow)
    assert len(running_mean([], 5)) == 0 and (window_of(3), window_of(1000), window_of(10**6)) == (5, 50, 200)


def test_long_runs_are_thinned():
    (line,) = lines_of(TrainingHistory(rows(50_000)))
    assert len(line["steps"]) == len(line["values"]) == len(line["means"]) == 300
    assert line["steps"][0] == 1 and line["steps"][-1] == 50_000


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
    assert view.text.startswith("step 2 ") and view.summary()[0] == view.text
    assert view.record()["text/plain"] == f"Training: {view.text}"


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
    _, *calls = calls  # the first is before the training
    assert 3 <= len(calls) <= 5 and all(later - first >= 5 for first, later in pairwise(calls))


@pytest.mark.parametrize(
    "values", [ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]]), {"bm25": [[1.0, 2.0]]}, [[1.0, 2.0]]]
)
def test_a_table_may_be_of_three_kinds(values):
    page = WatchedScores(lambda: (values, [[True, False]])).for_page()
    (name,) = page["names"]
    assert name == ("scores" if isinstance(values, list) else "bm25") and page["scores"][name].tolist() == [[[1, 2]]]
    assert page["steps"] == [0] and page["on_top"][name].tolist() == [0.0]


def test_scores_are_kept_by_step_on_the_first_tables_cells():
    questions, corpus = [Question("q", "Which?")], {"a": Passage("a", "Anna", "x"), "b": Passage("b", "", "y")}
    tables = [ScoreTable("s", ["q"], [["a", "b"]], [[1.0, 2.0]]), ScoreTable("s", ["q"], [["b", "a"]], [[0.5, 4.0]])]
    watched = WatchedScores(lambda: (tables[0], [[True, False]]), questions, corpus)
    tables.reverse()
    watched.add(7)
    page = watched.for_page()
    assert page["steps"] == [0, 7] and page["scores"]["s"].tolist() == [[[1.0, 2.0]], [[4.0, 0.5]]]
    assert page["on_top"]["s"].tolist() == [0.0, 1.0] and page["labels"] == [["Anna", "b"]]
    assert watched.questions == [("q: Which?", "q")] and page["bars"]["s"].sum(axis=-1).tolist() == [[1, 1], [1, 1]]


def test_many_steps_are_thinned_and_the_last_stays():
    watched = WatchedScores(lambda: ([[1.0, 2.0]], [[True, False]]))
    for step in range(1, 1001):
        watched.add(step)
    steps = watched.for_page()["steps"]
    assert len(steps) <= 30 and (steps[0], steps[-1]) == (0, 1000) and steps == sorted(steps)


def test_a_large_table_is_held_in_part_and_counted_whole():
    values, gold = np.zeros((200, 100)), np.eye(200, 100, dtype=bool)
    page = WatchedScores(lambda: ({"a": values, "b": values}, gold)).for_page()
    assert len(page["questions"]) == 1 and page["of"] == 200 and page["scores"]["b"].shape == (1, 1, 100)


def test_a_redraw_takes_few_bytes():
    random = np.random.default_rng(0)
    losses = [{"step": n, "loss": float(random.random())} for n in range(1, 20_001)]
    evaluations = [{"step": 500 * n, "recall@1": 0.3, "recall@5": 0.6} for n in range(1, 41)]
    gold = random.random((200, 100)) < 0.02
    view = TrainingView(
        table=lambda: ({name: random.normal(size=(200, 100)) for name in ("teacher", "student")}, gold), display=False
    )
    for step in range(1, 30):
        view.watched.add(step)
    view(TrainingHistory(losses, evaluations))
    assert len(view.watched.moments) >= 16 and 0 < len(view._data) <= 50_000


def test_its_state_is_set_by_name():
    view = TrainingView(
        table=lambda: ({"t": [[1.0, 2.0]] * 2, "s": [[1.0, 2.0]] * 2}, [[True, False]] * 2), display=False
    )
    assert view.state == {"question": "question 1", "table": "s", "moment": None}
    view.set(question="question 2", moment=0)
    for wrong in ({"moment": -1}, {"moment": True}, {"question": "q9"}):
        with pytest.raises(KitError):
            view.set(**wrong)
    assert (view.state["question"], view.state["moment"]) == ("question 2", 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TrainingView(every=0.1), "TrainingView, every: wanted at least 0.2 seconds, given 0.1"),
        (lambda: TrainingView(table=lambda: [1.0]), "a function that gives (values,"),
        (lambda: TrainingView(table=lambda: ([[1.0]], [[True, False]])), "wanted shape (1, 2), given (1, 1)"),
        (lambda: TrainingView(table=lambda: ([1.0], [True])), "wanted gold of shape (q, k), given shape (1,)"),
    ],
)
def test_errors_say_what_was_wanted(call, message):
    with pytest.raises(KitError, match=re.escape(message)):
        call()


def test_the_line_of_text():
    assert status_line(TrainingHistory()) == "no step yet"
    assert status_line(TrainingHistory(rows(1), interrupted=True)).endswith("· interrupted")


def test_it_keeps_a_figure_and_a_table_and_exports():
    view = TrainingView(display=False)
    assert set(view.record()) == {"text/html", "text/plain"}
    view(TrainingHistory(rows(30), [{"step": 30, "em": 0.5}]))
    record = view.record()
    assert [note["text"] for note in record[MIME]["layout"]["annotations"]] == ["loss, mean of the last 5", "em"]
    assert len(record[MIME]["data"][0]["x"]) == 30 and '<td class="number">0.5</td>' in record["text/html"]
    assert view.text in view.to_html()


def test_a_real_distillation_is_seen(small_encoder, world, corpus):
    from kit.retrieve import BM25

    asked = world.questions["train"][:8]
    teacher = BM25(corpus).retrieve(asked, 4)
    view = TrainingView(display=False)
    config = Distillation(Optimisation(steps=3), questions=2, passages=4)
    training = distil(small_encoder, asked, corpus, teacher, config=config, callback=view, progress=False,
                      evaluate=lambda: {"recall@1": 0.5})  # fmt: skip
    view.finish()
    assert view.history.losses is training.losses and view.text.startswith("step 3 ") and "recall@1 0.500" in view.text


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


def test_a_notebook_keeps_a_figure_without_widgets(tmp_path):
    cells = [TRAINING, "train(TrainingView(every=60))", "train(TrainingView(every=60), fail=True)",
             "view = TrainingView(every=60, display=False)\ntrain(view)", "view"]  # fmt: skip
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, timeout=120, kernel_name="python3", store_widget_state=False).execute()
    outputs = [cell.outputs for cell in book.cells]
    shown = [one for output in outputs[:4] for one in output if one.output_type == "display_data"]
    assert len(shown) == 2 and not outputs[3]
    for one, steps in zip(shown, (3, 2), strict=True):
        assert set(one.data) == {MIME, "text/html", "text/plain"}
        assert one.data["text/plain"].startswith(f"Training: step {steps} ")
        assert f"step {steps} · loss" in one.data["text/html"] and len(one.data[MIME]["data"][0]["x"]) == steps
    assert "step 3 · loss" in outputs[4][0].data["text/html"]  # the explorer, with a table where no widget runs
    assert "widgets" not in book.metadata or len(str(book.metadata["widgets"])) < 200_000
