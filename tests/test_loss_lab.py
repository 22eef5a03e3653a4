"""The loss lab: gradients against differences, what each loss does not see, masks, steps, the wiring, bytes, errors."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit import KitError, ScoreTable
from kit.losses import LOSSES
from kit.widgets import LossLab
from kit.widgets.loss_bench import benches
from kit.widgets.loss_gradients import descend, loss_at, takes_temperature
from kit.widgets.loss_pictures import compared_figure, gradient_figure, path_figure, told
from kit.widgets.loss_views import PRESETS, gradient, loss_rows, path, paths, seen_as, wrong_pairs
from kit.widgets.score_sliders import ScoreSliders

TEACHER = [4.0, 2.5, 1.0, 0.5, -1.0]
STUDENT = [0.3, 1.2, -0.4, 2.0, 0.9]
NAN = float("nan")


def bench(**settings):
    (one,) = benches(TEACHER, STUDENT).values()
    return replace(one, **settings)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_agree_with_differences(loss):
    student, teacher = np.array([STUDENT, STUDENT[::-1]]), np.array([TEACHER, TEACHER])
    mask = np.array([[True] * 5, [True, True, False, True, True]])
    heat = {"temperature": 0.7, "teacher_temperature": 2.0}
    found, step = loss_at(loss, student, teacher, mask, **heat).gradient, 1e-5
    for cell in np.ndindex(student.shape):
        ends = []
        for way in (step, -step):
            moved = student.copy()
            moved[cell] += way
            ends.append(loss_at(loss, moved, teacher, mask, **heat).value)
        assert found[cell] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)
    assert found[1, 2] == 0.0 and np.abs(found).max() > 0


def test_a_masked_or_unscored_passage_may_hold_anything():
    plain = loss_at("kl", np.array([[1.0, 2.0]]), np.array([[2.0, 0.0]]))
    masked = loss_at("kl", np.array([[1.0, 2.0, NAN]]), np.array([[2.0, 0.0, 9.0]]), np.array([[True, True, False]]))
    unscored = loss_at("kl", np.array([[1.0, 2.0, 7.0]]), np.array([[2.0, 0.0, NAN]]))
    for other in (masked, unscored):
        assert other.value == pytest.approx(plain.value)
        np.testing.assert_allclose(other.gradient, [[*plain.gradient[0], 0.0]])


def test_temperatures_reach_the_losses_that_take_them_and_no_others():
    taking = [loss for loss in LOSSES if takes_temperature(loss)]
    assert taking == ["kl", "reverse_kl", "js", "listnet"]
    for loss in LOSSES:
        cold, hot = (gradient(bench(teacher_temperature=heat), loss).value for heat in (1.0, 5.0))
        assert (cold != hot) == (loss in taking)
    scaled = LOSSES["kl"](torch.tensor([STUDENT]) / 0.5, torch.tensor([TEACHER]) / 4.0).item()
    assert gradient(bench(temperature=0.5, teacher_temperature=4.0)).value == pytest.approx(scaled, rel=1e-5)


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_steps_agree_with_steps_by_hand(optimiser):
    found = descend("mse", np.array([0.0, 3.0]), np.array([2.0, 3.0]), steps=3, rate=0.1, optimiser=optimiser)
    scores, first, second = 0.0, 0.0, 0.0
    for n in range(1, 4):
        slope = scores - 2.0  # mean over two cells of (s - t)^2
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        adam = (first / (1 - 0.9**n)) / (np.sqrt(second / (1 - 0.999**n)) + 1e-8)
        scores -= 0.1 * (slope if optimiser == "SGD" else adam)
        assert found.scores[n, 0] == pytest.approx(scores, rel=1e-6)
    assert found.scores[:, 1].tolist() == [3.0] * 4 and found.losses[0] == 2.0 and not found.ran_away


def test_steps_that_run_away_end_early_and_it_is_said():
    one = bench(loss="margin_mse", rate=50.0, steps=200)
    away = path(one)
    assert away.ran_away and len(away.scores) == len(away.losses) < 100
    assert "Under margin_mse the loss has grown" in " ".join(told(one, {"margin_mse": away}))
    assert np.isfinite(compared_figure(one, {"margin_mse": away}, "scores").layout.xaxis.range).all()


def test_a_loss_that_grows_is_said_and_does_not_flatten_the_others():
    one = bench(loss="mse", rate=8.0, steps=6)  # the error is multiplied by 1 - 8 x 2 / 5 at each step
    after = {"mse": path(one), "kl": path(bench(steps=6), "kl")}
    assert after["mse"].losses[-1] > 100 * after["mse"].losses[0] and not after["mse"].ran_away
    assert "Under mse the loss has grown" in " ".join(told(one, after))
    low, high = compared_figure(one, after, "scores").layout.xaxis.range
    assert -10 < low < min(TEACHER) and max(TEACHER) < high < 10


def test_the_presets_show_what_their_notes_say():
    made = {name: preset.made(bench()) for name, preset in PRESETS.items()}
    shifted = {loss: gradient(made["student = teacher + 3"], loss) for loss in LOSSES}
    assert [shifted[loss].value for loss in ("margin_mse", "kl")] == pytest.approx([0, 0], abs=1e-12)
    assert shifted["mse"].value == pytest.approx(9) and (shifted["mse"].gradient > 0).all()
    order = np.argsort(TEACHER)
    for loss in ("mse", "margin_mse", "kl", "ranknet"):
        ends = path(made["student = teacher × 2"], loss, steps=1).scores[:, order[[0, -1]]]
        apart = ends[:, 1] - ends[:, 0]
        assert (apart[1] > apart[0]) == (loss == "ranknet")
    hot = gradient(made["one-hot teacher"], "kl").gradient[0]
    assert hot[0] < 0 and hot[1:] == pytest.approx(hot[1]) and hot[1] > 0
    softer = gradient(replace(made["one-hot teacher"], teacher_temperature=8.0), "kl").gradient[0]
    assert np.abs(softer).max() < np.abs(hot).max()
    assert wrong_pairs(made["order reversed"].student, np.array(TEACHER), made["order reversed"].counted) == 10
    assert (gradient(made["student all 0"]).gradient != 0).any()


def test_a_padded_passage_stays_where_it_is_under_every_loss():
    padded = PRESETS["padded passage"].made(bench())
    assert padded.counted.tolist() == [True] * 4 + [False]
    for loss, one in paths(padded, list(LOSSES)).items():
        assert gradient(padded, loss).gradient[0, -1] == 0.0
        assert one.scores[-1, -1] == padded.student[-1] == max(TEACHER) + 3
        kept = benches(TEACHER[:4], STUDENT[:4])["question 1"]
        np.testing.assert_allclose(one.scores[-1, :4], path(kept, loss).scores[-1], atol=1e-9)


def test_margin_mse_reaches_the_teacher_up_to_a_constant_and_mse_itself():
    after = paths(bench(steps=200, rate=0.3), ["mse", "margin_mse"])
    assert after["mse"].scores[-1] == pytest.approx(TEACHER, abs=1e-3)
    apart = after["margin_mse"].scores[-1] - np.array(TEACHER)
    assert apart == pytest.approx(apart[0], abs=1e-3) and abs(apart[0]) > 0.1
    centred = seen_as("scores minus their mean", np.array([after["margin_mse"].scores[-1], TEACHER]), bench().counted)
    np.testing.assert_allclose(centred[0], centred[1], atol=1e-3)


def test_figures_hold_the_gradients_and_the_scores():
    one = bench()
    figure = gradient_figure(one, ["kl", "mse"])
    drawn = {(trace.xaxis, row): x for trace in figure.data for row, x in zip(trace.y, trace.x, strict=True)}
    for axis, loss in (("x", "kl"), ("x2", "mse")):
        for row, value in enumerate(gradient(one, loss).gradient[0]):
            assert drawn[axis, row] == pytest.approx(value)
    raising = [trace for trace in figure.data if trace.name == "a step raises the score"]
    assert all(max(trace.x) < 0 and trace.marker.pattern.shape for trace in raising)
    after = paths(one, ["kl", "mse"])
    ends = [trace for trace in compared_figure(one, after, "scores").data if trace.name == "after the steps"]
    assert list(ends[1].x) == pytest.approx(list(after["mse"].scores[-1]))
    assert len(path_figure(one, after["kl"]).data) == 5 + 1


def test_rows_of_all_losses_tell_the_end_of_those_compared():
    rows = {row["loss"]: row for row in loss_rows(bench(), paths(bench(), ["mse"]))}
    assert list(rows) == list(LOSSES) and rows["mse"]["wrong_pairs"] == 0 and np.isnan(rows["kl"]["after"])
    assert rows["mse"]["gradient"] == pytest.approx(np.linalg.norm(2 * (np.array(STUDENT) - TEACHER) / 5))


def test_score_tables_are_aligned_and_a_missing_passage_does_not_count():
    teacher = ScoreTable("t", ["q1", "q2"], [["a", "b", "c"], ["d", "e", ""]], [[3, 2, 1], [2, 1, NAN]])
    student = ScoreTable("s", ["q2", "q1"], [["e", "d"], ["c", "a"]], [[5, 6], [7, 8]])
    lab = LossLab(teacher, student)
    assert lab.student.tolist() == [8, 0, 7] and lab.bench.counted.tolist() == [True, False, True]
    assert lab.bench.labels == ("a", "b", "c") and lab.sliders.counted == [True, False, True]
    lab.choose(question="q2")
    assert lab.student.tolist() == [6, 5, 0] and lab.bench.counted.tolist() == [True, True, False]
    assert lab.sliders.teacher == [2.0, 1.0, None]


def test_sliders_loss_steps_and_comparison_are_one_state():
    lab = LossLab(TEACHER, STUDENT, losses=["kl", "mse"])
    lab.loss = "mse"
    np.testing.assert_allclose(lab.gradient(), 2 * (np.array(STUDENT) - TEACHER) / 5)
    assert lab.sliders.push == pytest.approx((-lab.gradient()).tolist())
    lab.sliders.scores = [9.0, *STUDENT[1:]]  # as the page does
    assert lab.student[0] == 9.0 and lab.sliders.push[0] < 0 and lab.sliders.bounds[1] >= 9.0
    lab.choose(rate=0.5)
    np.testing.assert_allclose(lab.step(2), np.array(TEACHER) + (lab_start(lab) - TEACHER) * 0.8**2)
    assert lab.sliders.scores == pytest.approx(lab.student.tolist())
    frame = lab.compare()
    assert list(frame.columns) == ["teacher", "start", "kl", "mse"] and list(frame["start"]) == lab.student.tolist()
    np.testing.assert_allclose(frame["mse"], path(lab.bench, "mse").scores[-1])
    lab.sliders.counted = [False, True, True, True, True]
    assert lab.gradient()[0] == 0.0
    lab._buttons["to the start"].click()
    assert lab.student.tolist() == STUDENT and all(lab.sliders.counted)


def lab_start(lab):
    return np.array([9.0, *STUDENT[1:]])


def test_presets_and_the_student_can_be_set_from_python():
    lab = LossLab(TEACHER)
    assert lab.student.tolist() == [0.0] * 5 and lab.loss == "kl"
    lab.choose(preset="padded passage")
    assert lab.sliders.counted[-1] is False and "does not count" in lab._note.value
    lab.student = torch.tensor(STUDENT)
    assert lab.sliders.scores == pytest.approx(STUDENT) and lab.student == pytest.approx(STUDENT, abs=1e-6)
    lab._buttons["all steps"].click()
    start = replace(lab.bench, student=np.float32(STUDENT).astype(float))
    np.testing.assert_allclose(lab.student, path(start).scores[-1])


def test_what_goes_to_the_page_is_small_and_the_export_stands_alone(tmp_path):
    labels = [f"<b>passage {n}" for n in range(12)]
    lab = LossLab(list(range(12)), labels=labels)
    assert sum(len(json.dumps(view._figure)) for view in lab._pictures.values()) < 80_000
    assert len(json.dumps(lab._pictures["gradient"]._figure)) < 25_000  # what a moved slider sends at once
    lab = LossLab(list(range(12)), labels=labels, losses=["mse", "margin_mse"])
    page = lab.export_html(tmp_path / "lab.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 500_000 and "<script" not in page and "<b>passage" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    buttons = re.findall(r'<input type="radio"[^>]*>', page)
    assert len(buttons) == len(PRESETS) + 1 + 3 and sum("checked" in button for button in buttons) == 2
    assert page.count("<svg") == (len(PRESETS) + 1) * (2 + 3)
    assert len(set(re.findall(r'id="([^"]+)"', page))) == len(re.findall(r'id="', page))  # none is there twice
    still = lab.still()
    assert still.count("<svg") == 3 and "<table" in still and "<script" not in still
    assert "Loss lab" in lab._repr_mimebundle_()["text/html"]


def test_close_closes_all_that_it_holds():
    lab = LossLab(TEACHER)
    held = [lab.sliders, *lab._pictures.values(), *lab.controls.values(), *lab._buttons.values()]
    lab.close()
    assert all(widget.comm is None for widget in held)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
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
def test_what_is_wrong_is_said(arguments, options, said):
    with pytest.raises(KitError, match=said):
        LossLab(*arguments, **options)


def test_wrong_settings_are_refused():
    lab = LossLab(TEACHER)
    for change, said in (
        ({"loss": "huber"}, "huber"), ({"preset": "none"}, "none"), ({"temperature": 0.0}, "0.0"),
        ({"steps": 1000}, "1000"), ({"colour": 1}, "colour"), ({"compared": []}, "compared"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=said):
            lab.choose(**change)
    with pytest.raises(KitError, match="5 finite scores"):
        lab.student = [1.0, NAN, 0.0, 0.0, 0.0]
    with pytest.raises(KitError, match="steps"):
        lab.step(-1)
    with pytest.raises(KitError, match="2 finite numbers"):
        ScoreSliders(["a", "b"], [1.0, 2.0], [0.0, 5.0]).scores = [NAN, 1.0]
