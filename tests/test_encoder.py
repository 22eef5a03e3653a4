"""kit.encoder: recorded numbers of FiD's Retriever, pooling by hand, its own checkpoints, mistakes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_berts import GOLDEN, PASSAGES, QUESTIONS, SIZES, bert, tokenizer, written
from torch import nn

from kit.encoder import FAMILIES, DualEncoder, Family
from kit.types import KitError, Passage

CASES = sorted(path.parent for path in GOLDEN.glob("*/io.safetensors"))


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text()) | entries
    (folder / "config.json").write_text(json.dumps(config))


# FiD's Retriever


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_recorded_embeddings_scores_and_gradients(folder):
    encoder = DualEncoder.from_pretrained(folder, device="cpu", dtype="float32")
    io = load_file(folder / "io.safetensors")
    q, k = io["gold_score"].shape
    questions = encoder.embed(io["question_ids"], io["question_mask"], side="question")
    passages = encoder.embed(io["passage_ids"].flatten(0, 1), io["passage_mask"].flatten(0, 1), side="passage")
    scores = encoder.score(questions, passages.view(q, k, -1))
    loss = nn.functional.kl_div(scores.log_softmax(-1), io["gold_score"].softmax(-1), reduction="sum") / (q * k)
    loss.backward()
    word_gradient = encoder.question_tower.embeddings.word_embeddings.weight.grad
    real = io["passage_mask"].flatten(0, 1).any(-1)
    torch.testing.assert_close(questions, io["question_embedding"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(passages[real], io["passage_embedding"][real], atol=1e-5, rtol=1e-5)
    if real.all() or not encoder.family.passage_mask:
        torch.testing.assert_close(scores, io["score"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(loss, io["loss"], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(
            word_gradient, io["grad.model.embeddings.word_embeddings.weight"], atol=1e-6, rtol=1e-3
        )
    else:
        assert torch.equal(passages[~real], torch.zeros_like(passages[~real]))
    assert torch.isfinite(scores).all() and torch.isfinite(word_gradient).all()


def test_texts_become_the_original_collators_ids():
    recorded = json.loads((GOLDEN / "tokenization" / "collator.json").read_text())
    wanted, examples = recorded["retriever"], recorded["examples"]
    lengths = {"question_length": wanted["question_maxlength"], "passage_length": wanted["passage_maxlength"]}
    encoder = DualEncoder.from_config(bert(), tokenizer(), family=dataclasses.replace(FAMILIES["fid-kd"], **lengths))
    ids, mask = encoder.tokenize_questions([example["question"] for example in examples])
    assert ids.tolist() == wanted["question_ids"] and mask.int().tolist() == wanted["question_mask"]
    for row, example in enumerate(examples):
        ranked = sorted(example["ctxs"], key=lambda context: -context["score"])
        passages = [Passage("x", context["title"], context["text"]) for context in ranked]
        ids, mask = encoder.tokenize_passages(passages)
        padded = [tokens + [0] * (wanted["passage_maxlength"] - len(tokens)) for tokens in ids.tolist()]
        assert padded == wanted["passage_ids"][row] and torch.equal(mask, ids != 0)


def test_an_original_archive(tmp_path):
    with tarfile.open(tmp_path / "nq_retriever.tar.gz", "w:gz") as tar:
        tar.add(GOLDEN / "masks_proj", "nq_retriever")
    encoder = DualEncoder.from_pretrained(tmp_path / "nq_retriever.tar.gz")
    assert encoder.fingerprint == DualEncoder.from_pretrained(GOLDEN / "masks_proj").fingerprint
    assert encoder._tokenizer == "google-bert/bert-base-uncased"


def test_unused_projection_weights_are_harmless(tmp_path):
    """FiD's training script puts a projection into every model, and saves it, also where it is not used."""
    shutil.copytree(GOLDEN / "masks_proj", tmp_path / "x")
    change(tmp_path / "x", projection=False, indexing_dimension=256)
    assert DualEncoder.from_pretrained(tmp_path / "x").dimension == 32


# What the encoder computes


class Tower(nn.Module):
    """Token i has the vector (i, 10 i)."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=2, vocab_size=120, max_position_embeddings=64)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, input_ids, attention_mask):
        vectors = torch.stack([input_ids, 10 * input_ids], dim=-1).float() * self.weight
        return SimpleNamespace(last_hidden_state=vectors)


IDS, MASK = torch.tensor([[4, 2, 9], [5, 7, 1]]), torch.tensor([[1, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [[3.0, 30.0], [5.0, 50.0]]),
        ({"pooling": "cls"}, [[4.0, 40.0], [5.0, 50.0]]),
        ({"question_mask": False}, [[5.0, 50.0], [13 / 3, 130 / 3]]),
        ({"passage_mask": False}, [[3.0, 30.0], [5.0, 50.0]]),
        ({"normalized": True}, [[1 / 101**0.5, 10 / 101**0.5]] * 2),
    ],
)
def test_pooling_by_hand(options, wanted):
    encoder = DualEncoder(Tower(), family=Family("x", **options))
    torch.testing.assert_close(encoder.embed(IDS, MASK), torch.tensor(wanted))


def test_scores_by_hand():
    """(3, 30).(1, 0) = 3 and (3, 30).(0, 2) = 60; FiD-KD divides by the root of 2."""
    questions, passages = torch.tensor([[3.0, 30.0]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    plain, scaled = (DualEncoder(Tower(), family=Family("x", scaled=scaled)) for scaled in (False, True))
    assert plain.score(questions, passages).tolist() == [[3.0, 60.0]]
    torch.testing.assert_close(scaled.score(questions, passages), torch.tensor([[3.0, 60.0]]) / 2**0.5)


def test_two_towers_are_asked_each_for_its_side():
    question_tower, passage_tower = Tower(), Tower()
    passage_tower.weight.data *= 2
    encoder = DualEncoder(question_tower, passage_tower, family=FAMILIES["dpr"])
    assert encoder.embed(IDS, MASK, side="passage").tolist() == [[8.0, 80.0], [10.0, 100.0]]
    assert encoder.embed(IDS, MASK, side="question").tolist() == [[4.0, 40.0], [5.0, 50.0]]


def test_scores_stay_float32_under_autocast():
    encoder = DualEncoder(Tower(), family=Family("x"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = encoder.score(torch.tensor([[100.3, 1.0]]), torch.tensor([[[1.0, 0.0]]]))
    assert scores.dtype == torch.float32 and abs(scores.item() - 100.3) < 1e-4


@pytest.mark.parametrize("name", ["fid-kd", "bert-dot"])
@pytest.mark.parametrize("dimension", [None, 4])
def test_empty_texts_give_zeros_and_finite_gradients(name, dimension):
    encoder = DualEncoder.from_config(bert(), family=dataclasses.replace(FAMILIES[name], dimension=dimension))
    vectors = encoder.embed(IDS, torch.tensor([[1, 1, 0], [0, 0, 0]]))
    vectors.sum().backward()
    assert vectors[1].tolist() == [0.0] * encoder.dimension and vectors[0].abs().sum() > 0
    assert all(torch.isfinite(w.grad).all() for w in encoder.parameters() if w.grad is not None)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_vectors_depend_on_neither_padding_nor_company_nor_order(name):
    encoder = DualEncoder.from_config(bert(), tokenizer(), family=name)
    alone = np.concatenate([encoder.encode_passages([passage]) for passage in PASSAGES])
    together = encoder.encode_passages(PASSAGES, batch_size=3)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES[::-1]), alone[::-1], atol=1e-5)
    questions = encoder.encode_questions(QUESTIONS)
    assert questions.dtype == np.float32 and questions.shape == (3, 16)
    assert len(np.unique(alone.round(4), axis=0)) == 4, "four passages, four vectors"


def test_without_a_mask_texts_are_padded_to_the_full_length_as_the_original_does():
    family = dataclasses.replace(FAMILIES["fid-kd"], passage_mask=False, passage_length=20)
    encoder = DualEncoder.from_config(bert(), tokenizer(), family=family)
    vector = encoder.encode_passages(PASSAGES[1:2])
    full = tokenizer()(["title:  context: new"], padding="max_length", max_length=20, return_tensors="pt")
    with torch.no_grad():
        wanted = encoder.question_tower(full["input_ids"]).last_hidden_state.mean(1)
    np.testing.assert_allclose(vector, wanted.numpy(), atol=1e-5)


def test_long_texts_are_cut():
    family = dataclasses.replace(FAMILIES["fid-kd"], question_length=8)
    encoder = DualEncoder.from_config(bert(), tokenizer(), family=family)
    long, longer = encoder.encode_questions(["king " * 10, "king " * 10 + "song"])
    np.testing.assert_array_equal(long, longer)
    assert encoder.tokenize_questions(["king " * 10])[0].shape == (1, 8)


def test_encoding_leaves_training_mode_and_gradients_as_they_were():
    encoder = DualEncoder.from_config(bert(), tokenizer())
    encoder.train()
    np.testing.assert_array_equal(encoder.encode_questions(QUESTIONS), encoder.encode_questions(QUESTIONS))
    assert encoder.training and encoder.question_tower.training
    assert encoder.embed(IDS, MASK).requires_grad


def test_fresh_weights_come_from_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (DualEncoder.from_config(bert(), family="dpr", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert not torch.equal(*(tower.embeddings.word_embeddings.weight for tower in one.towers))


# Kit checkpoints


@pytest.mark.parametrize(
    "family", [FAMILIES["fid-kd"], dataclasses.replace(FAMILIES["fid-kd"], dimension=4), FAMILIES["dpr"]], ids=str
)
def test_saved_and_loaded_it_is_the_same(tmp_path, family):
    encoder = DualEncoder.from_config(bert(), tokenizer(), family=family, seed=7)
    for _ in range(2):  # the second time over the first
        encoder.save_pretrained(tmp_path / "student")
    loaded = DualEncoder.from_pretrained(tmp_path / "student")
    assert loaded.family == family and loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.encode_passages(PASSAGES), encoder.encode_passages(PASSAGES))
    np.testing.assert_array_equal(loaded.encode_questions(QUESTIONS), encoder.encode_questions(QUESTIONS))
    assert [path.name for path in tmp_path.iterdir()] == ["student"], "nothing half-written stays"


def test_a_shared_encoder_is_readable_by_transformers(tmp_path):
    encoder = DualEncoder.from_config(bert(), tokenizer())
    encoder.save_pretrained(tmp_path / "student")
    auto = transformers.AutoModel.from_pretrained(tmp_path / "student", add_pooling_layer=False)
    for name, weight in auto.state_dict().items():
        assert torch.equal(weight, encoder.question_tower.state_dict()[name]), name


def test_every_released_family_survives_a_save(tmp_path, pair):
    for number, folder in enumerate([pair[0], GOLDEN / "cls_masks_proj", GOLDEN / "nomasks_proj"]):
        encoder = DualEncoder.from_pretrained(folder)
        encoder.save_pretrained(tmp_path / f"copy{number}")
        copy = DualEncoder.from_pretrained(tmp_path / f"copy{number}")
        assert copy.family == encoder.family and copy.fingerprint == encoder.fingerprint
        assert isinstance(copy._tokenizer, str) == isinstance(encoder._tokenizer, str)


def test_saving_does_not_touch_what_others_put_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(KitError, match=r"its files, given one with notes\.txt"):
        DualEncoder.from_config(bert()).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_fingerprint_tells_encoders_apart_but_not_their_precision(tmp_path):
    encoder = DualEncoder.from_config(bert(), seed=1)
    encoder.save_pretrained(tmp_path / "x")
    assert DualEncoder.from_pretrained(tmp_path / "x", dtype="bfloat16").fingerprint == encoder.fingerprint
    cut = DualEncoder.from_pretrained(tmp_path / "x", family=dataclasses.replace(FAMILIES["fid-kd"], passage_length=9))
    assert cut.fingerprint != encoder.fingerprint, "other lengths, other vectors"
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-5)
    before = encoder.fingerprint
    encoder.embed(IDS, MASK).pow(2).sum().backward()
    optimizer.step()
    assert encoder.fingerprint != before, "one step of training at the smallest learning rate"


def test_dtypes(tmp_path):
    DualEncoder.from_config(bert(), tokenizer()).save_pretrained(tmp_path / "x")
    vectors = {}
    for name, dtype in {"auto": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}.items():
        encoder = DualEncoder.from_pretrained(tmp_path / "x", dtype=name)
        assert {weight.dtype for weight in encoder.parameters()} == {dtype}
        vectors[name] = encoder.encode_questions(QUESTIONS)
        assert vectors[name].dtype == np.float32
    np.testing.assert_allclose(vectors["float16"], vectors["auto"], atol=0.02)
    assert not np.array_equal(vectors["bfloat16"], vectors["auto"])


# Mistakes


def broken(folder, tmp_path, edit):
    target = tmp_path / "broken"
    shutil.copytree(folder, target)
    state = torch.load(target / "pytorch_model.bin", weights_only=True)
    (target / "pytorch_model.bin").unlink()
    save_file({name: weight.clone() for name, weight in edit(dict(state)).items()}, target / "model.safetensors")
    return target


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda s: {n: w for n, w in s.items() if n != "norm.bias"},
            r"all weights of DualEncoder, given no 'norm\.bias'",
        ),
        (
            lambda s: {n: w for n, w in s.items() if "layer.1." not in n},
            r"no 'question_tower\..*layer\.1\..*' and 15 more",
        ),
        (lambda s: s | {"extra.weight": torch.ones(2)}, r"an unexpected one, 'extra\.weight'"),
        (lambda s: s | {"proj.weight": torch.ones(16, 31)}, r"proj\.weight: wanted the shape \(16, 32\) .* \(16, 31\)"),
        (lambda s: {f"encoder.{n}": w for n, w in s.items()}, "an unexpected one, 'encoder.model"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, edit, message):
    with pytest.raises(KitError, match=message):
        DualEncoder.from_pretrained(broken(GOLDEN / "masks_proj", tmp_path, edit))


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(KitError, match=r"with a config\.json"):
        DualEncoder.from_pretrained(tmp_path)
    change_type = written(tmp_path / "t5", transformers.BertModel(bert()))
    change(change_type, model_type="t5")
    with pytest.raises(KitError, match=r"model_type bert, .* given 't5'"):
        DualEncoder.from_pretrained(change_type)
    with pytest.raises(KitError, match="no such folder"):
        DualEncoder.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(KitError, match="no such file"):
        DualEncoder.from_pretrained(tmp_path / "nowhere.tar.gz")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda e: e.encode_questions([PASSAGES[0]]),
            "encode_questions: wanted a list of questions",
        ),
        (
            lambda e: e.encode_passages(["a text"]),
            r"encode_passages: wanted a list of .* given 'a text'",
        ),
        (lambda e: e.encode_questions(["x"], batch_size=0), "wanted batch_size of at least 1"),
        (lambda e: e.embed(IDS, MASK, side="query"), "side: wanted question or passage, given 'query'"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(KitError, match=message):
        call(DualEncoder.from_config(bert(), tokenizer()))


def test_wrong_tokenizers_devices_and_dtypes():
    with pytest.raises(KitError, match=r"a tokenizer .* given a checkpoint without one"):
        DualEncoder.from_config(bert()).encode_questions(["x"])
    few = transformers.BertConfig(**SIZES | {"vocab_size": 50})
    with pytest.raises(KitError, match="at most the model's 50 tokens, given one of 118"):
        DualEncoder.from_config(few, tokenizer())
    with pytest.raises(KitError, match="device: wanted auto, cpu, cuda"):
        DualEncoder.from_pretrained(GOLDEN / "masks_proj", device="gpu")
    with pytest.raises(KitError, match="device: wanted a GPU that torch sees"):
        DualEncoder.from_pretrained(GOLDEN / "masks_proj", device="cuda:99")
    with pytest.raises(KitError, match="dtype: wanted one of auto"):
        DualEncoder.from_pretrained(GOLDEN / "masks_proj", dtype="int8")


@pytest.mark.parametrize("wrong", ["a text", b"x", None, 3, 2.5, PASSAGES[0], {"1": PASSAGES[0]}, [None], [["x"]]])
def test_what_is_no_list_of_texts_or_passages(wrong):
    encoder = DualEncoder.from_config(bert(), tokenizer())
    for call in (encoder.encode_questions, encoder.encode_passages, encoder.tokenize_questions):
        with pytest.raises(KitError, match=f"{call.__name__}: wanted a list of"):
            call(wrong)
    for size in (None, 1.5, "2", -1):
        with pytest.raises(KitError, match="wanted batch_size of at least 1"):
            encoder.encode_questions(["x"], batch_size=size)


def test_a_text_of_megabytes_is_cut_before_it_is_tokenized():
    encoder = DualEncoder.from_config(bert(), tokenizer())
    seen = []
    encoder._tokenizer = lambda texts, **options: seen.extend(texts) or {"input_ids": [[2, 3]] * len(texts)}
    encoder._tokenizer.pad_token_id = 0
    encoder.tokenize_questions(["king " * 10**6])
    assert len(seen[0]) == 40 * 200 and seen[0].startswith("question: king")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": -16}, "hidden_size from 1 to"),
        ({"hidden_size": 10**9}, "hidden_size from 1 to"),
        ({"hidden_size": "16"}, "hidden_size from 1 to"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers from 1 to 1,000"),
        ({"vocab_size": 9 * 10**6, "hidden_size": 10**4}, "sizes that fit the .* bytes of weights"),
        ({"hidden_act": "nonsense"}, "the sizes and settings of a model"),
        ({"chunk_size_feed_forward": 7}, "chunk_size_feed_forward 0, given 7"),
        ({"num_labels": 10**9}, "num_labels from 1 to"),
        ({"type_vocab_size": -1}, "type_vocab_size from 1 to"),
        ({"num_attention_heads": 3}, "the sizes and settings of a model"),
        ({"layer_norm_eps": "small"}, "wanted the"),
        ({"is_decoder": True}, "is_decoder False, given True"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'absolute'"),
        ({"model_type": ["bert"]}, "names in model_type"),
        ({"architectures": {"a": 1}}, "names in model_type and architectures"),
    ],
)
def test_nonsense_in_a_configuration_is_one_line(tmp_path, changes, message):
    change(written(tmp_path / "x", transformers.BertModel(bert())), **changes)
    with pytest.raises(KitError, match=message) as error:
        DualEncoder.from_pretrained(tmp_path / "x", family="fid-kd")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", [3, None, {}, {"name": "x"}])
def test_a_manifest_without_its_family_is_one_line(tmp_path, family):
    DualEncoder.from_config(bert(), tokenizer()).save_pretrained(tmp_path / "x")
    (tmp_path / "x" / "kit_encoder.json").write_text(json.dumps({"family": family}))
    with pytest.raises(KitError, match=r"kit_encoder\.json: wanted the fields"):
        DualEncoder.from_pretrained(tmp_path / "x")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    def edit(state):
        state["model.embeddings.LayerNorm.bias"][0] = float("nan")
        return state

    with pytest.raises(KitError, match=r"LayerNorm\.bias: wanted finite weights, given NaN or infinity"):
        DualEncoder.from_pretrained(broken(GOLDEN / "masks_proj", tmp_path, edit))
    encoder = DualEncoder.from_config(bert(), tokenizer())
    with torch.no_grad():
        encoder.question_tower.embeddings.LayerNorm.bias[0] = float("inf")
    with pytest.raises(KitError, match="encoder: wanted finite vectors"):
        encoder.encode_questions(["king"])


def test_saved_files_can_be_read_by_others(tmp_path):
    old = os.umask(0o022)
    try:
        DualEncoder.from_config(bert(), tokenizer()).save_pretrained(tmp_path / "x")
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "x").iterdir()} == {0o644}


def test_a_family_that_is_not_the_checkpoints(tmp_path):
    DualEncoder.from_config(bert(), tokenizer()).save_pretrained(tmp_path / "x")
    with pytest.raises(KitError, match="wanted family 'fid-kd', whose weights these are, given 'dpr'"):
        DualEncoder.from_pretrained(tmp_path / "x", family="dpr")


def test_a_folder_that_is_not_there_is_not_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    for name in ("toy/reader", "toy/reader/", "./reader", "~/reader", "a/b/c", "models\\reader", "reader/"):
        with pytest.raises(KitError, match="no such folder"):
            DualEncoder.from_pretrained(name)


def test_families_check_themselves():
    with pytest.raises(KitError, match="pooling: wanted one of mean, cls, given 'max'"):
        Family("x", pooling="max")
    with pytest.raises(KitError, match="at least 3 tokens"):
        Family("x", question_length=2)
    with pytest.raises(KitError, match="the fields"):
        Family.from_json({"name": "x"}, "kit_encoder.json")
    with pytest.raises(KitError, match="wanted a passage tower, given none"):
        DualEncoder(Tower(), family=FAMILIES["dpr"])
