"""Score distributions: one grid of cells, gold passages, numbers by hand, the state, bytes, the page's file, errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from kit import KitError, Passage, Question, ScoreTable
from kit.widgets import ScoreDistributions
from kit.widgets.score_data import margins, score_data

NAN = float("nan")
CORPUS = {
    "a": Passage("a", "France", "The capital of France is Paris."),
    "b": Passage("b", "Rome", "Rome is old."),
    "c": Passage("c", "Oslo", "Oslo lies on a fjord."),
    "d": Passage("d", "<Lyon>", "Lyon is a city."),
}
QUESTIONS = [Question("q1", "Capital of France?", ("Paris",)), Question("q2", "Which city lies on a fjord?", ("Oslo",))]
TABLES = {
    "teacher": ScoreTable("t", ["q2", "q1"], [["c", "d", ""], ["a", "b", "c"]], [[1, 0, NAN], [3, 1, 2]]),
    "before": ScoreTable("s", ["q1", "q2"], [["b", "a", "c"], ["d", "c", "a"]], [[5, 4, 3], [2, 1, 9]]),
    "after": ScoreTable("s2", ["q1", "q2"], [["a", "b", "d"], ["c", "d", "b"]], [[6, 2, 9], [1, 0.5, 7]]),
}


def many(q: int, k: int, names=("teacher", "student"), seed: int = 0):
    rng = np.random.default_rng(seed)
    corpus = {f"p{n}": Passage(f"p{n}", f"Title {n}", "text") for n in range(k)}
    questions = [Question(f"q{n}", f"Question number {n}?", ("x",)) for n in range(q)]
    ids = [[f"p{n}" for n in range(k)]] * q
    tables = {name: ScoreTable(name, [one.id for one in questions], ids, rng.normal(size=(q, k))) for name in names}
    return tables, questions, corpus, {one.id: {f"p{n % k}"} for n, one in enumerate(questions)}


def test_tables_stand_on_one_grid_and_gold_is_what_holds_an_answer():
    data = score_data(TABLES, QUESTIONS, CORPUS)
    assert data.passages.tolist() == [["a", "b", "c", "d"], ["c", "d", "a", "b"]]
    np.testing.assert_array_equal(data.values["teacher"], [[3, 1, 2, NAN], [1, 0, NAN, NAN]])
    np.testing.assert_array_equal(data.values["before"], [[4, 5, 3, NAN], [1, 2, 9, NAN]])
    np.testing.assert_array_equal(data.values["after"], [[6, 2, NAN, 9], [1, 0.5, NAN, 7]])
    assert data.gold.tolist() == [[True, False, False, False], [True, False, False, False]]
    named = score_data(TABLES, QUESTIONS, CORPUS, {"q1": ["b"], "elsewhere": ["c"]})
    assert named.gold.tolist() == [[False, True, False, False], [False] * 4]


def test_margins_by_hand():
    gold = np.array([[True, True, False, False]])
    assert margins(np.array([[1.0, 3.0, 2.5, NAN]]), gold) == 0.5
    assert np.isnan(margins(np.array([[1.0, NAN, NAN, NAN]]), gold)).all()
    assert np.isnan(margins(np.array([[1.0, 2.0]]), np.array([[False, False]]))).all()


def test_numbers_by_hand():
    view = ScoreDistributions(TABLES, QUESTIONS, CORPUS)
    view.set(loss="mse")
    rows = view.numbers()
    assert rows.loc["teacher", "margin"] == pytest.approx((1 + 1) / 2) and rows.loc["teacher", "loss"] == 0
    assert rows.loc["before", "margin"] == pytest.approx((-1 - 1) / 2) and rows.loc["before", "on_top"] == 0
    assert rows.loc["before", "loss"] == pytest.approx((1 + 16 + 1 + 0 + 4) / 5)
    assert rows.loc["before", "scored"] == 1 and rows.loc["after", "scored"] == pytest.approx(4 / 5)
    assert rows.loc["teacher", "kendall"] == 1
    assert rows.loc["before", "kendall"] == pytest.approx((-1 / 3 - 1) / 2)
    view.set(question="q2", teacher_temperature=2.0)
    one, p = view.numbers().loc["teacher"], 1 / (1 + math.exp(-0.5))
    assert one["entropy"] == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert one["margin"] == pytest.approx(0.5) and one["on_top"] == 1


def test_the_teacher_can_be_changed_and_the_cells_are_its_own():
    view = ScoreDistributions(TABLES, QUESTIONS, CORPUS, teacher="teacher", student="after")
    view.set(teacher="before", student="teacher", loss="mse")
    rows = view.numbers()
    assert rows.loc["before", "loss"] == 0 and rows.loc["teacher", "scored"] == pytest.approx(5 / 6)
    assert rows.loc["after", "loss"] == pytest.approx((4 + 9 + 0 + 1.5**2) / 4)


def test_the_state_is_set_by_name_and_a_wrong_change_changes_nothing():
    view = ScoreDistributions(TABLES, QUESTIONS, CORPUS)
    start = dict(view.state)
    assert (start["teacher"], start["student"], start["question"]) == ("teacher", "after", None)
    for change, named in (
        ({"question": "q9"}, "q9"), ({"loss": "huber"}, "huber"), ({"show": "ranks"}, "ranks"), ({"size": 3}, "size"),
        ({"temperature": -1}, "-1"), ({"loss": "mse", "student": "none"}, "none"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=named):
            view.set(**change)
        assert view.state == start
    view.set_state({"state": {**start, "question": "q1"}})  # as a page does
    assert view.numbers().loc["before", "on_top"] == 0 and view.state["question"] == "q1"


def test_a_page_holds_some_of_many_questions_and_gets_the_one_that_is_chosen():
    tables, questions, corpus, gold = many(900, 100)
    view = ScoreDistributions(tables, questions, corpus, gold=gold)
    assert len(view._rows) == 500 and len(view._data) < 400_000
    missing = next(row for row in range(900) if row not in view._rows)
    view.set(question=f"q{missing}")
    assert missing in view._rows and len(view.parts["question"].options) == 901


def test_a_click_sends_nothing_but_the_state():
    tables, questions, corpus, gold = many(100, 20, ("teacher", "before", "after"))
    view = ScoreDistributions(tables, questions, corpus, gold=gold)
    data = view._data
    view.set(question="q3", loss="ranknet", show="shares")
    assert view._data is data and len(json.dumps(view.state)) < 500


def test_where_no_script_runs_a_table_holds_the_numbers():
    view = ScoreDistributions({"<i>": TABLES["teacher"]}, QUESTIONS, CORPUS)
    bundle = view._repr_mimebundle_()[0]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "&lt;i&gt;" in bundle["text/html"] and "<i>" not in bundle["text/html"]
    assert "means over 2 questions" in bundle["text/html"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tables": {}}, "tables as"),
        ({"tables": [TABLES["teacher"]]}, "tables as .*given list"),
        ({"tables": {"t": [[1.0]]}}, "table 't': wanted a ScoreTable, given list"),
        ({"teacher": "none"}, "teacher: wanted one of 'teacher', 'before', 'after', given 'none'"),
        ({"student": "none"}, "student: wanted one of 'teacher'"),
        ({"questions": []}, "at least one question"),
        ({"questions": [*QUESTIONS, Question("q9", "?", ("x",))]}, "a question that it holds, given 'q9'"),
        ({"gold": {"other": {"a"}}}, "passages of at least one of the questions, given ids like 'other'"),
        ({"corpus": {"a": CORPUS["a"]}, "gold": {"q1": {"a"}}}, "corpus: wanted the passages of the tables"),
    ],
)
def test_what_is_wrong_is_one_line(options, named):
    arguments = {"tables": TABLES, "questions": QUESTIONS, "corpus": CORPUS, **options}
    with pytest.raises(KitError, match=named):
        ScoreDistributions(arguments.pop("tables"), arguments.pop("questions"), arguments.pop("corpus"), **arguments)
