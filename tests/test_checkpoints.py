"""kit.checkpoints and kit.checkpoints.weights: strict loading, teachers' files, tokenizers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from kit.checkpoints import load_cross_encoder, load_extractive_reader, load_tokenizer
from kit.checkpoints.towers import load_strict
from kit.reader.files import FID_READER_KEYS
from kit.types import KitError

VOCABULARY = Path(__file__).parent / "golden" / "retriever" / "tokenization" / "vocab.txt"
SIZES = {
    "vocab_size": 120,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
DISTIL_SIZES = {"vocab_size": 120, "dim": 128, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
IDS = torch.tensor([[2, 90, 3, 95, 3], [2, 91, 3, 3, 0]])
MASK, TYPES = (IDS != 0).long(), torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 1, 0]])


def widened(model, seed=0):
    torch.manual_seed(seed)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    return model.eval()


# Cross-encoders and the extractive reader


def bert_cat(folder, base, seed=0):
    """A BERT_Cat as matchmaker's class saves it: bert_model.*, _classification_layer.*, and a config without sizes."""
    body, head = widened(base, seed), nn.Linear(128, 1)
    state = {f"bert_model.{name}": weight for name, weight in body.state_dict().items()}
    state |= {f"_classification_layer.{name}": weight.detach() for name, weight in head.state_dict().items()}
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    config = {"architectures": ["BERT_Cat"], "model_type": "BERT_Cat", "bert_model": "a-name", "trainable": True}
    (folder / "config.json").write_text(json.dumps(config))
    return body, head


def test_bert_cat_on_bert(tmp_path):
    body, head = bert_cat(tmp_path, transformers.BertModel(transformers.BertConfig(**SIZES)))
    scorer = load_cross_encoder(tmp_path)
    with torch.no_grad():
        wanted = head(body(IDS, attention_mask=MASK, token_type_ids=TYPES).last_hidden_state[:, 0]).squeeze(-1)
        got, untyped = scorer(IDS, MASK, TYPES), scorer(IDS, MASK)
    torch.testing.assert_close(got, wanted)
    assert got.shape == (2,) and not scorer.training
    assert not torch.allclose(got, untyped, atol=1e-3), "token types tell question from passage"


def test_bert_cat_on_distilbert_has_no_token_types(tmp_path):
    body, head = bert_cat(tmp_path, transformers.DistilBertModel(transformers.DistilBertConfig(**DISTIL_SIZES)))
    with torch.no_grad():
        wanted = head(body(IDS, attention_mask=MASK).last_hidden_state[:, 0]).squeeze(-1)
        torch.testing.assert_close(load_cross_encoder(tmp_path)(IDS, MASK, TYPES), wanted)


def test_cross_encoder_of_sentence_transformers_gives_raw_logits(tmp_path):
    config = transformers.BertConfig(**SIZES, num_labels=1)
    model = widened(transformers.BertForSequenceClassification(config))
    nn.init.constant_(model.classifier.bias, 7.0)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        wanted = model(IDS, attention_mask=MASK, token_type_ids=TYPES).logits[:, 0]
        torch.testing.assert_close(load_cross_encoder(tmp_path)(IDS, MASK, TYPES), wanted)
    assert (wanted > 1).all(), "not squashed into 0 ... 1"


def test_no_cross_encoder(tmp_path):
    transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(KitError, match="a cross-encoder with one score, given 3 labels"):
        load_cross_encoder(tmp_path)
    transformers.BertModel(transformers.BertConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(KitError, match=r"wanted a cross-encoder .*, given 'BertModel'"):
        load_cross_encoder(tmp_path)
    bert_cat(tmp_path / "cat", transformers.BertModel(transformers.BertConfig(**SIZES)))
    state = torch.load(tmp_path / "cat" / "pytorch_model.bin", weights_only=True)
    torch.save({n: w for n, w in state.items() if "bias" not in n}, tmp_path / "cat" / "pytorch_model.bin")
    with pytest.raises(KitError, match=r"all weights of BertModel, given no '.*bias' and"):
        load_cross_encoder(tmp_path / "cat")


def test_extractive_reader(tmp_path):
    model = widened(transformers.DPRReader(transformers.DPRConfig(**SIZES)))
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    state["span_predictor.encoder.bert_model.embeddings.position_ids"] = torch.arange(512)[None]
    state["span_predictor.encoder.bert_model.pooler.dense.weight"] = torch.ones(128, 128)
    model.save_pretrained(tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    with torch.no_grad():
        wanted, got = model(IDS, MASK).relevance_logits, load_extractive_reader(tmp_path)(IDS, MASK).relevance_logits
    torch.testing.assert_close(got, wanted)
    transformers.DPRContextEncoder(transformers.DPRConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(KitError, match="a checkpoint of DPRReader, given DPRContextEncoder"):
        load_extractive_reader(tmp_path)


# Strict loading


def t5(folder):
    config = transformers.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    model = transformers.T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    return model


def test_a_fid_reader_by_its_key_map_and_its_tied_weights(tmp_path):
    model = t5(tmp_path)
    state = {}
    for name, weight in model.state_dict().items():
        wrapped = name.replace("encoder.block.", "encoder.encoder.block.") if name.startswith("encoder.block") else name
        if name.startswith("encoder.block"):
            number = wrapped.split(".")[3]
            wrapped = wrapped.replace(f"block.{number}.", f"block.{number}.module.")
        elif name.startswith("encoder."):
            wrapped = "encoder." + name
        state[wrapped] = weight.clone()
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    loaded = load_strict(transformers.T5ForConditionalGeneration, tmp_path, key_mapping=FID_READER_KEYS)
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    assert loaded.lm_head.weight is loaded.shared.weight and not loaded.training
    with pytest.raises(KitError, match=r"an unexpected one, 'encoder\.encoder"):
        load_strict(transformers.T5ForConditionalGeneration, tmp_path)


def test_one_name_of_a_tied_weight_is_enough_but_one_is_needed(tmp_path):
    model = t5(tmp_path)
    embeddings = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    rest = {name: weight.clone() for name, weight in model.state_dict().items() if name not in embeddings}
    save_file(rest | {"shared.weight": model.shared.weight.detach().clone()}, tmp_path / "model.safetensors")
    loaded = load_strict(transformers.T5ForConditionalGeneration, tmp_path)
    assert torch.equal(loaded.lm_head.weight, model.shared.weight)
    save_file(rest, tmp_path / "model.safetensors")
    with pytest.raises(KitError, match=r"given no 'shared\.weight' and 3 more"):
        load_strict(transformers.T5ForConditionalGeneration, tmp_path)


def test_names_of_a_tied_weight_must_agree(tmp_path):
    model = t5(tmp_path)
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    assert torch.equal(
        load_strict(transformers.T5ForConditionalGeneration, tmp_path).shared.weight, state["shared.weight"]
    )
    state["decoder.embed_tokens.weight"][3, 5] += 1
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(KitError, match=r"weight: wanted what \S+ holds, to which it is tied, given another tensor"):
        load_strict(transformers.T5ForConditionalGeneration, tmp_path)


def test_shards_of_weights(tmp_path):
    model = t5(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="5KB")
    shards = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(shards) > 2
    loaded = load_strict(transformers.T5ForConditionalGeneration, tmp_path / "shards")
    assert all(torch.equal(weight, loaded.state_dict()[name]) for name, weight in model.state_dict().items())
    shards[1].unlink()
    with pytest.raises(KitError, match=f"all shards of the weights, given no {shards[1].name}"):
        load_strict(transformers.T5ForConditionalGeneration, tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(KitError, match="the names of shards in 'weight_map', given none"):
        load_strict(transformers.T5ForConditionalGeneration, tmp_path / "shards")


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch was_here",)


def test_files_that_are_broken_or_dangerous(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model_class = transformers.T5ForConditionalGeneration
    t5(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KitError, match=r"model\.safetensors: wanted a whole file of weights"):
        load_strict(model_class, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"shared.weight": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(KitError, match="wanted a file of plain tensors"):
        load_strict(model_class, tmp_path)
    assert not (tmp_path / "was_here").exists()
    torch.save({"epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(KitError, match="a file of named tensors"):
        load_strict(model_class, tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(KitError, match="given neither"):
        load_strict(model_class, tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(KitError, match=r"config\.json: wanted JSON"):
        load_strict(model_class, tmp_path)


@pytest.mark.parametrize("kind", ["dpr", "bert", "distilbert"])
@pytest.mark.parametrize(
    ("files", "lower"), [({"do_lower_case": False}, False), ({"do_lower_case": True}, True), ({}, True)]
)
def test_tokenizers_lower_case_as_their_files_say(tmp_path, kind, files, lower):
    """DPR's own tokenizer classes in transformers 5 always do."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "vocab.txt").write_text(VOCABULARY.read_text() + "King\n")
    if files:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(files))
    tokens = load_tokenizer(tmp_path).tokenize("King")
    assert tokens == (["king"] if lower else ["King"])
    load_tokenizer(tmp_path).save_pretrained(tmp_path / "again")
    (tmp_path / "again" / "config.json").write_text(json.dumps({"model_type": kind}))
    assert load_tokenizer(tmp_path / "again").tokenize("King") == tokens


def test_a_tokenizer_beside_a_model_type_that_no_library_knows(tmp_path):
    """The files of distilbert-cat-margin_mse-T2-msmarco: matchmaker's config, a vocabulary, and no tokenizer class."""
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BERT_Cat"], "model_type": "BERT_Cat"}))
    (tmp_path / "vocab.txt").write_text(VOCABULARY.read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 512}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"sep_token": "[SEP]", "cls_token": "[CLS]"}))
    assert load_tokenizer(tmp_path)("The king")["input_ids"][0] == 2


def test_a_tokenizer_of_t5_alone(tmp_path):
    """tokenizer.json and no word of its class: what config.json says is taken, not BERT's."""
    whole = VOCABULARY.parents[2] / "reader" / "tokenizer"
    shutil.copy(whole / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    ids = load_tokenizer(tmp_path)("the old king")["input_ids"]
    assert ids == load_tokenizer(whole)("the old king")["input_ids"] and ids[-1] == 1


def test_a_tokenizer_by_name_fetches_no_weights(tmp_path, monkeypatch):
    asked = []

    def snapshot(name, allow_patterns, **_):
        asked.append((name, allow_patterns))
        return str(VOCABULARY.parent)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert "king" in load_tokenizer("google-bert/bert-base-uncased").vocab
    assert asked == [("google-bert/bert-base-uncased", ["*.json", "*.txt", "*.model"])]


def test_no_tokenizer(tmp_path):
    with pytest.raises(KitError, match=r"wanted a tokenizer \(.*vocab\.txt.*\), given none of these"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(KitError):
        load_tokenizer(tmp_path)
