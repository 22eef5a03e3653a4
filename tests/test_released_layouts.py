"""Every name of RELEASES loads: from tiny checkpoints with the very files, entries and names of the released ones.

The layouts are those of the repositories' file lists and configurations: older .bin files, a vocabulary without the
name of a tokenizer's class, buffers and pooling layers that no model needs. The oracle is transformers' BERT.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from kit.checkpoints import RELEASES
from kit.encoder import DualEncoder
from kit.encoder.files import detect_family
from kit.reader import FiDReader
from kit.teachers import CrossEncoder, ExtractiveReader
from kit.types import Passage, Question, ScoreTable

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = GOLDEN / "retriever" / "tokenization" / "vocab.txt"
SIZES = {"vocab_size": 120, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0}
BERT = {"attention_probs_dropout_prob": 0.1, "gradient_checkpointing": False, "hidden_act": "gelu"} | SIZES
BERT |= {"hidden_dropout_prob": 0.1, "initializer_range": 0.02, "layer_norm_eps": 1e-12}
BERT |= {"position_embedding_type": "absolute"}
DISTIL = {"activation": "gelu", "attention_dropout": 0.1, "dim": 64, "dropout": 0.1, "hidden_dim": 24, "n_heads": 1}
DISTIL |= {"initializer_range": 0.02, "max_position_embeddings": 512, "model_type": "distilbert", "n_layers": 2}
DISTIL |= {"pad_token_id": 0, "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False}
DISTIL |= {"tie_weights_": True, "transformers_version": "4.1.1", "vocab_size": 120}
QUESTION = "who is the king"
PASSAGE = Passage("p", "King", "the king is old")
TABLE = ScoreTable("one", ["q"], [["p"]], [[1.0]])


def drawn(model, seed=0):
    torch.manual_seed(seed)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    return model.eval()


def bert(seed=0):
    return drawn(transformers.BertModel(transformers.BertConfig(**SIZES)), seed)


def distilbert():
    sizes = {"vocab_size": 120, "dim": 64, "n_layers": 2, "n_heads": 1, "hidden_dim": 24}
    return drawn(transformers.DistilBertModel(transformers.DistilBertConfig(**sizes)))


def write(folder, config, state, *, tokenizer_config=None):
    """A repository's files: config.json, an old .bin that is no zip, and the tokenizer's without tokenizer.json."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    shutil.copy(VOCABULARY, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config or {"do_lower_case": True}))
    return folder


def named(prefix, model, **more):
    return {prefix + name: weight.detach() for name, weight in model.state_dict().items()} | more


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that holds what the test writes under `hub / repository`."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(tmp_path / "hub" / name))
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "hub"


def first_vector(model, ids, types=None):
    """The first token's vector of one text, by transformers."""
    kinds = {} if types is None else {"token_type_ids": torch.tensor([types])}
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), **kinds).last_hidden_state[0, 0]


def words(text):
    vocabulary = {word: row for row, word in enumerate(VOCABULARY.read_text().split("\n"))}
    return [vocabulary[word] for word in text.split()]


@pytest.mark.parametrize("name", [name for name, one in RELEASES.items() if one.is_archive])
def test_archives_of_fid(hub, tmp_path, name):
    kind = RELEASES[name].kind
    folder = GOLDEN / ("reader/degenerate" if kind == "reader" else "retriever/masks_noproj")
    with tarfile.open(tmp_path / "cache" / f"{name}.tar.gz", "w:gz") as tar:
        for file in ("config.json", "pytorch_model.bin"):
            tar.add(folder / file, arcname=f"{name}/{file}")
    io = load_file(folder / "io.safetensors")
    if kind == "reader":
        loss = FiDReader.from_pretrained(name, device="cpu")(io["input_ids"], io["attention_mask"], io["labels"]).loss
        assert loss.item() == pytest.approx(io["loss"].item(), abs=1e-5)
    else:
        got = DualEncoder.from_pretrained(name, device="cpu").embed(io["question_ids"], io["question_mask"])
        torch.testing.assert_close(got, io["question_embedding"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["rdr-nq", "rdr-trivia", "dpr-nq", "dpr-trivia"])
def test_pairs_of_dpr_and_rdr(hub, name):
    towers = {}
    for seed, (prefix, made) in enumerate({"question": "DPRQuestionEncoder", "ctx": "DPRContextEncoder"}.items()):
        model = towers[prefix] = bert(seed)
        position_ids = {f"{prefix}_encoder.bert_model.embeddings.position_ids": torch.arange(512)[None]}
        config = BERT | {"architectures": [made], "model_type": "dpr", "projection_dim": 0}
        folder = hub / RELEASES[name].address.replace("question_encoder", f"{prefix}_encoder")
        write(folder, config, named(f"{prefix}_encoder.bert_model.", model, **position_ids))
    encoder = DualEncoder.from_pretrained(name, device="cpu")
    pair = [2, *words("king"), 3, *words("the king is old"), 3]
    wanted = first_vector(towers["question"], [2, *words(QUESTION), 3]), first_vector(towers["ctx"], pair)
    np.testing.assert_allclose(encoder.encode_questions([QUESTION])[0], wanted[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_passages([PASSAGE])[0], wanted[1].numpy(), atol=1e-5)


def test_dprs_extractive_reader(hub):
    model, heads = bert(), {"qa_outputs": nn.Linear(64, 2), "qa_classifier": nn.Linear(64, 1)}
    state = named("span_predictor.encoder.bert_model.", model)
    state["span_predictor.encoder.bert_model.embeddings.position_ids"] = torch.arange(512)[None]
    for head, layer in heads.items():
        state |= named(f"span_predictor.{head}.", drawn(layer))
    config = BERT | {"architectures": ["DPRReader"], "model_type": "dpr", "projection_dim": 0}
    write(hub / RELEASES["dpr-reader-nq"].address, config, state)
    teacher = ExtractiveReader.from_pretrained("dpr-reader-nq", device="cpu")
    got = teacher.score([Question("q", QUESTION)], {"p": PASSAGE}, TABLE).values[0, 0]
    vector = first_vector(model, [2, *words(QUESTION), 3, *words("king"), 3, *words("the king is old")])
    assert got == pytest.approx(heads["qa_classifier"](vector).item(), abs=1e-4)


@pytest.mark.parametrize("name", ["distilbert-dot", "distilbert-dot-tas-b"])
def test_bert_dot(hub, name):
    model = distilbert()
    config = DISTIL | {"architectures": ["DistilBertModel"], "_name_or_path": "distilbert-base-uncased"}
    write(hub / RELEASES[name].address, config, named("", model), tokenizer_config={"model_max_length": 512})
    encoder = DualEncoder.from_pretrained(name, device="cpu")
    wanted = first_vector(model, [2, *words("the king is old"), 3])
    np.testing.assert_allclose(encoder.encode_passages([PASSAGE])[0], wanted.numpy(), atol=1e-5)
    assert encoder.family.name == "bert-dot" and encoder.scale == 1.0


def pairs_vector(model, types=None):
    ids = [2, *words(QUESTION), 3, *words("king the king is old"), 3]
    return first_vector(model, ids, types and [0] * 6 + [1] * 6)


def test_bert_cat(hub):
    """Its configuration names a class that no library has, and no sizes."""
    model, head = distilbert(), drawn(nn.Linear(64, 1))
    config = {"architectures": ["BERT_Cat"], "bert_model": "distilbert-base-uncased", "model_type": "BERT_Cat"}
    state = named("bert_model.", model) | named("_classification_layer.", head)
    folder = write(hub / RELEASES["distilbert-cat"].address, config | {"trainable": True}, state)
    (folder / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]", "sep_token": "[SEP]"}))
    teacher = CrossEncoder.from_pretrained("distilbert-cat", device="cpu")
    got = teacher.score([Question("q", QUESTION)], {"p": PASSAGE}, TABLE).values[0, 0]
    assert got == pytest.approx(head(pairs_vector(model)).item(), abs=1e-4)


def test_a_cross_encoder_of_sentence_transformers(hub):
    full = transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, num_labels=1))
    config = BERT | {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "use_cache": True}
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    config |= {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    state = named("", drawn(full)) | {"bert.embeddings.position_ids": torch.arange(512)[None]}
    write(hub / RELEASES["minilm-cat"].address, config, state, tokenizer_config={"tokenizer_class": "BertTokenizer"})
    teacher = CrossEncoder.from_pretrained("minilm-cat", device="cpu")
    got = teacher.score([Question("q", QUESTION)], {"p": PASSAGE}, TABLE).values[0, 0]
    pooled = torch.tanh(full.bert.pooler.dense(pairs_vector(full.bert, types=True)))
    assert got == pytest.approx(full.classifier(pooled).item(), abs=1e-4)


def mean_vector(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)


def test_contriever(hub):
    model = bert()
    config = BERT | {"architectures": ["Contriever"], "model_type": "bert", "classifier_dropout": None}
    state = named("", model) | {"embeddings.position_ids": torch.arange(512)[None]}
    write(hub / RELEASES["contriever"].address, config | {"torch_dtype": "float32", "use_cache": True}, state)
    encoder = DualEncoder.from_pretrained("contriever", device="cpu")
    wanted = mean_vector(model, [2, *words("king the king is old"), 3])
    np.testing.assert_allclose(encoder.encode_passages([PASSAGE])[0], wanted.numpy(), atol=1e-5)
    assert encoder.family.name == "contriever" and encoder.scale == 1.0


def test_a_bi_encoder_of_sentence_transformers(hub):
    model = bert()
    folder = write(
        hub / "someone/model", BERT | {"architectures": ["BertModel"], "model_type": "bert"}, named("", model)
    )
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": mode == "cls_token" for mode in ("cls_token", "mean_tokens", "max_tokens")}
    modes |= {"word_embedding_dimension": 64, "pooling_mode_mean_sqrt_len_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 350, "do_lower_case": False}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"__version__": {"pytorch": "1.6.0"}}))
    encoder = DualEncoder.from_pretrained("someone/model", device="cpu")
    wanted = first_vector(model, [2, *words(QUESTION), 3])
    np.testing.assert_allclose(encoder.encode_questions([QUESTION])[0], wanted.numpy(), atol=1e-5)
    assert encoder.family.passage_length == 350 and not encoder.family.normalized


def test_fid_kds_retriever_as_others_converted_it(hub):
    """castorini/dkrr-dpr-nq-retriever: a bare BERT, of which the masked mean is taken and no projection."""
    model = bert()
    config = BERT | {"architectures": ["BertModel"], "model_type": "bert"}
    folder = write(hub / "castorini/dkrr-dpr-nq-retriever", config, named("", model))
    encoder = DualEncoder.from_pretrained("castorini/dkrr-dpr-nq-retriever", device="cpu")
    ids = encoder.tokenize_questions([QUESTION])[0][0].tolist()
    np.testing.assert_allclose(encoder.encode_questions([QUESTION])[0], mean_vector(model, ids).numpy(), atol=1e-5)
    assert detect_family(folder)[0].name == "fid-kd" and encoder.scale == 64**-0.5


def test_no_release_is_left_out():
    tested = {"rdr-nq", "rdr-trivia", "dpr-nq", "dpr-trivia", "dpr-reader-nq", "distilbert-dot", "distilbert-dot-tas-b"}
    tested |= {"distilbert-cat", "minilm-cat", "contriever"} | {name for name in RELEASES if RELEASES[name].is_archive}
    assert set(RELEASES) == tested


def test_the_authors_example_of_bert_cat():
    """Scores 5.8997 and 2.2803 in minimal_bert_cat_usage_example.ipynb of sebastian-hofstaetter/neural-ranking-kd."""
    name = RELEASES["distilbert-cat"].address
    if not isinstance(huggingface_hub.try_to_load_from_cache(name, "pytorch_model.bin"), str):
        pytest.skip(f"the weights of {name} are not in this machine's hub cache (kit data download distilbert-cat)")
    folder = huggingface_hub.snapshot_download(name, local_files_only=True)
    question = "what is the transformers library"
    relevant = (
        "We are very happy to show you the 🤗 Transformers library for pre-trained language models. We are helping the "
        "community work together towards the goal of advancing NLP 🔥."
    )
    other = (
        "Hmm I don't like this new movie about transformers that i got from my local library. Those transformers are "
        "robots?"
    )
    scores = CrossEncoder.from_pretrained(folder, device="cpu").score_pairs([(question, relevant), (question, other)])
    np.testing.assert_allclose(scores, [5.8997, 2.2803], atol=0.005)
