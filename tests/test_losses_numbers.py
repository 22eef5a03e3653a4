"""Losses and gradients against recorded numbers of the originals (golden/README.md), slow loops, hand-worked ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kit.losses import LOSSES, dpr_reader_loss, emdr2, in_batch_nll
from kit.losses.ranking import lambda_loss

GOLDEN = Path(__file__).parent / "golden" / "losses"
MATCHMAKER = load_file(GOLDEN / "matchmaker.safetensors")
DPR = load_file(GOLDEN / "dpr.safetensors")
ATLAS = load_file(GOLDEN / "atlas.safetensors")
close = torch.testing.assert_close


def with_gradient(loss, student, *rest, **options):
    student = student.clone().requires_grad_()
    value = loss(student, *rest, **options)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


def pair(name):
    """Recorded (pos, neg) arrays, or gradients by them, as the two columns of a question."""
    first, second = (".grad0", ".grad1") if f"{name}.grad0" in MATCHMAKER else ("_pos", "_neg")
    return torch.stack([MATCHMAKER[name + first], MATCHMAKER[name + second]], 1)  # (q, 2)


@pytest.mark.parametrize("recorded", ["margin_mse", "margin_mse_nrkd", "mse_pointwise"])
def test_recorded_pairs(recorded):
    loss = LOSSES["mse" if recorded.startswith("mse") else "margin_mse"]
    value, gradient = with_gradient(loss, pair("scores"), pair("label"))
    close(value, MATCHMAKER[recorded])
    close(gradient, pair(recorded))


def test_recorded_ranknet_with_soft_labels():
    """The recorded label p is the teacher's probability: scores of logit(p) and 0."""
    teacher = torch.stack([MATCHMAKER["probs"].logit(), torch.zeros(5)], 1)
    value, gradient = with_gradient(LOSSES["ranknet"], pair("scores"), teacher, target="probability")
    close(value, MATCHMAKER["ranknet"])
    close(gradient, pair("ranknet"))


def test_recorded_mse_plus_ranknet():
    positive_first = torch.tensor([[1.0, 0.0]]).expand(5, 2)
    mse, mse_gradient = with_gradient(LOSSES["mse"], pair("scores"), pair("label"))
    ranknet, ranknet_gradient = with_gradient(LOSSES["ranknet"], pair("scores"), positive_first)
    close(mse + ranknet, MATCHMAKER["mse_ranknet_teacher"])
    close(mse_gradient + ranknet_gradient, pair("mse_ranknet_teacher"))


def test_recorded_weighted_ranknet_where_the_teacher_agrees_with_the_label():
    """Where the teacher prefers the negative the original's weight is negative: it pushes, we order by the teacher."""
    student, teacher, recorded = pair("scores"), pair("label"), pair("ranknet_teacher_weighted")
    value, gradient = with_gradient(LOSSES["ranknet_weighted"], student, teacher)
    agrees = teacher[:, 0] > teacher[:, 1]
    assert agrees.any() and not agrees.all()
    close(gradient[agrees], recorded[agrees])
    margin, weight = student[:, 0] - student[:, 1], teacher[:, 0] - teacher[:, 1]
    close((weight * torch.log1p(torch.exp(-margin))).mean(), MATCHMAKER["ranknet_teacher_weighted"])
    close((weight.abs() * torch.log1p(torch.exp(-margin * weight.sign()))).mean(), value)
    assert value.item() == pytest.approx(1.9077, abs=1e-4)
    assert MATCHMAKER["ranknet_teacher_weighted"].item() == pytest.approx(-4.0748, abs=1e-4)


def test_recorded_interpassage_is_the_mean_over_positive_negative_pairs():
    positive, negative = MATCHMAKER["passage_scores_pos"], MATCHMAKER["passage_scores_neg"]
    label_positive, label_negative = MATCHMAKER["passage_label_pos"], MATCHMAKER["passage_label_neg"]
    values = [
        LOSSES["margin_mse"](
            torch.stack([positive[:, i], negative[:, j]], 1),
            torch.stack([label_positive[:, i], label_negative[:, j]], 1),
        )
        for i in range(positive.shape[1])
        for j in range(negative.shape[1])
    ]
    close(torch.stack(values).mean(), MATCHMAKER["margin_mse_interpassage"])


def test_recorded_passage_mse_masks_where_the_teacher_is_missing():
    halves = []
    for side in ("pos", "neg"):
        student = MATCHMAKER[f"passage_scores_{side}"]
        teacher = MATCHMAKER[f"passage_label_{side}"][:, : student.shape[1]]
        halves.append(LOSSES["mse"](student, teacher, teacher != 0))
    close(sum(halves) / 2, MATCHMAKER["mse_pointwise_passages"])


def test_recorded_lists():
    student, teacher = MATCHMAKER["list_scores"], MATCHMAKER["list_teacher"]
    close(LOSSES["kl"](student, teacher), MATCHMAKER["kldiv_list_proper_batchmean"])
    close(LOSSES["kl"](student, teacher) / student.shape[1], MATCHMAKER["kldiv_list_proper_mean_as_fid"])
    for name, epsilon in {"listnet": 1e-6, "soft_cross_entropy": 0.0}.items():
        value, gradient = with_gradient(LOSSES["listnet"], student, teacher, epsilon=epsilon)
        close(value, MATCHMAKER[name])
        close(gradient, MATCHMAKER[f"{name}.grad0"])


SCHEMES = {
    "lambda_rank": "lamdbaRank_scheme",
    "ndcg_loss1": "ndcgLoss1_scheme",
    "ndcg_loss2": "ndcgLoss2_scheme",
    "ndcg_loss2pp": "ndcgLoss2PP_scheme",
}


@pytest.mark.parametrize("name", SCHEMES)
def test_recorded_lambda_losses(name):
    """The originals sum over the batch; grades of -1 are padding, which they overwrite by -inf in place."""
    student, grades = MATCHMAKER["list_scores"], MATCHMAKER["list_relevance"]
    student_before, grades_before = student.clone(), grades.clone()
    value, gradient = with_gradient(LOSSES[name], student, grades, grades >= 0, relevance="grades")
    close(value * len(student), MATCHMAKER[f"lambda.{SCHEMES[name]}"])
    close(gradient * len(student), MATCHMAKER[f"lambda.{SCHEMES[name]}.grad0"])
    assert torch.equal(student, student_before) and torch.equal(grades, grades_before)


@pytest.mark.parametrize("name", SCHEMES)
def test_recorded_lambda_losses_at_cutoff_3(name):
    """Recorded: natural logarithm, and the mean over the batch's pairs within the student's first 3."""
    student, grades = MATCHMAKER["list_scores"], MATCHMAKER["list_relevance"]
    mask = grades >= 0
    top = student.masked_fill(~mask, -math.inf).topk(3).indices
    first = grades.gather(1, top)
    pairs = 9 * len(student) if name == "ndcg_loss1" else int((first[:, :, None] > first[:, None, :]).sum())
    value, gradient = with_gradient(LOSSES[name], student, grades, mask, relevance="grades", cutoff=3, sigma=0.7)
    factor = len(student) * math.log(2) / pairs
    close(value * factor, MATCHMAKER[f"lambda.{SCHEMES[name]}.k3_mean_natural"])
    close(gradient * factor, MATCHMAKER[f"lambda.{SCHEMES[name]}.k3_mean_natural.grad0"])


def test_recorded_lambda_teacher():
    student, teacher = MATCHMAKER["list_scores"], MATCHMAKER["list_teacher"]
    value, gradient = with_gradient(LOSSES["ndcg_loss2"], student, teacher)
    close(value * len(student), MATCHMAKER["lambda_teacher.ndcgLoss2_scheme"])
    close(gradient * len(student), MATCHMAKER["lambda_teacher.ndcgLoss2_scheme.grad0"])


@pytest.mark.parametrize(
    ("scheme", "name", "power", "floor_matters"),
    [
        ("rankNet_scheme", "ranknet", 1, False),
        ("rankNetWeightedByGTDiff_scheme", "ranknet_weighted", 1, True),
        ("rankNetWeightedByGTDiffPowed_scheme", "ranknet_weighted", 2, True),
    ],
)
def test_recorded_ranknet_schemes(scheme, name, power, floor_matters):
    """The same pairs in bits, summed; the original's floor of log2(1e-6) a pair is the whole difference."""
    student, grades = MATCHMAKER["list_scores"], MATCHMAKER["list_relevance"]
    ours, recorded, free = 0.0, 0.0, 0.0
    for s, y in zip(student, grades, strict=True):
        s, y = s[y >= 0], y[y >= 0] ** power
        costs = [
            (y[i] - y[j] if name == "ranknet_weighted" else 1.0) * torch.log2(1 + torch.exp(s[j] - s[i]))
            for i in range(len(s))
            for j in range(len(s))
            if y[i] > y[j]
        ]
        free += sum(costs)
        recorded += sum(cost.clamp(max=-math.log2(1e-6)) for cost in costs)
        ours += LOSSES[name](s[None], y[None]) * len(costs) / math.log(2)
    close(ours, free)
    close(recorded, MATCHMAKER[f"lambda.{scheme}"])
    assert bool(free > recorded * 1.01) == floor_matters


@pytest.mark.parametrize("tag", ["t0.01", "t1_g0.1"])
@pytest.mark.parametrize(
    ("signal", "gold"),
    [("pdist", "perplexity_score"), ("loop", "loop_score"), ("adist_normssum", "eval_score.evalnormssum")],
)
def test_recorded_atlas_targets_divide_by_k_once_more(tag, signal, gold):
    student = ATLAS[f"{tag}.retriever_score"]
    temperature, teacher_temperature = {"t0.01": (0.01, 0.01), "t1_g0.1": (1.0, 0.1)}[tag]
    options = {"temperature": temperature, "teacher_temperature": teacher_temperature}
    value, gradient = with_gradient(LOSSES["kl"], student, ATLAS[gold], **options)
    k = student.shape[1]
    close(value / k, ATLAS[f"{tag}.{signal}.loss"], rtol=1e-5, atol=1e-6)
    close(gradient / k, ATLAS[f"{tag}.{signal}.grad"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("tag", "temperature", "reader_temperature"), [("t0.01", 0.01, 0.01), ("t1_g0.1", 1.0, 0.1)])
def test_recorded_atlas_emdr(tag, temperature, reader_temperature):
    """Atlas divides the reader's logits by its teacher temperature; we take likelihoods as they are."""
    student, labels = ATLAS[f"{tag}.retriever_score"], ATLAS["labels"]
    q, k = student.shape
    logits = ATLAS["emdr_score"].view(q, k, labels.shape[1], -1)  # (q, k, a, v)
    index = labels.clamp(min=0)[:, None, :, None].expand(q, k, -1, 1)
    likelihoods = (logits / reader_temperature).log_softmax(-1).gather(-1, index)[..., 0]  # (q, k, a)
    value, gradient = with_gradient(
        lambda s, *rest: emdr2(likelihoods, s, *rest, temperature=temperature), student, labels != -100
    )
    close(value, ATLAS[f"{tag}.emdr.loss"])
    close(gradient, ATLAS[f"{tag}.emdr.grad"], rtol=1e-4, atol=1e-5)


def test_recorded_in_batch_nll():
    questions, passages = (DPR[name].clone().requires_grad_() for name in ("q_vectors", "ctx_vectors"))
    loss = in_batch_nll(questions, passages, DPR["positive_idx"])
    loss.backward()
    close(loss.detach(), DPR["nll_loss"])
    close(questions.grad, DPR["nll_loss.grad_q"])
    close(passages.grad, DPR["nll_loss.grad_ctx"])


def test_recorded_dpr_reader_loss():
    names = ("start_logits", "end_logits", "relevance_logits")
    logits = [DPR[name].clone().requires_grad_() for name in names]
    positions = (DPR["start_positions"], DPR["end_positions"])
    loss = dpr_reader_loss(*logits, *positions, DPR["answer_mask"])
    loss.backward()
    close(loss.detach(), DPR["reader_loss"])
    for tensor, side in zip(logits, ("start", "end", "relevance"), strict=True):
        close(tensor.grad, DPR[f"reader_loss.grad_{side}"])
    unanswered = dpr_reader_loss(*logits, *positions, DPR["answer_mask_none_for_first"])
    close(unanswered.detach(), DPR["reader_loss_none_for_first"])


# ---- slow loops and hand-worked numbers


def slow_softmax(values):
    weights = [math.exp(value) for value in values]
    return [weight / sum(weights) for weight in weights]


def slow_kl(p, r):
    return sum(a * math.log(a / b) for a, b in zip(p, r, strict=True) if a > 0)


def slow_pairs(cost, s, t, *, ordered):
    n = range(len(s))
    costs = [cost(s[i] - s[j], t[i] - t[j]) for i in n for j in n if (t[i] > t[j] if ordered else i < j)]
    return sum(costs) / max(len(costs), 1)


def slow_js(s, t):
    r, p = slow_softmax(s), slow_softmax(t)
    m = [(a + b) / 2 for a, b in zip(p, r, strict=True)]
    return (slow_kl(p, m) + slow_kl(r, m)) / 2


SLOW = {
    "kl": lambda s, t: slow_kl(slow_softmax(t), slow_softmax(s)),
    "reverse_kl": lambda s, t: slow_kl(slow_softmax(s), slow_softmax(t)),
    "js": slow_js,
    "listnet": lambda s, t: -sum(p * math.log(r + 1e-6) for p, r in zip(slow_softmax(t), slow_softmax(s), strict=True)),
    "margin_mse": lambda s, t: slow_pairs(lambda a, b: (a - b) ** 2, s, t, ordered=False),
    "max_margin": lambda s, t: slow_pairs(lambda a, b: max(0.0, 1.0 - a), s, t, ordered=True),
    "ranknet": lambda s, t: slow_pairs(lambda a, b: math.log1p(math.exp(-a)), s, t, ordered=True),
    "ranknet_weighted": lambda s, t: slow_pairs(lambda a, b: b * math.log1p(math.exp(-a)), s, t, ordered=True),
}


@pytest.mark.parametrize("name", SLOW)
def test_ragged_questions_are_averaged_one_by_one(name):
    generator = torch.Generator().manual_seed(0)
    student, teacher = 2 * torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([7, 6, 4, 2, 3])[:, None]
    values = [SLOW[name](s[m].tolist(), t[m].tolist()) for s, t, m in zip(student, teacher, mask, strict=True)]
    assert LOSSES[name](student, teacher, mask).item() == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_mse_is_the_mean_over_cells_not_over_questions():
    student, teacher = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]), torch.zeros(2, 3)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert LOSSES["mse"](student, teacher, mask).item() == (1 + 4 + 9 + 16) / 4


def test_emdr2_per_sequence_multiplies_the_tokens_before_the_sum():
    likelihoods = torch.tensor([[[0.5, 0.5, 0.9], [0.25, 1.0, 0.9]]]).log()
    words, even = torch.tensor([[True, True, False]]), torch.zeros(1, 2)
    sequence = emdr2(likelihoods, even, words, per="sequence").item()
    assert sequence == pytest.approx(-math.log((0.5 * 0.5 + 0.25 * 1.0) / 2))
    token = emdr2(likelihoods, even, words).item()
    assert token == pytest.approx(-(math.log((0.5 + 0.25) / 2) + math.log((0.5 + 1.0) / 2)) / 2)


def test_lambda_loss_by_hand():
    """Grades 0 and 1 ranked the wrong way round, 2 apart: the swap is worth 1 - 1/log2(3) of nDCG."""
    student, grades = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    worth = 1 - 1 / math.log2(3)
    value = lambda_loss(student, grades, relevance="grades").item()
    assert value == pytest.approx(worth * math.log2(1 + math.exp(2.0)))
