"""Families: each released family on a tiny checkpoint of its layout, against transformers."""

from __future__ import annotations

import dataclasses
import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from tiny_berts import DISTIL_SIZES, PASSAGES, QUESTIONS, SIZES, bert, tokenizer, written

from kit.encoder import FAMILIES, DualEncoder
from kit.encoder.families import detect_family
from kit.types import KitError, Passage


def ids_of(*texts, **options):
    return tokenizer()(*texts, padding=True, truncation=True, return_tensors="pt", **options)


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text()) | entries
    (folder / "config.json").write_text(json.dumps(config))


def test_dpr_pair_is_its_towers_pooler_output_with_zero_token_types(pair):
    encoder = DualEncoder.from_pretrained(pair[0])
    question_tower = transformers.DPRQuestionEncoder.from_pretrained(pair[0])
    passage_tower = transformers.DPRContextEncoder.from_pretrained(pair[1])
    questions, passages = ids_of(QUESTIONS), ids_of(["king"], ["the king is old"])
    zeros, ones = torch.zeros_like(passages["input_ids"]), passages["token_type_ids"]
    with torch.no_grad():
        wanted = question_tower(**questions).pooler_output
        right, wrong = (
            passage_tower(**{**passages, "token_type_ids": types}).pooler_output.numpy() for types in (zeros, ones)
        )
    np.testing.assert_allclose(encoder.encode_questions(QUESTIONS), wanted.numpy(), atol=1e-5)
    got = encoder.encode_passages([Passage("1", "king", "the king is old")])
    np.testing.assert_allclose(got, right, atol=1e-5)
    assert np.abs(got - wrong).max() > 1e-2, "the tokenizer's own token types give another vector"
    assert encoder.scale == 1.0 and encoder.family.name == "dpr"


def test_a_dpr_passage_without_title_is_its_text_alone(pair):
    encoder = DualEncoder.from_pretrained(pair[0])
    ids = encoder.token_ids([encoder.family.write_passage(passage) for passage in PASSAGES[:2]], "passage")
    assert ids[0].count(3) == 2 and ids[1] == tokenizer()("new")["input_ids"]


def test_either_name_of_a_pair_gives_both_towers(pair, tmp_path):
    one, other = (DualEncoder.from_pretrained(folder) for folder in pair)
    assert one.fingerprint == other.fingerprint
    shutil.copytree(pair[1], tmp_path / "elsewhere")
    third = DualEncoder.from_pretrained(pair[0], passage_tower=tmp_path / "elsewhere")
    assert third.fingerprint == one.fingerprint


def test_dpr_towers_of_the_wrong_class(pair, tmp_path):
    with pytest.raises(KitError, match="wanted a DPRContextEncoder, given weights of DPRQuestionEncoder"):
        DualEncoder.from_pretrained(pair[0], passage_tower=pair[0])
    shutil.copytree(pair[0], tmp_path / "questions")
    with pytest.raises(KitError, match="both towers of a DPR pair"):
        DualEncoder.from_pretrained(tmp_path / "questions")
    written(tmp_path / "reader", transformers.DPRReader(transformers.DPRConfig(**SIZES)))
    with pytest.raises(KitError, match=r"wanted a bi-encoder .*, given DPRReader"):
        DualEncoder.from_pretrained(tmp_path / "reader")
    written(tmp_path / "bert", transformers.BertModel(bert()))
    with pytest.raises(KitError, match="passage_tower: wanted a DPR or RDR pair"):
        DualEncoder.from_pretrained(tmp_path / "bert", passage_tower=pair[1])


def test_dpr_towers_of_different_sizes(pair, tmp_path):
    wide = transformers.DPRContextEncoder(transformers.DPRConfig(**SIZES | {"hidden_size": 32}))
    written(tmp_path / "wide", wide)
    with pytest.raises(KitError, match=r"size \(120, 16\), given \(120, 32\)"):
        DualEncoder.from_pretrained(pair[0], passage_tower=tmp_path / "wide")


def test_distilbert_dot_is_automodels_first_token_of_the_bare_text(tmp_path):
    written(tmp_path, transformers.DistilBertModel(transformers.DistilBertConfig(**DISTIL_SIZES)))
    encoder, auto = DualEncoder.from_pretrained(tmp_path), transformers.AutoModel.from_pretrained(tmp_path)
    batch = ids_of([passage.text for passage in PASSAGES])
    with torch.no_grad():
        wanted = auto(batch["input_ids"], batch["attention_mask"])[0][:, 0, :]
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES), wanted.numpy(), atol=1e-5)
    assert (encoder.family.name, encoder.scale, encoder.family.question_length) == ("bert-dot", 1.0, 30)


def test_the_model_cards_example_of_distilbert_dot():
    """108.83 against 99.59, and the token ids, in the notebook that the model card links.

    Source: minimal_bert_dot_usage_example.ipynb of sebastian-hofstaetter/neural-ranking-kd.
    """
    name = "sebastian-hofstaetter/distilbert-dot-margin_mse-T2-msmarco"
    if not isinstance(huggingface_hub.try_to_load_from_cache(name, "model.safetensors"), str):
        pytest.skip(f"the weights of {name} are not in this machine's hub cache (kit data download distilbert-dot)")
    folder = huggingface_hub.snapshot_download(name, local_files_only=True)
    relevant = (
        "We are very happy to show you the 🤗 Transformers library for pre-trained language models. We are helping the "
        "community work together towards the goal of advancing NLP 🔥."
    )
    other = (
        "Hmm I don't like this new movie about transformers that i got from my local library. Those transformers are "
        "robots?"
    )
    encoder = DualEncoder.from_pretrained(folder, device="cpu")
    ids = [101, 17012, 1045, 2123, 1005, 1056, 2066, 2023, 2047, 3185, 2055, 19081, 2008, 1045, 2288, 2013, 2026, 2334]
    assert encoder.token_ids([other], "passage")[0] == [*ids, 3075, 1012, 2216, 19081, 2024, 13507, 1029, 102]
    question = torch.from_numpy(encoder.encode_questions(["what is the transformers library"]))
    passages = torch.from_numpy(encoder.encode_passages([Passage("1", "", relevant), Passage("2", "", other)]))
    scores = encoder.score(question, passages[None])
    torch.testing.assert_close(scores, torch.tensor([[108.8286, 99.5865]]), atol=0.01, rtol=0)


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertForPreTraining", "BertModel"])
def test_any_bert_is_a_student_to_begin_from(tmp_path, architecture):
    """FiD-KD's by default: masked mean, scaled, its templates."""
    model = getattr(transformers, architecture)(bert())
    written(tmp_path, model)
    encoder = DualEncoder.from_pretrained(tmp_path)
    batch = ids_of([f"title: {passage.title} context: {passage.text}" for passage in PASSAGES])
    with torch.no_grad():
        hidden = getattr(model, "bert", model)(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES), ((hidden * mask).sum(1) / mask.sum(1)), atol=1e-5)
    assert encoder.scale == 16**-0.5


def test_another_family_on_request(tmp_path):
    written(tmp_path, transformers.BertModel(bert()))
    encoder = DualEncoder.from_pretrained(tmp_path, family="dpr")
    one, other = (tower.state_dict() for tower in encoder.towers)
    assert all(torch.equal(one[name], other[name]) for name in one) and len(encoder.towers) == 2
    small = DualEncoder.from_pretrained(tmp_path, family=dataclasses.replace(FAMILIES["fid-kd"], dimension=4))
    assert small.encode_questions(QUESTIONS).shape == (3, 4)
    with pytest.raises(KitError, match="family: wanted one of fid-kd, dpr, bert-dot, contriever"):
        DualEncoder.from_pretrained(tmp_path, family="colbert")


def test_a_file_of_old_names(tmp_path):
    """As bert-base-uncased's: gamma and beta, bert. before the names, heads, a position buffer; a .bin."""
    model = transformers.BertForPreTraining(bert())
    written(tmp_path, model)
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in model.state_dict().items()
    }
    state["bert.embeddings.position_ids"] = torch.arange(512)[None]
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    encoder = DualEncoder.from_pretrained(tmp_path)
    for name, weight in encoder.question_tower.state_dict().items():
        assert torch.equal(weight, model.bert.state_dict()[name]), name


def test_contriever(tmp_path):
    written(tmp_path, transformers.BertModel(bert()))
    change(tmp_path, architectures=["Contriever"])
    encoder = DualEncoder.from_pretrained(tmp_path)
    assert encoder.family == FAMILIES["contriever"] and encoder.scale == 1.0
    one = encoder.token_ids([encoder.family.write_passage(PASSAGES[0])], "passage")[0]
    assert one == tokenizer()("King " + PASSAGES[0].text)["input_ids"]


@pytest.mark.parametrize("style", ["old", "new"])
def test_sentence_transformers(tmp_path, style):
    written(tmp_path, transformers.BertModel(bert()))
    modules = [
        {"idx": n, "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(["Transformer", "Pooling", "Normalize"])
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling").mkdir()
    on = (
        {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
        if style == "old"
        else {"pooling_mode": "mean"}
    )
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **on}))
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12, "do_lower_case": False}))
    encoder = DualEncoder.from_pretrained(tmp_path)
    assert (encoder.family.pooling, encoder.family.normalized, encoder.family.passage_length) == ("mean", True, 12)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode_passages(PASSAGES), axis=1), 1.0, atol=1e-5)
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(KitError, match="pooling by mean or by the first token"):
        detect_family(tmp_path)
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(KitError, match="Transformer, Pooling and at most Normalize"):
        detect_family(tmp_path)
