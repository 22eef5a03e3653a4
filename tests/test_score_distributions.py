"""Score distributions: alignment, shares, margins and gradients by hand, the pictures, the wiring, bytes, errors."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit import KitError, Passage, Question, ScoreTable
from kit.losses import LOSSES
from kit.widgets import ScoreDistributions
from kit.widgets.score_pictures import (
    gradient_figure,
    labels,
    margin_figure,
    numbers_html,
    shown_cells,
    table_figure,
    told,
)
from kit.widgets.score_views import (
    ScoreChoice,
    aligned_scores,
    gradient_by_rank,
    gradient_of,
    margins,
    numbers,
    shares,
)
from kit.widgets.switched_panes import switched_panes

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


def scores(**options):
    return aligned_scores(TABLES, QUESTIONS, CORPUS, **{"teacher": "teacher", **options})


def many(q: int, k: int, names=("teacher", "student"), seed: int = 0):
    rng = np.random.default_rng(seed)
    corpus = {f"p{n}": Passage(f"p{n}", f"Title {n}", "text") for n in range(k)}
    questions = [Question(f"q{n}", f"Question number {n}?", ("x",)) for n in range(q)]
    ids = [[f"p{n}" for n in range(k)]] * q
    tables = {name: ScoreTable(name, [one.id for one in questions], ids, rng.normal(size=(q, k))) for name in names}
    return tables, questions, corpus, {one.id: {f"p{n % k}"} for n, one in enumerate(questions)}


def test_tables_are_aligned_to_the_teachers_cells_and_gold_is_found():
    found = scores()
    assert found.tables["teacher"].question_ids.tolist() == ["q1", "q2"]
    np.testing.assert_array_equal(found.values("before"), [[4, 5, 3], [1, 2, NAN]])
    np.testing.assert_array_equal(found.values("after"), [[6, 2, NAN], [1, 0.5, NAN]])
    assert found.gold.tolist() == [[True, False, False], [True, False, False]]
    given = scores(gold={"q1": ["b"], "elsewhere": ["c"]})
    assert given.gold.tolist() == [[False, True, False], [False] * 3]
    other = scores(teacher="before")
    np.testing.assert_array_equal(other.values("teacher"), [[1, 3, 2], [0, 1, NAN]])


def test_shares_and_margins_by_hand():
    e = math.e
    np.testing.assert_allclose(
        shares(np.array([[2.0, 0.0, NAN, -np.inf]]), 2.0), [[e / (e + 1), 1 / (e + 1), NAN, 0.0]]
    )
    np.testing.assert_array_equal(shares(np.full((1, 2), NAN)), [[NAN, NAN]])
    gold = np.array([[True, True, False, False]])
    assert margins(np.array([[1.0, 3.0, 2.5, NAN]]), gold) == 0.5
    assert np.isnan(margins(np.array([[1.0, NAN, NAN, NAN]]), gold)).all()
    assert np.isnan(margins(np.array([[1.0, 2.0]]), np.array([[False, False]]))).all()


def test_numbers_by_hand():
    rows = {row["table"]: row for row in numbers(scores(), ScoreChoice("after", loss="mse"))}
    assert rows["teacher"]["margin"] == pytest.approx((1 + 1) / 2) and rows["teacher"]["loss"] == 0
    assert rows["before"]["margin"] == pytest.approx((-1 - 1) / 2) and rows["before"]["on_top"] == 0
    assert rows["before"]["loss"] == pytest.approx((1 + 16 + 1 + 0 + 4) / 5)
    assert rows["before"]["scored"] == 1 and rows["after"]["scored"] == pytest.approx(4 / 5)
    assert rows["teacher"]["kendall"] == 1 and rows["before"]["kendall"] == pytest.approx((-1 / 3 - 1) / 2)
    one = numbers(scores(), ScoreChoice("after", question="q2", teacher_temperature=2.0))[0]
    p = 1 / (1 + math.exp(-0.5))
    assert one["entropy"] == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert one["margin"] == pytest.approx(0.5) and one["on_top"] == 1


def test_the_gradient_is_the_losss_at_both_temperatures_and_leaves_out_what_is_not_scored():
    choice = ScoreChoice("after", temperature=0.5, teacher_temperature=4.0)
    at, rows = gradient_of(scores(), choice)
    student = torch.tensor([[6.0, 2.0, 0.0], [1.0, 0.5, 0.0]], requires_grad=True)
    real = torch.tensor([[True, True, False], [True, True, False]])
    teacher = torch.tensor([[3.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
    loss = LOSSES["kl"](student, teacher, real, temperature=0.5, teacher_temperature=4.0)
    loss.backward()
    assert at.value == pytest.approx(loss.item(), rel=1e-5) and rows == [0, 1]
    np.testing.assert_allclose(at.gradient, student.grad.numpy(), atol=1e-6)
    assert (at.gradient[:, 2] == 0).all()


@pytest.mark.parametrize("loss", ["kl", "mse", "margin_mse", "lambda_rank"])
def test_gradients_agree_with_differences(loss):
    tables, questions, corpus, gold = many(3, 4)
    found, choice, step = aligned_scores(tables, questions, corpus, teacher="teacher", gold=gold), None, 1e-2
    choice = ScoreChoice("student", loss=loss)
    at, _ = gradient_of(found, choice)

    def value(cell, way):
        moved = found.values("student").copy()
        moved[cell] += way
        table = ScoreTable("s", found.tables["student"].question_ids, found.tables["student"].passage_ids, moved)
        return gradient_of(replace(found, tables={**found.tables, "student": table}), choice)[0].value

    for cell in [(0, 0), (1, 3), (2, 1)]:
        slope = (value(cell, step) - value(cell, -step)) / (2 * step)
        assert at.gradient[cell] == pytest.approx(slope, abs=2e-3)


def test_gradient_by_place_in_the_teachers_order():
    tables, questions, corpus, gold = many(50, 6)
    found = aligned_scores(tables, questions, corpus, teacher="teacher", gold=gold)
    choice = ScoreChoice("student")
    means, at = gradient_by_rank(found, choice), gradient_of(found, choice)[0]
    for place in range(6):
        by_kind = {True: [], False: []}
        for row in range(50):
            cell = np.argsort(-found.values("teacher")[row])[place]
            by_kind[bool(found.gold[row, cell])].append(at.gradient[row, cell] * 50)
        assert means[0, place] == pytest.approx(np.mean(by_kind[True]))
        assert means[1, place] == pytest.approx(np.mean(by_kind[False]))
    shown = {trace.name: trace for trace in gradient_figure(found, choice).data}
    assert list(shown["★ gold passages"].y) == pytest.approx(means[0].tolist())
    assert shown["★ gold passages"].marker.pattern.shape


def test_one_questions_bars_stand_in_the_teachers_order_and_gold_is_marked():
    choice = ScoreChoice("after", question="q1")
    figure = table_figure(scores(), choice, "teacher")
    assert figure.layout.yaxis.ticktext == ("★ France", "Oslo", "Rome")
    assert figure.layout.annotations[0].text == "teacher"
    assert table_figure(scores(), choice, "after").layout.annotations[0].text == "after (student)"
    rows = {row: x for trace in gradient_figure(scores(), choice).data for row, x in zip(trace.y, trace.x, strict=True)}
    at = gradient_of(scores(), choice)[0].gradient[0]
    assert [rows[n] for n in range(3)] == pytest.approx([at[0], at[2], at[1]])
    warm = table_figure(scores(), replace(choice, show="shares", teacher_temperature=2.0), "teacher")
    assert warm.data[0].x[0] == pytest.approx(shares(np.array([[3.0, 1.0, 2.0]]), 2.0)[0, 0])
    assert "&lt;Lyon&gt;" in table_figure(scores(), replace(choice, question="q2"), "before").layout.yaxis.ticktext[1]


def test_at_most_twenty_passages_are_drawn_gold_among_them():
    tables, questions, corpus, _ = many(2, 50)
    last = f"p{int(np.argmin(tables['teacher'].values[0]))}"
    found = aligned_scores(tables, questions, corpus, teacher="teacher", gold={"q0": {last}})
    choice = ScoreChoice("student", question="q0")
    cells = shown_cells(found, choice)
    assert len(cells) == 20 and cells[-1] == int(last[1:]) and cells[0] == int(np.argmax(found.values("teacher")[0]))
    assert int(np.argmax(found.values("student")[0])) in cells
    assert "30 more passages are not drawn" in " ".join(told(found, choice))
    assert len(labels(found, choice)) == 20


def test_margin_curves_cross_zero_at_the_share_of_gold_on_top():
    tables, questions, corpus, gold = many(300, 5, ("teacher", "one", "two"))
    found = aligned_scores(tables, questions, corpus, teacher="teacher", gold=gold)
    choice = ScoreChoice("two", question="q7", temperature=2.0)
    figure, points = margin_figure(found, choice)
    for trace, name, ids in zip(figure.data, found.tables, points, strict=True):
        values = margins(found.values(name), found.gold) / (1 if name == "teacher" else 2)
        assert len(ids) == len(trace.y) == 200
        assert list(trace.y) == pytest.approx([values[found.row_of(i)] for i in ids])
        share = numbers(found, replace(choice, question=None))[list(found.tables).index(name)]["on_top"]
        assert (np.array(trace.x)[np.array(trace.y) > 0].max()) == pytest.approx(share, abs=0.01)
    assert sum("star" in trace.marker.symbol for trace in figure.data) <= 3


def test_the_chosen_question_is_a_star_on_each_curve():
    figure, points = margin_figure(scores(), ScoreChoice("after", question="q2"))
    for trace, ids in zip(figure.data, points, strict=True):
        assert [symbol == "star" for symbol in trace.marker.symbol] == [i == "q2" for i in ids]


def test_what_is_left_out_is_said():
    lines = " ".join(told(scores(gold={"q1": ["a"]}), ScoreChoice("after", loss="margin_mse")))
    assert "takes no temperature" in lines and "1 questions have no margin" in lines
    assert "takes no temperature" not in " ".join(told(scores(), ScoreChoice("after")))
    tables, questions, corpus, gold = many(1000, 100)
    found = aligned_scores(tables, questions, corpus, teacher="teacher", gold=gold)
    assert len(gradient_of(found, ScoreChoice("student"))[1]) == 400
    assert "over the first 400 questions" in " ".join(told(found, ScoreChoice("student")))


def test_controls_pictures_and_numbers_are_one_state():
    view = ScoreDistributions(TABLES, QUESTIONS, CORPUS)
    assert view.choice == ScoreChoice("after") and view.controls["teacher"].value == "teacher"
    assert len(view._tables) == 3 and "student" in view._tables[1].label
    view.controls["teacher_temperature"].value = 4.0
    assert view.numbers().loc["teacher", "margin"] == pytest.approx(0.25)
    view.choose(question="q1", loss="mse", show="shares")
    assert "Capital of France?" in view._told.value and "mse" in view._gradient.label
    assert view.numbers().loc["before", "loss"] == pytest.approx((1 + 16 + 1) / 3)
    view.choose(teacher="before", student="teacher")
    assert view.numbers().loc["before", "loss"] == 0 and "before (teacher)" in view._tables[0].label
    assert view._tables[0].figure.layout.annotations[0].text.startswith("before")
    view._margins._receive(None, {"kind": "click", "trace": 0, "point": 0}, [])
    assert view.choice.question == view._points[0][0]
    view.choose(question=None)
    assert view._tables[0].figure.data[0].name == "other passages"
    view.close()
    assert view._tables[0].comm is None and view.controls["loss"].comm is None


def test_a_question_beyond_the_list_can_be_chosen():
    tables, questions, corpus, gold = many(600, 2)
    view = ScoreDistributions(tables, questions, corpus, gold=gold)
    assert len(view.controls["question"].options) == 501
    view.choose(question="q555")
    assert view.choice.question == "q555" and "Question number 555?" in view._told.value
    assert len(json.dumps(view.controls["question"].get_state(), default=str)) < 100_000


def test_a_click_sends_little_and_the_export_stands_alone(tmp_path):
    tables, questions, corpus, gold = many(100, 20, ("teacher", "before", "after"))
    view = ScoreDistributions(tables, questions, corpus, gold=gold)
    for question in (None, "q3"):
        view.choose(question=question)
        pictures = [*view._tables, view._margins, view._gradient]
        assert all(len(json.dumps(picture._figure)) < 25_000 for picture in pictures)
    page = view.export_html(tmp_path / "scores.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000 and "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert page.count('type="radio"') == 5 + 4 and page.count(" checked>") == 2
    assert view.still().count("<svg") == 5 and "<table" in view.still()


def test_numbers_table_escapes_names():
    tables = {"<i>": TABLES["teacher"]}
    found = aligned_scores(tables, QUESTIONS, CORPUS, teacher="<i>")
    html = numbers_html(found, ScoreChoice("<i>"))
    assert "<i>" not in html and "&lt;i&gt;" in html


def test_switched_panes_hide_a_pane_when_one_of_its_options_is_off():
    html = switched_panes("s", {"a": ["x", "<y>"], "b": ["1"]}, [([1, None], "P"), ([0, 0], "Q")], (1, 0))
    assert ".s:not(:has(#s-0-1:checked)) .s-1-x{display:none}" in html and "&lt;y&gt;" in html
    assert ".s:not(:has(#s-0-0:checked)) .s-0-0,.s:not(:has(#s-1-0:checked)) .s-0-0{display:none}" in html
    assert re.findall(r'id="([^"]+)" checked', html) == ["s-0-1", "s-1-0"]
    with pytest.raises(KitError, match="a number below each of"):
        switched_panes("s", {"a": ["x"]}, [([1], "P")])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tables": {}}, "tables as"),
        ({"tables": [TABLES["teacher"]]}, "tables as .*given list"),
        ({"tables": {"t": [[1.0]]}}, "table 't': wanted a ScoreTable, given list"),
        ({"teacher": "none"}, "teacher: wanted one of the tables 'teacher', 'before', 'after', given 'none'"),
        ({"student": "none"}, "student: wanted one of the tables"),
        ({"questions": []}, "at least one table and one question"),
        ({"questions": [*QUESTIONS, Question("q9", "?", ("x",))]}, "a question that it holds, given 'q9'"),
        ({"gold": {"other": {"a"}}}, "passages of at least one of the questions, given ids like 'other'"),
        ({"corpus": {"a": CORPUS["a"]}, "gold": {"q1": {"a"}}}, "corpus: wanted the passages of the teacher's table"),
    ],
)
def test_what_is_wrong_is_said(options, said):
    given = {"tables": TABLES, "questions": QUESTIONS, "corpus": CORPUS, **options}
    with pytest.raises(KitError, match=said):
        ScoreDistributions(given.pop("tables"), given.pop("questions"), given.pop("corpus"), **given)


def test_wrong_choices_are_refused():
    view = ScoreDistributions(TABLES, QUESTIONS, CORPUS)
    for change, said in (
        ({"question": "q9"}, "q9"), ({"loss": "huber"}, "huber"), ({"show": "ranks"}, "ranks"), ({"size": 3}, "size"),
        ({"temperature": -1}, "-1"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=said):
            view.choose(**change)
    assert view.choice == ScoreChoice("after")
