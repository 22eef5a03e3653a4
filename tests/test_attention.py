"""Cross-attention, captured and aggregated: the originals' numbers, by hand, and what must make no difference."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kit.attention import AGGREGATIONS, Aggregation, capture_cross_attention, cross_attention_scores
from kit.attention.aggregation import aggregate_layers
from kit.device import evaluation
from kit.reader import FiDReader
from kit.types import KitError

GOLDEN = Path(__file__).parent / "golden" / "reader"


@pytest.fixture(scope="module", params=["degenerate", "deep_decoder"])
def original(request):
    path = GOLDEN / request.param
    return FiDReader.from_pretrained(path, device="cpu"), load_file(path / "io.safetensors")


@pytest.fixture(scope="module")
def atlas():
    return FiDReader.from_pretrained(GOLDEN / "atlas", device="cpu"), load_file(GOLDEN / "atlas" / "io.safetensors")


def test_fid_kd_logits_and_scores_are_the_originals(original):
    reader, io = original
    mask = io["attention_mask"]
    seen = capture_cross_attention(reader, io["input_ids"], mask)
    raw = seen.logits[:, :, :, 0].flatten(-2).permute(1, 2, 0, 3)  # (q, h, n, k*t), as recorded
    real = mask.flatten(1)[:, None, None].expand_as(raw)
    torch.testing.assert_close(raw[real], io["first_step_scores_raw"][real], rtol=0, atol=5e-3)  # they reach 80
    assert torch.isneginf(raw[~real]).all()
    for scores in (seen.scores("fid_kd"), cross_attention_scores(reader, io["input_ids"], mask)):
        some = mask.any(-1)
        assert (scores - io["crossattention_scores"])[some].abs().max() < 5e-4  # 3e-4 in deep_decoder, 7e-5 in float64
        assert torch.isneginf(scores[~some]).all() and not some.all()


def test_probabilities_and_value_norms_are_atlas(atlas):
    reader, io = atlas
    seen = capture_cross_attention(reader, io["reader_ids"], io["reader_mask"], io["labels"])
    for kind, name in (("probabilities", "prob_storage"), ("value_norms", "normalized_score_storage")):
        assert (getattr(seen, kind).mean(2).flatten(-2) - io[f"storage.{name}"]).abs().max() < 1e-4


@pytest.mark.parametrize("name", [name for name in AGGREGATIONS if name.startswith("atlas_")])
def test_atlas_aggregations(atlas, name):
    """Atlas's top-k of logits lets the zeros of padding win over negative logits: compared where nothing is padded."""
    reader, io = atlas
    options = {"aggregation": name, "labels": io["labels"], "question_lengths": io["query_mask"].sum(1)}
    scores = cross_attention_scores(reader, io["reader_ids"], io["reader_mask"], **options)
    difference = (scores - io[f"adist.{name.removeprefix('atlas_')}"]).abs()
    clean = io["reader_mask"].all(-1) if name.startswith("atlas_scorestop") else torch.ones_like(difference).bool()
    assert clean.sum() >= 3 and difference[clean].max() < 1e-5


def test_adist_is_atlas_normssum():
    assert AGGREGATIONS["adist"] == AGGREGATIONS["atlas_normssum"]


# Two layers, one question, one head already aggregated, two answer tokens, two passages of two tokens.
LAYERS = [
    torch.tensor([[[[1.0, 3.0], [10.0, -50.0]], [[5.0, 7.0], [20.0, -50.0]]]]),
    torch.tensor([[[[3.0, 5.0], [30.0, -50.0]], [[7.0, 9.0], [40.0, -50.0]]]]),
]
MASK = torch.tensor([[[True, True], [True, False]]])
LABELS = torch.tensor([[8, 1]])
BY_HAND = [
    (Aggregation(), [3.0, 20.0]),
    (Aggregation(over_tokens="sum"), [6.0, 20.0]),
    (Aggregation(over_tokens="max"), [4.0, 20.0]),
    (Aggregation(over_layers="max"), [4.0, 30.0]),
    (Aggregation(layers=(0,)), [2.0, 10.0]),
    (Aggregation(layers=(-1,)), [4.0, 30.0]),
    (Aggregation(answer="all"), [5.0, 25.0]),
    (Aggregation(over_tokens="top", top=1), [4.0, 20.0]),
    (Aggregation(over_tokens="top", top=2), [3.0, 20.0]),
    (Aggregation("probabilities", over_tokens="top", top=2), [3.0, 10.0]),
    (Aggregation(question=False), [4.0, float("-inf")]),
    (Aggregation(scale=0.5), [1.5, 10.0]),
]


@pytest.mark.parametrize(("aggregation", "wanted"), BY_HAND)
def test_by_hand(aggregation, wanted):
    labels = LABELS if aggregation.answer == "all" else None
    scores = aggregate_layers(LAYERS, MASK, aggregation, labels=labels, question_lengths=torch.tensor([1]))
    assert scores.tolist() == [wanted]


def test_padded_labels_do_not_count():
    labels = torch.tensor([[8, -100]])
    assert aggregate_layers(LAYERS, MASK, Aggregation(answer="all"), labels=labels).tolist() == [[3.0, 20.0]]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_scores_from_the_full_capture_are_the_same(original, name):
    reader, io = original
    lengths = torch.full((len(io["labels"]),), 1)
    seen = capture_cross_attention(reader, io["input_ids"], io["attention_mask"], io["labels"])
    direct = cross_attention_scores(
        reader, io["input_ids"], io["attention_mask"], aggregation=name, labels=io["labels"], question_lengths=lengths
    )
    torch.testing.assert_close(seen.scores(name, question_lengths=lengths), direct, rtol=1e-4, atol=1e-4)


def test_chosen_heads_and_layers_against_a_slow_loop(original):
    reader, io = original
    mask = io["attention_mask"]
    seen = capture_cross_attention(reader, io["input_ids"], mask)
    chosen = Aggregation(layers=(1,), heads=(0, 1), over_heads="max")
    scores = cross_attention_scores(reader, io["input_ids"], mask, aggregation=chosen)
    for row, column in mask.any(-1).nonzero().tolist():
        tokens = mask[row, column].nonzero().flatten().tolist()
        by_hand = [max(float(seen.logits[1, row, head, 0, column, t]) for head in (0, 1)) for t in tokens]
        assert abs(float(scores[row, column]) - sum(by_hand) / len(tokens)) < 1e-4


def test_scores_do_not_depend_on_padding_order_or_other_passages(original):
    reader, io = original
    ids, mask = io["input_ids"], io["attention_mask"]
    some = mask.any(-1)
    scores = cross_attention_scores(reader, ids, mask)
    pad = torch.nn.functional.pad
    wide = cross_attention_scores(reader, pad(ids, (0, 7, 0, 2)), pad(mask, (0, 7, 0, 2)))
    assert (wide[:, : scores.shape[1]] - scores)[some].abs().max() < 1e-4
    order = torch.randperm(mask.shape[1], generator=torch.Generator().manual_seed(1))
    moved = cross_attention_scores(reader, ids[:, order], mask[:, order])
    assert (moved - scores[:, order])[some[:, order]].abs().max() < 1e-4


def test_the_reader_is_left_as_it_was(original):
    reader, io = original
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in reader.modules()]
    reader.train()
    reader.t5.encoder.eval()
    modes = [part.training for part in reader.modules()]
    one = cross_attention_scores(reader, io["input_ids"], io["attention_mask"])
    assert torch.equal(one, cross_attention_scores(reader, io["input_ids"], io["attention_mask"])), "dropout is off"
    assert not one.requires_grad
    with pytest.raises(ZeroDivisionError), evaluation(reader):
        reader.observe(reader.encode(io["input_ids"], io["attention_mask"]), None, lambda layer: 1 / 0)
    assert [part.training for part in reader.modules()] == modes
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in reader.modules()] == hooks
    reader.eval()


def test_an_answer_and_its_scores_come_from_one_decoder_run(original):
    reader, io = original
    given = io["input_ids"], io["attention_mask"]
    ids, scores = reader.answers_and_scores(reader.encode(*given), max_new_tokens=19)
    assert ids.tolist() == io["generated"].tolist()
    wanted = cross_attention_scores(reader, *given)
    assert torch.equal(torch.isneginf(scores), torch.isneginf(wanted))
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-4)


def test_scores_that_are_no_numbers_are_an_error(original):
    reader, io = original
    weight = reader.t5.decoder.block[1].layer[1].EncDecAttention.q.weight
    kept = weight[0, 0].item()
    with torch.no_grad():
        weight[0, 0] = float("nan")
    with pytest.raises(KitError, match="given NaN scores"):
        cross_attention_scores(reader, io["input_ids"], io["attention_mask"])
    with torch.no_grad():
        weight[0, 0] = kept


def test_mistakes_are_named(original):
    reader, io = original
    given = io["input_ids"], io["attention_mask"]
    for aggregation, message in (
        ("fid-kd", "wanted one of fid_kd, .* given 'fid-kd'"),
        ("adist", "labels"),
        ("atlas_scoreswoquery", "labels"),
        (replace(AGGREGATIONS["fid_kd"], question=False), "question_lengths"),
        (Aggregation(layers=(9,)), "numbers from 0 to"),
        (Aggregation(heads=()), "numbers from 0 to"),
    ):
        with pytest.raises(KitError, match=message):
            cross_attention_scores(reader, *given, aggregation=aggregation)
    with pytest.raises(KitError, match="kind: wanted one of logits"):
        Aggregation("softmax")
    with pytest.raises(KitError, match="top: wanted a number above 0"):
        Aggregation(over_tokens="top")
