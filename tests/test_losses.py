"""What every loss must and must not care about, and its errors. Its numbers: test_losses_numbers.py."""

from __future__ import annotations

import math

import pytest
import torch

from kit.losses import LOSSES, dpr_reader_loss, emdr2, in_batch_nll
from kit.types import KitError

NAMES = sorted(LOSSES)
TAKE_IMPOSSIBLE = ("js", "kl", "listnet")  # a teacher of -inf is probability 0 for these
NAN, INF = float("nan"), float("inf")
close = torch.testing.assert_close


def with_gradient(loss, student, *rest, **options):
    student = student.clone().requires_grad_()
    value = loss(student, *rest, **options)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


def scores(q=5, k=7, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (2 * torch.randn(2, q, k, generator=generator)).to(dtype)
    mask = torch.arange(k) < torch.tensor([k, k - 1, 4, 2, 3])[:q, None]
    return student, teacher, mask


# ---- what every loss must and must not care about


@pytest.mark.parametrize("garbage", [77.0, NAN, INF, -INF])
@pytest.mark.parametrize("name", NAMES)
def test_masked_cells_change_nothing_not_even_gradients(name, garbage):
    student, teacher, mask = scores()
    value, gradient = with_gradient(LOSSES[name], student, teacher, mask)
    dirty = (student.masked_fill(~mask, garbage), teacher.masked_fill(~mask, garbage))
    dirty_value, dirty_gradient = with_gradient(LOSSES[name], *dirty, mask)
    assert value > 0
    close(dirty_value, value)
    close(dirty_gradient, gradient)
    assert (gradient[~mask] == 0).all() and (gradient[mask] != 0).any()
    single, _ = with_gradient(LOSSES[name], student[:, :4], teacher[:, :4])
    pad = torch.nn.functional.pad
    padded = (pad(student[:, :4], (0, 3, 0, 2), value=garbage), pad(teacher[:, :4], (0, 3, 0, 2), value=garbage))
    padded_mask = pad(torch.ones(5, 4, dtype=torch.bool), (0, 3, 0, 2))  # columns and whole questions
    close(LOSSES[name](*padded, padded_mask), single)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_passages_and_questions_does_not_matter(name):
    student, teacher, mask = scores()
    rows, columns = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([5, 2, 0, 6, 1, 4, 3])
    shuffled = [tensor[rows][:, columns] for tensor in (student, teacher, mask)]
    close(LOSSES[name](*shuffled), LOSSES[name](student, teacher, mask))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_learn_is_zero_with_zero_gradient(name):
    student, teacher, mask = scores()
    nothing = torch.zeros_like(mask)
    for garbage in (1.0, NAN):
        value, gradient = with_gradient(LOSSES[name], torch.full_like(student, garbage), teacher, nothing)
        assert value == 0 and (gradient == 0).all()
    empty, _ = with_gradient(LOSSES[name], torch.zeros(0, 3), torch.zeros(0, 3))
    assert empty == 0
    assert LOSSES[name](torch.zeros(2, 0), torch.zeros(2, 0)) == 0


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"mse"}))
def test_one_passage_alone_adds_zero_and_is_counted(name):
    student, teacher, mask = scores(q=2)
    lone = torch.zeros_like(mask)
    lone[:, 1] = True
    value, gradient = with_gradient(LOSSES[name], student, teacher, lone)
    assert value == 0 and (gradient == 0).all()
    both = torch.cat([mask, lone])
    whole = LOSSES[name](student.repeat(2, 1), teacher.repeat(2, 1), both)
    close(whole, LOSSES[name](student, teacher, mask) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_teacher_gets_no_gradient_and_nothing_is_written(name):
    student, teacher, mask = scores()
    before = [tensor.clone() for tensor in (student, teacher, mask)]
    wants = teacher.clone().requires_grad_()
    LOSSES[name](student.clone().requires_grad_(), wants, mask).backward()
    assert wants.grad is None
    assert all(torch.equal(a, b) for a, b in zip(before, (student, teacher, mask), strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_float32(name, dtype):
    student, teacher, mask = (scores()[0] * 40).to(dtype), (scores()[1] * 40).to(dtype), scores()[2]
    value, gradient = with_gradient(LOSSES[name], student, teacher, mask)
    wanted, wanted_gradient = with_gradient(LOSSES[name], student.float(), teacher.float(), mask)
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    close(value, wanted, rtol=0, atol=0)
    close(gradient, wanted_gradient.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope(name):
    student, teacher, mask = (tensor[1:4, :4] for tensor in scores(dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, teacher, mask), student.requires_grad_(), eps=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_unscored_passage_is_left_out(name):
    student, teacher, mask = scores()
    without = mask.clone()
    without[:, 0] = False
    value, gradient = with_gradient(LOSSES[name], student, teacher.masked_fill(mask & ~without, NAN), mask)
    wanted, wanted_gradient = with_gradient(LOSSES[name], student, teacher, without)
    close(value, wanted)
    close(gradient, wanted_gradient)


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_of_minus_infinity(name):
    """A passage without tokens: as unlikely as can be for the losses on probabilities, left out by the others."""
    student, teacher, mask = scores()
    impossible = teacher.clone()
    impossible[:, 0] = -INF
    value, gradient = with_gradient(LOSSES[name], student, impossible, mask)
    without = mask.clone()
    without[:, 0] = False
    same = (impossible.clamp(min=-1e9), mask) if name in TAKE_IMPOSSIBLE else (teacher, without)
    wanted, wanted_gradient = with_gradient(LOSSES[name], student, *same)
    close(value, wanted)
    close(gradient, wanted_gradient)
    nothing_scored, gradient = with_gradient(LOSSES[name], student, torch.full_like(teacher, -INF), mask)
    assert nothing_scored == 0 and (gradient == 0).all()


SHIFT_FREE = sorted(set(NAMES) - {"mse"})


@pytest.mark.parametrize("name", SHIFT_FREE)
def test_a_constant_added_to_a_question_changes_nothing(name):
    student, teacher, mask = scores()
    constant = torch.tensor([3.0, -2.0, 9.0, 0.5, -7.0])[:, None]
    wanted = LOSSES[name](student, teacher, mask)
    close(LOSSES[name](student + constant, teacher, mask), wanted, rtol=1e-5, atol=1e-5)
    close(LOSSES[name](student, teacher - constant, mask), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_scale_does(name):
    student, teacher, mask = scores()
    value = LOSSES[name](student, teacher, mask)
    teacher_scale_is_free = torch.isclose(LOSSES[name](student, 3 * teacher, mask), value)
    assert bool(teacher_scale_is_free) == (name in ("max_margin", "ranknet"))
    assert not torch.isclose(LOSSES[name](3 * student, teacher, mask), value)


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "js", "margin_mse", "mse"])
def test_a_student_equal_to_its_teacher_costs_nothing(name):
    _, teacher, mask = scores()
    value, gradient = with_gradient(LOSSES[name], teacher, teacher, mask)
    assert value.abs() < 1e-6 and gradient.abs().max() < 1e-6


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "js", "listnet"])
def test_temperatures_divide_the_scores(name):
    student, teacher, mask = scores()
    value = LOSSES[name](student, teacher, mask, temperature=2.0, teacher_temperature=0.5)
    close(value, LOSSES[name](student / 2.0, teacher / 0.5, mask))
    close(LOSSES[name](student, teacher, mask, temperature=2.0), LOSSES[name](student / 2.0, teacher / 2.0, mask))


def test_in_batch_nll_keeps_float32_under_autocast():
    questions, passages = torch.full((1, 64), 1.25), torch.full((2, 64), 1.25)
    passages[1, 0] += 0.01
    positive = torch.tensor([0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close(in_batch_nll(questions, passages, positive), torch.tensor(math.log(1 + math.exp(0.0125))))


def test_emdr2_ignores_masked_cells_and_the_reader_gets_no_gradient():
    generator = torch.Generator().manual_seed(1)
    likelihoods, student = -torch.rand(2, 4, 3, generator=generator), torch.randn(2, 4, generator=generator)
    words, mask = (
        torch.tensor([[True, True, False], [True] * 3]),
        torch.tensor([[True] * 4, [True, True, False, False]]),
    )
    known = mask[:, :, None] & words[:, None, :]
    for per in ("token", "sequence"):
        values = []
        for garbage in (-1.0, NAN, -INF):
            reader = likelihoods.masked_fill(~known, garbage).requires_grad_()
            scored = student.masked_fill(~mask, garbage).requires_grad_()
            loss = emdr2(reader, scored, words, mask, per=per)
            loss.backward()
            assert reader.grad is None and scored.grad.isfinite().all() and (scored.grad[~mask] == 0).all()
            values.append(loss.item())
        assert values[0] == values[1] == values[2]
        nothing, gradient = with_gradient(
            lambda s, m, per=per: emdr2(likelihoods, s, words, m, per=per), student, torch.zeros_like(mask)
        )
        assert nothing == 0 and (gradient == 0).all()
        one_left = mask & torch.tensor([[True], [False]])
        alone = emdr2(likelihoods[:1], student[:1], words[:1], mask[:1], per=per)
        close(emdr2(likelihoods, student, words, one_left, per=per), alone)


def test_dpr_reader_loss_leaves_out_masked_passages_and_spans_that_were_cut_off():
    generator = torch.Generator().manual_seed(2)
    logits = [torch.randn(3, 4, *tail, generator=generator) for tail in ((12,), (12,), ())]
    start, end = torch.randint(0, 12, (2, 3, 4, 3), generator=generator)
    answers = torch.ones(3, 4, 3, dtype=torch.bool)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[:, 3] = False
    dirty = [tensor.clone() for tensor in logits]
    for tensor in dirty:
        tensor[:, 3] = NAN
    wanted = dpr_reader_loss(*[tensor[:, :3] for tensor in (*logits, start, end, answers)])
    close(dpr_reader_loss(*dirty, start, end, answers, mask), wanted)
    dirty[0][0, 0] = dirty[2][0, 0] = NAN  # a question whose positive is masked
    mask[0, 0] = False
    wanted, gradient = with_gradient(lambda s: dpr_reader_loss(s, *dirty[1:], start, end, answers, mask), dirty[0])
    close(wanted, dpr_reader_loss(*[tensor[1:, :3] for tensor in (*logits, start, end, answers)]))
    assert gradient.isfinite().all() and (gradient[0] == 0).all()
    cut = end.clone()
    cut[0, 0, 1] = 99
    fewer = answers.clone()
    fewer[0, 0, 1] = False
    close(dpr_reader_loss(*logits, start, cut, answers), dpr_reader_loss(*logits, start, end, fewer))


# ---- errors


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": torch.zeros(2, 4)}, r"loss: teacher: wanted the student's shape \(2, 3\), given \(2, 4\)"),
        (
            {"mask": torch.ones(3, 2, dtype=torch.bool)},
            r"loss: mask: wanted bool \(2, 3\), .* given torch.bool \(3, 2\)",
        ),
        ({"mask": torch.ones(2, 3)}, r"loss: mask: wanted bool .* given torch.float32 \(2, 3\)"),
        ({"student": torch.zeros(2, 3, dtype=torch.long)}, r"loss: student: wanted floating scores"),
        ({"student": torch.zeros(3), "teacher": torch.zeros(3)}, r"loss: student: wanted floating scores \(q, k\)"),
        ({"teacher": [[0.0] * 3] * 2}, r"loss: wanted two tensors \(q, k\), given Tensor and list"),
    ],
)
def test_wrong_tables_are_named(name, change, message):
    with pytest.raises(KitError, match=message):
        LOSSES[name](**{"student": torch.zeros(2, 3), "teacher": torch.zeros(2, 3), **change})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kl", {"temperature": 0.0}, "temperature: wanted a finite number above 0, given 0.0"),
        ("js", {"teacher_temperature": -1.0}, "temperature: wanted a finite number above 0, given -1.0"),
        ("listnet", {"epsilon": -0.1}, "epsilon: wanted at least 0, given -0.1"),
        ("max_margin", {"margin": 0}, "margin: wanted a number above 0, given 0"),
        ("ranknet", {"target": "soft"}, "target: wanted 'order' or 'probability', given 'soft'"),
        ("lambda_rank", {"scheme": "ndcg"}, "scheme: wanted one of ndcg_loss1, .* given 'ndcg'"),
        ("lambda_rank", {"relevance": "logits"}, "relevance: wanted 'softmax' or 'grades', given 'logits'"),
        ("lambda_rank", {"relevance": "grades"}, "grades of at least 0, given -1.0"),
        ("lambda_rank", {"cutoff": 0}, "cutoff: wanted at least 1, given 0"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(KitError, match=message):
        LOSSES[name](torch.zeros(1, 2), torch.tensor([[-1.0, 1.0]]), **options)


def test_wrong_vectors_and_likelihoods_are_named():
    vectors, positive = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(KitError, match=r"passage_vectors \(x, d\): wanted shape \(4, 3\), given \(4, 5\)"):
        in_batch_nll(vectors, torch.zeros(4, 5), positive)
    for wrong in (torch.tensor([0, 4]), torch.tensor([0, -100])):
        with pytest.raises(KitError, match="positive: wanted integers from 0 to 3"):
            in_batch_nll(vectors, torch.zeros(4, 3), wrong)
    words = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(
        KitError, match=r"answer_log_likelihoods \(q, k, a\): wanted shape \(2, 3, 5\), given \(2, 4, 5\)"
    ):
        emdr2(torch.zeros(2, 4, 5), torch.zeros(2, 3), words)
    with pytest.raises(KitError, match="per: wanted 'token' or 'sequence', given 'word'"):
        emdr2(torch.zeros(2, 3, 5), torch.zeros(2, 3), words, per="word")
    with pytest.raises(KitError, match=r"end_logits \(q, k, t\): wanted shape \(1, 2, 4\), given \(1, 2, 3\)"):
        spans = torch.zeros(1, 2, 1, dtype=torch.long)
        dpr_reader_loss(torch.zeros(1, 2, 4), torch.zeros(1, 2, 3), torch.zeros(1, 2), spans, spans, spans)
