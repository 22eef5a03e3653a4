"""Families: each released family on a tiny checkpoint of its layout, against transformers."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings

import huggingface_hub
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tiny_berts import DISTIL_SIZES, PASSAGES, QUESTIONS, SIZES, bert, tokenizer, written

from kit.encoder import FAMILIES, DualEncoder
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
    ids, mask = encoder.tokenize_passages(PASSAGES[:2])
    assert ids[0].tolist().count(3) == 2 and ids[1][mask[1]].tolist() == tokenizer()("new")["input_ids"]


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
    assert encoder.tokenize_passages([Passage("2", "", other)])[0].tolist()[0] == [
        *ids,
        3075,
        1012,
        2216,
        19081,
        2024,
        13507,
        1029,
        102,
    ]
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
    one = encoder.tokenize_passages(PASSAGES[:1])[0][0]
    assert one.tolist() == tokenizer()("King " + PASSAGES[0].text)["input_ids"]


def sentence_transformer(folder, model=None, *, modules=("Transformer", "Pooling"), pooling=None, **files):
    """A folder as sentence-transformers writes it; `files`: the entries of its other JSON files."""
    written(folder, model or transformers.BertModel(bert()))
    listed = [
        {"idx": n, "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling or {"pooling_mode_mean_tokens": True}))
    for name, entries in files.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    return folder


@pytest.mark.parametrize(
    "pooling", [{"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, {"pooling_mode": "mean"}]
)
def test_sentence_transformers(tmp_path, pooling):
    limits = {"max_seq_length": 12, "do_lower_case": False}
    modules = ("Transformer", "Pooling", "Normalize")
    sentence_transformer(tmp_path, modules=modules, pooling=pooling, sentence_bert_config=limits)
    encoder = DualEncoder.from_pretrained(tmp_path)
    assert (encoder.family.pooling, encoder.family.normalized, encoder.family.passage_length) == ("mean", True, 12)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode_passages(PASSAGES), axis=1), 1.0, atol=1e-5)


SETTINGS = "config_sentence_transformers"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": {"pooling_mode_max_tokens": True}}, "pooling by mean or by the first token, given max_tokens"),
        ({"modules": ("Transformer", "Pooling", "Dense")}, "wanted Transformer, Pooling and at most Normalize"),
        ({SETTINGS: {"similarity_fn_name": "euclidean"}}, "similarity_fn_name cosine or dot, given 'euclidean'"),
        ({SETTINGS: {"truncate_dim": 8}}, "wanted truncate_dim None, given 8"),
        ({SETTINGS: {"prompts": {"clustering": "a: "}}}, "a prompt named query, document or passage"),
        ({SETTINGS: {"prompts": {}, "default_prompt_name": "query"}}, "one of the names as the default"),
        ({SETTINGS: {"prompts": ["query"]}}, "prompts, texts by their names"),
        ({"sentence_bert_config": {"max_seq_length": 12, "model_args": {"x": 1}}}, "wanted no model_args"),
        ({"sentence_bert_config": {"max_seq_length": "12"}}, "question_length: wanted int, given '12'"),
        (
            {
                "pooling": {"pooling_mode_mean_tokens": True, "include_prompt": False},
                SETTINGS: {"prompts": {"query": "find: "}},
            },
            "prompts that are pooled with the text",
        ),
    ],
)
def test_settings_of_sentence_transformers_that_are_not_applied_are_refused(tmp_path, changes, message):
    with pytest.raises(KitError, match=message):
        DualEncoder.from_pretrained(sentence_transformer(tmp_path, **changes))


def test_settings_of_sentence_transformers_that_are_applied(tmp_path):
    """The oracle: transformers on the texts with prompt, in lower case, and vectors of length 1 for the cosine."""
    settings = {"prompts": {"query": "WHO ", "passage": "the old "}, "similarity_fn_name": "cosine"}
    limits = {"max_seq_length": 30, "do_lower_case": True}
    folder = sentence_transformer(tmp_path, **{SETTINGS: settings}, sentence_bert_config=limits)
    encoder = DualEncoder.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder)
    batch = ids_of(["who is the king", "the old king the king is old"])
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_questions(["IS the King"])[0], wanted[0], atol=1e-5)
    got = encoder.encode_passages([Passage("1", "KING", "the king is old")])[0]
    np.testing.assert_allclose(got, wanted[1], atol=1e-5)
    encoder.save_pretrained(tmp_path / "again")
    again = DualEncoder.from_pretrained(tmp_path / "again")
    assert again.family == encoder.family and again.fingerprint == encoder.fingerprint


def test_the_default_prompt_stands_before_both_sides(tmp_path):
    settings = {"prompts": {"any": "song "}, "default_prompt_name": "any", "similarity_fn_name": "dot"}
    encoder = DualEncoder.from_pretrained(sentence_transformer(tmp_path, **{SETTINGS: settings}))
    assert (encoder.family.question_prompt, encoder.family.passage_prompt) == ("song ", "song ")
    assert not encoder.family.normalized


def test_what_was_assumed_is_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="its files name no similarity: the dot product is taken"):
        DualEncoder.from_pretrained(sentence_transformer(tmp_path / "one"))
    written(tmp_path / "two", transformers.BertModel(bert()))
    with pytest.warns(UserWarning, match="two: its files name no family: taken for fid-kd"):
        encoder = DualEncoder.from_pretrained(tmp_path / "two")
    encoder.save_pretrained(tmp_path / "three")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DualEncoder.from_pretrained(tmp_path / "two", family="dpr")
        DualEncoder.from_pretrained(tmp_path / "three")


def words_tokenizer(start, end):
    """A tokenizer of whole words, as RoBERTa's kin have one: padding is number 1."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"the king is old who river city".split()]
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": start}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=model, **names, sep_token=end, mask_token="<mask>")


@pytest.mark.parametrize("kind", ["XLMRoberta", "Roberta", "MPNet", "Camembert"])
def test_roberta_and_its_kin_are_transformers_own(tmp_path, kind):
    """Also where a passage is longer than the positions, of which they use two fewer than they have."""
    config = getattr(transformers, f"{kind}Config")(**SIZES | {"vocab_size": 20, "max_position_embeddings": 14})
    model = getattr(transformers, f"{kind}Model")(config)
    torch.manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.eval().save_pretrained(tmp_path)
    words_tokenizer("<s>", "</s>").save_pretrained(tmp_path)
    encoder = DualEncoder.from_pretrained(tmp_path, family="contriever")
    passages = [Passage("1", "the", "king is old"), Passage("2", "river", "city " * 30), Passage("3", "", "who")]
    ids, mask = encoder.tokenize_passages(passages)
    assert ids.shape == (3, 12) and mask.sum(1).tolist() == [6, 12, 3] and ids[2].tolist()[3:] == [1] * 9
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    wanted = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    np.testing.assert_allclose(encoder.encode_passages(passages), wanted.numpy(), atol=1e-5)
    encoder.save_pretrained(tmp_path / "again")
    again = DualEncoder.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.encode_passages(passages), encoder.encode_passages(passages))
