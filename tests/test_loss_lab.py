"""The loss lab: gradients against differences, what each loss does not see, masks, steps, presets, errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit import KitError, ScoreTable
from kit.losses import LOSSES
from kit.losses.gradients import descend, gradient, takes_temperature
from kit.widgets import LossLab
from kit.widgets.loss_presets import PRESETS
from kit.widgets.loss_state import LossState, loss_states

TEACHER = [4.0, 2.5, 1.0, 0.5, -1.0]
STUDENT = [0.3, 1.2, -0.4, 2.0, 0.9]
NAN = float("nan")


def state(**settings) -> LossState:
    (one,) = loss_states(TEACHER, STUDENT).values()
    return replace(one, **settings)


def at(one: LossState, loss: str):
    heat = {"temperature": one.temperature, "teacher_temperature": one.teacher_temperature}
    return gradient(loss, one.student[None], one.teacher[None], one.counted[None], **heat)


def after(one: LossState, loss: str, **options):
    options = {"steps": one.steps, "learning_rate": one.learning_rate, **options}
    return descend(loss, one.student, one.teacher, one.counted, **options)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_agree_with_differences(loss):
    student, teacher = np.array([STUDENT, STUDENT[::-1]]), np.array([TEACHER, TEACHER])
    mask = np.array([[True] * 5, [True, True, False, True, True]])
    heat = {"temperature": 0.7, "teacher_temperature": 2.0}
    found, step = gradient(loss, student, teacher, mask, **heat).gradient, 1e-5
    for cell in np.ndindex(student.shape):
        ends = []
        for way in (step, -step):
            moved = student.copy()
            moved[cell] += way
            ends.append(gradient(loss, moved, teacher, mask, **heat).value)
        assert found[cell] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)
    assert found[1, 2] == 0.0 and np.abs(found).max() > 0


def test_a_masked_or_unscored_passage_may_hold_anything():
    plain = gradient("kl", np.array([[1.0, 2.0]]), np.array([[2.0, 0.0]]))
    masked = gradient("kl", np.array([[1.0, 2.0, NAN]]), np.array([[2.0, 0.0, 9.0]]), np.array([[True, True, False]]))
    unscored = gradient("kl", np.array([[1.0, 2.0, 7.0]]), np.array([[2.0, 0.0, NAN]]))
    for other in (masked, unscored):
        assert other.value == pytest.approx(plain.value)
        np.testing.assert_allclose(other.gradient, [[*plain.gradient[0], 0.0]])


def test_temperatures_reach_the_losses_that_take_them_and_no_others():
    taking = [loss for loss in LOSSES if takes_temperature(loss)]
    assert taking == ["kl", "reverse_kl", "js", "listnet"]
    for loss in LOSSES:
        cold, hot = (at(state(teacher_temperature=heat), loss).value for heat in (1.0, 5.0))
        assert (cold != hot) == (loss in taking)
    scaled = LOSSES["kl"](torch.tensor([STUDENT]) / 0.5, torch.tensor([TEACHER]) / 4.0).item()
    assert at(state(temperature=0.5, teacher_temperature=4.0), "kl").value == pytest.approx(scaled, rel=1e-5)


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_steps_agree_with_steps_by_hand(optimiser):
    found = descend("mse", np.array([0.0, 3.0]), np.array([2.0, 3.0]), steps=3, learning_rate=0.1, optimiser=optimiser)
    scores, first, second = 0.0, 0.0, 0.0
    for n in range(1, 4):
        slope = scores - 2.0  # mean over two cells of (s - t)^2
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        adam = (first / (1 - 0.9**n)) / (np.sqrt(second / (1 - 0.999**n)) + 1e-8)
        scores -= 0.1 * (slope if optimiser == "SGD" else adam)
        assert found.scores[n, 0] == pytest.approx(scores, rel=1e-6)
    assert found.scores[:, 1].tolist() == [3.0] * 4 and found.losses[0] == 2.0 and not found.ran_away


def test_steps_that_run_away_end_early():
    away = after(state(), "margin_mse", learning_rate=50.0, steps=200)
    assert away.ran_away and len(away.scores) == len(away.losses) < 100


def test_the_presets_show_what_their_notes_say():
    starts = {name: preset.applied(state()) for name, preset in PRESETS.items()}
    shifted = {loss: at(starts["student = teacher + 3"], loss) for loss in LOSSES}
    assert [shifted[loss].value for loss in ("margin_mse", "kl")] == pytest.approx([0, 0], abs=1e-12)
    assert shifted["mse"].value == pytest.approx(9) and (shifted["mse"].gradient > 0).all()
    order = np.argsort(TEACHER)
    for loss in ("mse", "margin_mse", "kl", "ranknet"):
        ends = after(starts["student = teacher × 2"], loss, steps=1).scores[:, order[[0, -1]]]
        apart = ends[:, 1] - ends[:, 0]
        assert (apart[1] > apart[0]) == (loss == "ranknet")
    hot = at(starts["one-hot teacher"], "kl").gradient[0]
    assert hot[0] < 0 and hot[1:] == pytest.approx(hot[1]) and hot[1] > 0
    softer = at(replace(starts["one-hot teacher"], teacher_temperature=8.0), "kl").gradient[0]
    assert np.abs(softer).max() < np.abs(hot).max()
    assert np.argsort(starts["order reversed"].student).tolist() == order[::-1].tolist()
    assert (at(starts["student all 0"], "kl").gradient != 0).any()


def test_a_padded_passage_stays_where_it_is_under_every_loss():
    padded = PRESETS["padded passage"].applied(state())
    assert padded.counted.tolist() == [True] * 4 + [False]
    kept = loss_states(TEACHER[:4], STUDENT[:4])["question 1"]
    for loss in LOSSES:
        end = after(padded, loss).scores[-1]
        assert at(padded, loss).gradient[0, -1] == 0.0 and end[-1] == padded.student[-1] == max(TEACHER) + 3
        np.testing.assert_allclose(end[:4], after(kept, loss).scores[-1], atol=1e-9)


def test_margin_mse_reaches_the_teacher_up_to_a_constant_and_mse_itself():
    ends = {loss: after(state(), loss, steps=200, learning_rate=0.3).scores[-1] for loss in ("mse", "margin_mse")}
    assert ends["mse"] == pytest.approx(TEACHER, abs=1e-3)
    apart = ends["margin_mse"] - np.array(TEACHER)
    assert apart == pytest.approx(apart[0], abs=1e-3) and abs(apart[0]) > 0.1


def test_score_tables_are_aligned_and_a_missing_passage_does_not_count():
    teacher = ScoreTable("t", ["q1", "q2"], [["a", "b", "c"], ["d", "e", ""]], [[3, 2, 1], [2, 1, NAN]])
    student = ScoreTable("s", ["q2", "q1"], [["e", "d"], ["c", "a"]], [[5, 6], [7, 8]])
    lab = LossLab(teacher, student)
    assert lab.student.tolist() == [8, 0, 7] and lab.current.counted.tolist() == [True, False, True]
    assert lab.current.labels == ("a", "b", "c")
    lab.set(question="q2")
    assert lab.student.tolist() == [6, 5, 0] and lab.current.counted.tolist() == [True, True, False]


def test_scores_loss_steps_and_comparison_are_one_state():
    lab = LossLab(TEACHER, STUDENT, losses=["kl", "mse"])
    lab.loss = "mse"
    np.testing.assert_allclose(lab.gradient(), 2 * (np.array(STUDENT) - TEACHER) / 5)
    assert lab.gradient("kl") == pytest.approx(at(state(), "kl").gradient[0])
    lab.set_state({"state": {**lab.state, "student": [9.0, *STUDENT[1:]]}})  # as the page does
    assert lab.student[0] == 9.0
    lab.set(learning_rate=0.5)
    moved = np.array(TEACHER) + (np.array([9.0, *STUDENT[1:]]) - TEACHER) * 0.8**2
    np.testing.assert_allclose(lab.step(2), moved)
    assert lab.state["student"] == pytest.approx(moved.tolist())
    frame = lab.compare()
    assert list(frame.columns) == ["teacher", "start", "kl", "mse"] and list(frame["start"]) == lab.student.tolist()
    np.testing.assert_allclose(frame["mse"], after(lab.current, "mse").scores[-1])
    lab.set(counted=[False, True, True, True, True])
    assert lab.gradient()[0] == 0.0
    lab.set(preset="student all 0")
    assert lab.student.tolist() == [0.0] * 5 and lab.state["counted"] is None
    lab.student = torch.tensor(STUDENT)
    assert lab.student == pytest.approx(STUDENT, abs=1e-6)


def test_what_goes_to_the_page_is_small_and_a_table_stands_where_no_script_runs():
    lab = LossLab(list(range(12)), labels=[f"<b>passage {n}" for n in range(12)])
    assert len(lab._data) < 4_000 and len(json.dumps(lab.state)) < 2_000 and len(lab._esm) < 100_000
    html = lab._repr_mimebundle_()[0]["text/html"]
    assert "&lt;b&gt;passage 3" in html and "<b>passage" not in html and "Loss lab" in html


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((list(range(13)),), {}, "2 to 12 passages .*given 13"),
        (([1.0],), {}, "2 to 12 passages"),
        ((TEACHER, STUDENT[:3]), {}, r"student: wanted the teacher's shape \(1, 5\), given \(1, 3\)"),
        (([NAN, NAN],), {}, "a passage that teacher and student score, given none"),
        (([float("inf"), 1.0],), {}, "finite scores"),
        (("many",), {}, r"scores \(k,\) or \(q, k\)"),
        ((TEACHER,), {"labels": ["a"]}, "5 labels"),
        ((TEACHER,), {"losses": ["kl", "huber"]}, "loss: wanted one of kl, .*given 'huber'"),
        ((TEACHER,), {"losses": []}, "at least one name"),
        ((TEACHER, ScoreTable("s", ["q"], [["a"]], [[1.0]])), {}, "an array, as the teacher is one"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, options, named):
    with pytest.raises(KitError, match=named):
        LossLab(*arguments, **options)


def test_wrong_settings_are_refused():
    lab = LossLab(TEACHER)
    for change, named in (
        ({"loss": "huber"}, "huber"), ({"preset": "none"}, "none"), ({"temperature": 0.0}, "0.0"),
        ({"steps": 1000}, "1000"), ({"colour": 1}, "colour"), ({"compared": []}, "compared"),
        ({"student": [1.0, NAN, 0.0, 0.0, 0.0]}, "5 finite scores"), ({"counted": [True]}, "5 flags"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=named):
            lab.set(**change)
    with pytest.raises(KitError, match="5 finite scores"):
        lab.student = [1.0, NAN, 0.0, 0.0, 0.0]
    with pytest.raises(KitError, match="steps"):
        lab.step(-1)
