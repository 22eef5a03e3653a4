"""The FiD reader: against the original's numbers, against transformers' own T5, and what must not make a difference."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoTokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from kit.attention import cross_attention_scores
from kit.reader import FiDReader, ablation_attribution, decoding, encoding
from kit.reader.answer_likelihood import likelihood_of_subsets
from kit.reader.position_bias import BIAS_WEIGHT
from kit.types import KitError, Passage, Question, ScoreTable

GOLDEN = Path(__file__).parent / "golden"
ORIGINALS = [GOLDEN / "reader" / name for name in ("degenerate", "deep_decoder")]
TOKENIZER = GOLDEN / "reader" / "tokenizer"


@pytest.fixture(scope="module", params=ORIGINALS, ids=lambda path: path.name)
def original(request):
    return FiDReader.from_pretrained(request.param, device="cpu"), load_file(request.param / "io.safetensors")


def tiny_t5(seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {"vocab_size": 136, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    config = T5Config(**{**sizes, "decoder_start_token_id": 0, "dropout_rate": 0.0, **changes})
    t5 = T5ForConditionalGeneration(config)
    for parameter in t5.parameters():
        nn.init.normal_(parameter, std=0.3)
    return t5.eval()


def flan(seed=0, **changes):
    t5 = tiny_t5(seed, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **changes)
    t5.lm_head.weight = nn.Parameter(torch.randn_like(t5.lm_head.weight))
    return t5


def other_t5(model, config):
    torch.manual_seed(0)
    sizes = {"vocab_size": 136, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    t5 = model(config(**sizes, decoder_start_token_id=0, dropout_rate=0.0, feed_forward_proj="gated-gelu"))
    for parameter in t5.parameters():
        nn.init.normal_(parameter, std=0.3)
    return t5.eval()


OTHERS = {
    "t5": tiny_t5,
    "flan": flan,
    "mt5": lambda: other_t5(MT5ForConditionalGeneration, MT5Config),
    "umt5": lambda: other_t5(UMT5ForConditionalGeneration, UMT5Config),
}


def ragged(lengths, vocabulary=136, seed=0):
    """Ids and mask (q, k, t) with these numbers of tokens, q rows of k."""
    lengths = torch.tensor(lengths)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(int(lengths.max())) < lengths[..., None]
    return torch.randint(3, vocabulary, mask.shape, generator=generator) * mask, mask


LENGTHS = [[9, 2, 5], [1, 9, 0]]
LABELS = torch.tensor([[7, 9, 1], [8, 1, -100]])


# Against the original program


def test_encoder_states_are_the_originals(original):
    reader, io = original
    with torch.no_grad():
        states = reader.encode(io["input_ids"], io["attention_mask"]).padded
    real = io["attention_mask"].flatten(1)
    assert (states - io["encoder_hidden"])[real].abs().max() < 1e-4


def test_loss_logits_and_gradients_are_the_originals(original):
    reader, io = original
    reader.zero_grad()
    out = reader(io["input_ids"], io["attention_mask"], io["labels"])
    out.loss.backward()
    assert (out.logits - io["logits"]).abs().max() < 1e-3
    assert abs(out.loss - io["loss"]) < 1e-5
    parameters = dict(reader.t5.named_parameters())
    wanted = {key[5:]: value for key, value in io.items() if key.startswith("grad.")}
    assert BIAS_WEIGHT in wanted
    for name, gradient in wanted.items():
        torch.testing.assert_close(parameters[name].grad, gradient, rtol=1e-3, atol=1e-4)


def test_greedy_steps_are_the_originals_with_the_bias_at_the_true_position(original):
    reader, io = original
    asked = {"max_new_tokens": 19, "output_logits": True, "return_dict_in_generate": True}
    out = reader.generate(io["input_ids"], io["attention_mask"], **asked)
    assert out.sequences.tolist() == io["generated"].tolist()
    done = (io["generated"][:, :-1] == 1).cumsum(1) > 0  # after </s> the original's logits are of padding
    steps = torch.stack(out.logits, dim=1)
    assert (steps - io["generated_step_logits"])[~done].abs().max() < 1e-3
    with torch.no_grad():
        reader.t5.get_parameter(BIAS_WEIGHT).mul_(-1)
        other = torch.stack(reader.generate(io["input_ids"], io["attention_mask"], **asked).logits, dim=1)
        reader.t5.get_parameter(BIAS_WEIGHT).mul_(-1)
    both = min(other.shape[1], steps.shape[1])
    assert (other[:, :both] - steps[:, :both]).abs().max() > 1e-2, "the bias must matter here"


# Against plain T5


@pytest.mark.parametrize("make", [tiny_t5, flan])
def test_one_passage_is_plain_t5(make, tmp_path):
    t5 = make()
    t5.save_pretrained(tmp_path)
    reader = FiDReader.from_pretrained(tmp_path, device="cpu")
    ids, mask = ragged([[7], [4]])
    wanted = t5(input_ids=ids[:, 0], attention_mask=mask[:, 0].long(), labels=LABELS)
    got = reader(ids, mask, LABELS)
    torch.testing.assert_close(got.logits, wanted.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.loss, wanted.loss)
    said = t5.generate(input_ids=ids[:, 0], attention_mask=mask[:, 0].long(), max_new_tokens=6, do_sample=False)
    assert reader.generate(ids, mask, max_new_tokens=6).tolist() == said.tolist()


def test_more_decoder_than_encoder_layers_and_beams():
    reader = FiDReader(tiny_t5(num_decoder_layers=5, num_layers=1))
    ids, mask = ragged(LENGTHS)
    said = reader.generate(ids, mask, max_new_tokens=4)
    assert said.shape[1] <= 5 and (said[:, 0] == 0).all()
    assert reader.generate(ids, mask, max_new_tokens=4, num_beams=2).shape[0] == 2
    step = reader(ids, mask).logits.argmax(-1)
    assert said[:, 1].tolist() == step[:, 0].tolist()


@pytest.mark.parametrize("model", ["t5", "flan", "mt5", "umt5"])
def test_every_step_is_transformers(model):
    """Answers of 2 tokens, which read states as they are, of 9, which read keys and values, and a token at a time."""
    t5 = OTHERS[model]()
    reader = FiDReader(t5)
    ids, mask = ragged([[7, 0], [4, 0]])
    for length in (2, 9):
        labels = torch.randint(3, 136, (2, length), generator=torch.Generator().manual_seed(length))
        wanted = t5(input_ids=ids[:, 0], attention_mask=mask[:, 0].long(), labels=labels)
        out = reader(ids, mask, labels)
        torch.testing.assert_close(out.logits, wanted.logits, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(out.loss, wanted.loss)
        run = decoding.Decoding(t5, reader.encode(ids, mask))
        fed = decoding.fed_ids(t5, labels)
        steps = torch.cat([run(fed[:, i : i + 1]) for i in range(length)], dim=1)
        torch.testing.assert_close(steps, wanted.logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", ["t5", "flan"])
def test_gradients_are_transformers(model):
    one, other = OTHERS[model](), OTHERS[model]()
    ids, mask = ragged([[7], [4]])
    FiDReader(one)(ids, mask, LABELS).loss.backward()
    other(input_ids=ids[:, 0], attention_mask=mask[:, 0].long(), labels=LABELS).loss.backward()
    wanted = dict(other.named_parameters())
    for name, weight in one.named_parameters():
        torch.testing.assert_close(weight.grad, wanted[name].grad, rtol=1e-3, atol=1e-5, msg=name)


def test_answers_that_end_are_decoded_no_further():
    reader, sizes = FiDReader(tiny_t5()), []
    ids, mask = ragged([[9, 2, 5], [1, 9, 0], [4, 4, 4]])
    passages = reader.encode(ids, mask)
    free = reader.generate_from(passages, max_new_tokens=6, min_new_tokens=6)
    reader.t5.config.eos_token_id = int(free[1, 2])  # an end that the second answer meets after two tokens
    handle = reader.t5.lm_head.register_forward_hook(lambda *given: sizes.append(len(given[2])))
    stopped = reader.generate_from(passages, max_new_tokens=6)
    handle.remove()
    ends = [next((i for i in range(1, 7) if row[i] == free[1, 2]), 6) for row in free.tolist()]
    assert sizes == [sum(end > step for end in ends) for step in range(max(ends))] and min(sizes) < 3
    for row, other, end in zip(stopped.tolist(), free.tolist(), ends, strict=True):
        assert row[: end + 1] == other[: end + 1] and not any(row[end + 1 :])


def test_beams_of_an_original_have_the_bias_at_the_true_position(original):
    """Transformers' own greedy search, which goes through the same path as its beams, gives the recorded answers."""
    reader, io = original
    ids = reader.generate(io["input_ids"], io["attention_mask"], max_new_tokens=19, do_sample=False)
    assert ids.tolist() == io["generated"].tolist()
    beams = reader.generate(io["input_ids"], io["attention_mask"], max_new_tokens=5, num_beams=3)
    assert beams.shape[0] == len(io["generated"]) and (beams[:, 0] == 0).all()


def test_another_decoder_of_transformers_is_refused(monkeypatch):
    reader = FiDReader(tiny_t5())
    passages = reader.encode(*ragged(LENGTHS))
    monkeypatch.setattr(
        decoding.Decoding, "__call__", lambda self, ids: torch.ones(*ids.shape, self.t5.config.vocab_size)
    )
    with pytest.raises(KitError, match="wanted a T5 that computes as the kit's decoder does"):
        FiDReader.from_pretrained(ORIGINALS[0])
    with pytest.raises(KitError, match="logits that differ by"):
        reader.generate_from(passages, max_new_tokens=3, num_beams=2)


# What must make no difference


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("padding", [0.0, 10.0, 1e9])
@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_passages_are_encoded_as_one_by_one(monkeypatch, padding, micro_batch, holes):
    """In whatever parts, with attention over passages of one length or of any; tokens may be hidden between others."""
    monkeypatch.setitem(encoding.PADDING, "cpu", padding)
    monkeypatch.setitem(encoding.TOKENS_AT_ONCE, "cpu", 13)
    t5 = tiny_t5()
    ids, mask = ragged([[9, 2, 5, 5], [1, 9, 0, 2]])
    if holes:
        mask[0, 0, 3:5] = mask[1, 1, 0] = False
    states = FiDReader(t5, micro_batch=micro_batch).encode(ids, mask).padded
    wanted = t5.encoder(input_ids=ids.flatten(0, 1), attention_mask=mask.flatten(0, 1)).last_hidden_state.view(
        2, 36, -1
    )
    real = mask.flatten(1)
    torch.testing.assert_close(states[real], wanted[real], rtol=1e-4, atol=1e-5)
    assert (states[~real] == 0).all()


def test_no_padding_is_computed():
    reader, sizes = FiDReader(tiny_t5()), []
    handle = reader.t5.encoder.block[0].layer[1].register_forward_hook(lambda *given: sizes.append(given[2].shape))
    reader.encode(*ragged([[9, 2, 5, 5], [1, 9, 0, 2]]))
    handle.remove()
    assert sizes == [(33, 16)]


def test_gradients_do_not_depend_on_parts_or_checkpointing(original, monkeypatch):
    reader, io = original
    gradients = []
    rate, reader.t5.config.dropout_rate = reader.t5.config.dropout_rate, 0.0
    for padding, checkpointed in ((0.0, False), (1e9, False), (0.0, True)):
        monkeypatch.setitem(encoding.PADDING, "cpu", padding)
        reader.train()  # checkpoints are kept in training only
        for part in reader.modules():
            if isinstance(part, nn.Dropout):
                part.eval()
        reader.checkpoint_gradients(checkpointed)
        reader.zero_grad()
        reader(io["input_ids"], io["attention_mask"], io["labels"]).loss.backward()
        gradients.append({name: weight.grad.clone() for name, weight in reader.named_parameters()})
    reader.checkpoint_gradients(False)
    reader.t5.config.dropout_rate = rate
    reader.eval()
    for one, other in pairwise(gradients):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4, msg=name)


def test_permuting_passages_permutes_their_states_and_changes_no_answer():
    reader = FiDReader(flan())
    ids, mask = ragged(LENGTHS)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        states = reader.encode(ids, mask).padded.unflatten(1, (3, -1))
        moved = reader.encode(ids[:, order], mask[:, order]).padded.unflatten(1, (3, -1))
        torch.testing.assert_close(moved[mask[:, order]], states[:, order][mask[:, order]], rtol=1e-4, atol=1e-5)
        one, other = reader(ids, mask, LABELS), reader(ids[:, order], mask[:, order], LABELS)
    torch.testing.assert_close(one.logits, other.logits, rtol=1e-4, atol=1e-4)


def test_padding_changes_no_logits():
    reader = FiDReader(flan())
    ids, mask = ragged(LENGTHS)
    pad = nn.functional.pad
    wide = pad(ids, (0, 4, 0, 2), value=99), pad(mask, (0, 4, 0, 2))  # tokens and passages; the ids there mean nothing
    labels = pad(LABELS, (0, 3), value=-100)
    one, other = reader(ids, mask, LABELS), reader(*wide, labels)
    torch.testing.assert_close(other.logits[:, :3], one.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.loss, one.loss)
    assert reader.generate(ids, mask, max_new_tokens=5).tolist() == reader.generate(*wide, max_new_tokens=5).tolist()


# Files


def test_a_kit_checkpoint_comes_back_whole_and_transformers_reads_it(original, tmp_path):
    reader, io = original
    mine = FiDReader(reader.t5, max_tokens=250)
    for _ in range(2):  # the second time replaces the first
        mine.save_pretrained(tmp_path / "reader")
    assert [path.name for path in tmp_path.iterdir()] == ["reader"]
    again = FiDReader.from_pretrained(tmp_path / "reader", device="cpu")
    assert again.max_tokens == 250 and again.tokenizer is None
    torch.testing.assert_close(
        again(io["input_ids"], io["attention_mask"], io["labels"]).logits, io["logits"], rtol=1e-3, atol=1e-3
    )
    assert dict(again.t5.named_parameters()).keys() == dict(reader.t5.named_parameters()).keys()
    theirs = T5ForConditionalGeneration.from_pretrained(tmp_path / "reader")
    torch.testing.assert_close(theirs.shared.weight, reader.t5.shared.weight)
    torch.testing.assert_close(theirs.lm_head.weight, reader.t5.shared.weight)


def test_float16_is_refused():
    for dtype in ("float16", torch.float16, "int8", "half-hearted"):
        with pytest.raises(KitError, match="one of auto, float32, bfloat16"):
            FiDReader.from_pretrained(ORIGINALS[0], device="cpu", dtype=dtype)
    ids, mask = ragged(LENGTHS)
    with pytest.raises(KitError, match="overflows in float16"):
        FiDReader(tiny_t5()).half()(ids, mask)
    with pytest.raises(KitError, match="overflows in float16"), torch.autocast("cpu", torch.float16):
        FiDReader(tiny_t5())(ids, mask)
    reader = FiDReader.from_pretrained(ORIGINALS[0], device="cpu", dtype="bfloat16")
    ids, mask = ragged(LENGTHS, vocabulary=128)
    assert reader(ids, mask, LABELS).loss.dtype == torch.float32


def test_wrong_input_is_named():
    reader = FiDReader(tiny_t5())
    ids, mask = ragged(LENGTHS)
    for wrong in ((ids[0], mask[0]), (ids, mask[:, :2])):
        with pytest.raises(KitError, match=r"one shape \(q, k, t\)"):
            reader(*wrong)
    with pytest.raises(KitError, match=r"input_ids \(q, k, t\), a tensor"):
        reader(ids.tolist(), mask)
    with pytest.raises(KitError, match="boolean"):
        reader(ids, mask.long())
    with pytest.raises(KitError, match="none in question 1"):
        reader(ids, mask & torch.tensor([True, False])[:, None, None])
    with pytest.raises(KitError, match="decoder_start_token_id"):
        FiDReader(
            T5ForConditionalGeneration(T5Config(num_layers=1, d_model=8, d_kv=2, d_ff=8, num_heads=1, vocab_size=9))
        )


# Likelihoods, against Atlas and a slow loop


def mean_over_answer(values, labels):
    return values.sum(-1) / (labels != -100).sum(-1, keepdim=True)


def test_likelihoods_are_atlas():
    reader = FiDReader.from_pretrained(GOLDEN / "reader/atlas", device="cpu")
    io = load_file(GOLDEN / "reader/atlas/io.safetensors")
    given = io["reader_ids"], io["reader_mask"], io["labels"]
    out = reader(*given)
    assert (out.logits - io["reader_logits"]).abs().max() < 1e-4 and abs(out.loss - io["reader_loss"]) < 1e-5
    for reader.micro_batch in (None, 3):
        pdist = mean_over_answer(reader.answer_log_likelihood(*given), io["labels"])
        assert (pdist - io["perplexity_score"]).abs().max() < 1e-5
    loop = -mean_over_answer(reader.leave_one_out_log_likelihood(*given), io["labels"])
    assert (loop - io["loop_score"]).abs().max() < 1e-5


def test_likelihoods_are_those_of_the_passages_cut_out(original):
    reader, io = original
    ids, mask, labels = io["input_ids"], io["attention_mask"], io["labels"]
    alone = reader.answer_log_likelihood(ids, mask, labels)
    without = reader.leave_one_out_log_likelihood(ids, mask, labels)
    assert torch.isneginf(alone[-1, -1][labels[-1] != -100]).all(), "the last passage has no tokens"
    for i in range(mask.shape[1] - 1):
        logits = reader(ids[:, i : i + 1], mask[:, i : i + 1], labels).logits.log_softmax(-1)
        others = mask.clone()
        others[:, i] = False
        fewer = reader(ids, others, labels).logits.log_softmax(-1)
        for row, column in (labels != -100).nonzero().tolist():
            label = labels[row, column]
            assert abs(alone[row, i, column] - logits[row, column, label]) < 1e-4
            assert abs(without[row, i, column] - fewer[row, column, label]) < 1e-4
    assert (alone[:, :-1].masked_select(labels[:, None] == -100) == 0).all()
    single = reader.leave_one_out_log_likelihood(ids[:, :1], mask[:, :1], labels)
    assert torch.isnan(single[:, 0][labels != -100]).all(), "nothing is left to read"


# Words


@pytest.fixture(scope="module")
def worded():
    return FiDReader(tiny_t5(seed=3), AutoTokenizer.from_pretrained(TOKENIZER))


def test_token_ids_are_the_originals(worded):
    recorded = json.loads((GOLDEN / "tokenization/collator.json").read_text())
    for case in recorded["reader"]:
        passages = [
            [
                Passage(str(i), c["title"], c["text"])
                for i, c in enumerate(sorted(e["ctxs"], key=lambda c: -float(c["score"])))
            ]
            for e in recorded["examples"]
        ]
        reader = FiDReader(worded.t5, worded.tokenizer, max_tokens=case["text_maxlength"])
        ids, mask = reader.tokenize([e["question"] for e in recorded["examples"]], passages)
        wanted, kept = torch.tensor(case["passage_ids"]), torch.tensor(case["passage_mask"]).bool()
        assert (
            ids.tolist() == wanted[..., : ids.shape[-1]].tolist()
            and mask.tolist() == kept[..., : ids.shape[-1]].tolist()
        )
        assert not kept[..., ids.shape[-1] :].any()
        labels = reader.tokenize_targets([target.removesuffix(" </s>") for target in case["targets"]])
        full = recorded["reader"][1]["target_ids"]  # the case without a limit
        assert labels.tolist() == full
    assert worded.tokenize_targets(["old King </s>", "king"], max_tokens=2)[:, -1].tolist() == [1, 1]


CORPUS = {str(i): Passage(str(i), f"film {i}", "the old king " * i) for i in range(1, 6)}
QUESTIONS = [Question("a", "who is the king"), Question("b", "when"), Question("c", "where is the river of the city")]
TABLE = ScoreTable(
    "bm25",
    ["c", "b", "a"],
    [["1", "2", "3"], ["", "", ""], ["4", "5", ""]],
    [[1.0, 3.0, 2.0], [float("nan")] * 3, [1.0, float("nan"), float("nan")]],
)


def test_reading_is_generation_and_scoring_of_the_same_input(worded):
    for batch_size in (1, 2, 8):
        reading = worded.read(QUESTIONS, CORPUS, TABLE, max_new_tokens=5, batch_size=batch_size)
        assert list(reading.answers) == ["a", "b", "c"]
        assert reading.scores.passage_ids.tolist() == [["4", "5", ""], ["", "", ""], ["2", "3", "1"]]
        for question in QUESTIONS:
            passages = [CORPUS[i] for i in reading.scores.passages_of(question.id)]
            ids, mask = worded.tokenize([question.text], [passages])
            said = worded.generate(ids, mask, max_new_tokens=5)
            text = worded.tokenizer.decode(said[0], skip_special_tokens=True).strip()
            assert reading.answers[question.id] == text
            row = reading.scores.values[reading.scores.row_of(question.id)]
            scores = cross_attention_scores(worded, ids, mask)[0]
            assert torch.allclose(torch.tensor(row[: len(passages)]), scores[: len(passages)], atol=1e-4)
    assert any(reading.answers.values())


def test_reading_the_best_few_and_other_aggregations(worded):
    reading = worded.read(QUESTIONS, CORPUS, TABLE, n_context=1, max_new_tokens=2, aggregation="atlas_probsfirst")
    assert reading.scores.passage_ids.tolist() == [["4"], [""], ["2"]] and reading.scores.name == "atlas_probsfirst"
    ids, mask = worded.tokenize(["when"], [[]])
    assert worded.tokenizer.decode(ids[0, 0][mask[0, 0]]) == worded.tokenizer.decode(
        worded.tokenizer("question: when", add_special_tokens=False)["input_ids"]
    )


def test_questions_that_fill_the_window_are_one_warning(worded):
    small = FiDReader(worded.t5, worded.tokenizer, max_tokens=8)
    with pytest.warns(UserWarning, match="1 of 3 questions fill all 8 tokens") as warned:
        small.read(QUESTIONS, CORPUS, TABLE, max_new_tokens=2, batch_size=1)
    assert len(warned) == 1
    with pytest.warns(UserWarning, match="1 of 1 questions"):
        small.tokenize([QUESTIONS[2].text], [[CORPUS["1"]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"questions": "who is the king"}, r"read: wanted a list of questions \(Question\), given 'who"),
        ({"questions": QUESTIONS[0]}, "a list of questions"),
        ({"questions": None}, "a list of questions"),
        ({"questions": ["who is the king"]}, "given 'who is the king' at position 0"),
        ({"corpus": None}, "passages by id"),
        ({"corpus": "a text"}, "passages by id"),
        ({"table": None}, "a kit.ScoreTable"),
        ({"max_new_tokens": 0}, "max_new_tokens of at least 1, given 0"),
        ({"max_new_tokens": 2.5}, "max_new_tokens of at least 1"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"aggregation": "fid-kd"}, "one of fid_kd"),
    ],
)
def test_reading_what_cannot_be_read(worded, change, message):
    given = {"questions": QUESTIONS, "corpus": CORPUS, "table": TABLE, **change}
    with pytest.raises(KitError, match=message) as error:
        worded.read(given.pop("questions"), given.pop("corpus"), given.pop("table"), **given)
    assert "\n" not in str(error.value)


def test_reading_mistakes(worded):
    with pytest.raises(KitError, match=r"tokenizer='google-t5/t5-base'"):
        FiDReader(worded.t5).read(QUESTIONS, CORPUS, TABLE)
    with pytest.raises(KitError, match="question 'c': wanted passages that are in the corpus, given '1'"):
        worded.read(QUESTIONS, {i: CORPUS[i] for i in "2345"}, TABLE)
    with pytest.raises(KitError, match="first answer token"):
        worded.read(QUESTIONS, CORPUS, TABLE, aggregation="adist")
    with pytest.raises(KitError, match="k of at least 1, given 0"):
        worded.read(QUESTIONS, CORPUS, TABLE, n_context=0)
    with pytest.raises(KitError, match=r"tokenization: wanted a tokenizer \(tokenizer\.json"):
        FiDReader.from_pretrained(ORIGINALS[0], device="cpu", tokenizer=GOLDEN / "tokenization")


# Ablation


def test_subsets_are_read_as_their_passages_cut_out(worded):
    passages = [Passage(str(n), f"title {n}", f"the number is {n} and no other") for n in range(3)]
    ids, mask = worded.tokenize(["which number"], [passages])
    labels = worded.tokenize_targets(["two"])
    subsets = torch.tensor([[True, False, True], [False, True, False], [False, False, False]])
    values = likelihood_of_subsets(worded.t5, worded.encode(ids, mask), labels, subsets).sum(-1)[0]
    for subset, value in zip(subsets[:2], values, strict=False):
        logits = worded(ids[:, subset], mask[:, subset], labels).logits.detach().log_softmax(-1)
        assert value == pytest.approx(float(logits.gather(-1, labels[..., None]).sum()), abs=1e-4)
    assert torch.isnan(values[2])


def test_ablation_gives_two_passages_that_agree_the_credit_that_leave_one_out_misses(worded, monkeypatch):
    """A reader that needs either of the first two passages: 4 nats are lost without both, none without one."""

    def needs_one_of_two(t5, states, labels, subsets):
        return torch.where(subsets[:, :2].any(1), -1.0, -5.0)[None, :, None]

    monkeypatch.setattr("kit.reader.ablation.likelihood_of_subsets", needs_one_of_two)
    passages = [Passage(str(n), "", "text") for n in range(5)]
    question = Question("q", "who", ("Ann",))
    weights = ablation_attribution(worded, question, passages, subsets=400)
    np.testing.assert_allclose(weights[:2], 2.0, atol=0.3)
    assert abs(weights[2:]).max() < 0.3
    assert np.array_equal(weights, ablation_attribution(worded, question, passages, subsets=400))
    for wrong in (Question("q", "who"), question):
        with pytest.raises(KitError, match="a target or an answer, and at least one passage"):
            ablation_attribution(worded, wrong, passages if not wrong.answers else [])


def test_ablation_of_one_passage_is_what_is_lost_without_it(worded):
    passage, question = Passage("1", "Ann", "ann is the first name of all"), Question("q", "who", target="Ann")
    labels = worded.tokenize_targets(["Ann"])

    def log_probability(passages):
        logits = worded(*worded.tokenize(["who"], [passages]), labels).logits.detach().log_softmax(-1)
        return float(logits.gather(-1, labels[..., None]).sum())

    lost = log_probability([passage]) - log_probability([])
    assert ablation_attribution(worded, question, [passage], subsets=8) == pytest.approx([lost], abs=1e-3)
