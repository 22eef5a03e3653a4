"""The files of a reader: released names, archives, T5's own layouts, tokenizers, and what must not be loaded."""

import json
import re
import socket
import tarfile

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_reader import CORPUS, LABELS, LENGTHS, ORIGINALS, OTHERS, QUESTIONS, TABLE, TOKENIZER, flan, ragged, tiny_t5
from transformers import AutoTokenizer

from kit.checkpoints import RELEASES
from kit.checkpoints.downloads import Release
from kit.reader import FiDReader
from kit.reader import files as reader_files
from kit.reader.position_bias import BIAS_WEIGHT, add_cross_attention_bias
from kit.types import KitError

# Released readers


@pytest.mark.parametrize("folder", ORIGINALS, ids=lambda folder: folder.name)
def test_an_archive_loads_as_its_folder(folder, tmp_path):
    with tarfile.open(tmp_path / "nq_reader.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname="nq_reader_base")
    io = load_file(folder / "io.safetensors")
    one, other = (FiDReader.from_pretrained(name, device="cpu") for name in (folder, tmp_path / "nq_reader.tar.gz"))
    given = io["input_ids"], io["attention_mask"]
    assert torch.equal(one(*given).logits, other(*given).logits) and not other.training


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the kit."""
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["nq_reader_base", "nq_reader_large", "tqa_reader_base", "tqa_reader_large"])
def test_a_released_reader_by_its_name(cache, name):
    """The archive stands in the cache, as a download leaves it; it is unpacked there and found again."""
    with tarfile.open(cache / f"{name}.tar.gz", "w:gz") as tar:
        for file in ("config.json", "pytorch_model.bin"):
            tar.add(ORIGINALS[0] / file, arcname=f"{name}/{file}")
    io = load_file(ORIGINALS[0] / "io.safetensors")
    for _ in range(2):
        reader = FiDReader.from_pretrained(name, device="cpu")
        loss = reader(io["input_ids"], io["attention_mask"], io["labels"]).loss
        assert abs(loss - io["loss"]) < 1e-5 and not (cache / f"{name}.tar.gz").exists()


def test_a_released_reader_without_a_network(cache, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/nq_reader_base.tar.gz"
    monkeypatch.setitem(RELEASES, "nq_reader_base", Release(address, "reader", ""))
    with pytest.raises(KitError, match=r"wanted a download that ends .*, given no network\?") as error:
        FiDReader.from_pretrained("nq_reader_base")
    assert str(error.value).startswith(address) and "\n" not in str(error.value)
    with pytest.raises(KitError, match=r"nq_retriever: wanted a reader .*nq_reader_base.*, given a released encoder"):
        FiDReader.from_pretrained("nq_retriever")


def original_without_tokenizer(folder, **sizes):
    """A tiny reader with T5's vocabulary in the layout of the original archives."""
    t5 = tiny_t5(**{"vocab_size": 32128, "d_model": 8, "d_kv": 2, "num_layers": 1, **sizes})
    add_cross_attention_bias(t5)
    wrapped = {}
    for name, weight in t5.state_dict().items():
        name = re.sub(r"^encoder\.block\.(\d+)\.", r"encoder.block.\1.module.", name)
        wrapped[re.sub(r"^encoder\.", "encoder.encoder.", name)] = weight
    folder.mkdir()
    torch.save(wrapped, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(t5.config.to_dict()))
    return folder


@pytest.mark.parametrize(("width", "name"), [(768, "google-t5/t5-base"), (1024, "google-t5/t5-large")])
def test_an_originals_tokenizer_is_t5s_and_fetched_when_needed(tmp_path, monkeypatch, width, name):
    assert reader_files.FID_TOKENIZERS[width] == name
    monkeypatch.setattr(reader_files, "FID_TOKENIZERS", {8: name})
    asked = []

    def snapshot(repository, allow_patterns, **_):
        asked.append((repository, allow_patterns))
        return str(TOKENIZER)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    reader = FiDReader.from_pretrained(original_without_tokenizer(tmp_path / "original"), device="cpu")
    reader.save_pretrained(tmp_path / "kit")
    again = FiDReader.from_pretrained(tmp_path / "kit", device="cpu")
    assert not asked, "ids alone need no tokenizer"
    texts = [["the old king", "film"], ["the old king", "film"]]
    assert again.tokenize_targets(texts[0]).tolist() == reader.tokenize_targets(texts[1]).tolist()
    assert asked == [(name, ["*.json", "*.txt", "*.model"])] * 2, "once a reader, and no weights"
    reader.save_pretrained(tmp_path / "whole")
    assert (tmp_path / "whole" / "tokenizer.json").exists()


def test_an_originals_tokenizer_that_cannot_be_fetched(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no internet\nreally")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.setattr(reader_files, "FID_TOKENIZERS", {8: "google-t5/t5-base"})
    reader = FiDReader.from_pretrained(original_without_tokenizer(tmp_path / "original"), device="cpu")
    with pytest.raises(KitError) as error:
        reader.read(QUESTIONS, CORPUS, TABLE)
    said = str(error.value)
    assert "its tokenizer google-t5/t5-base, which its files do not hold (or from_pretrained(..., tokenizer=" in said
    assert said.endswith("given LocalEntryNotFoundError: no internet")
    own = FiDReader.from_pretrained(tmp_path / "original", device="cpu", tokenizer=TOKENIZER)
    assert len(own.tokenizer) == 136
    other = original_without_tokenizer(tmp_path / "other", vocab_size=136)
    assert FiDReader.from_pretrained(other, device="cpu").tokenizer is None, "no guess for another vocabulary"


# Layouts of T5


def test_only_t5_1_0_scales_the_decoders_output(tmp_path):
    """A hub config of T5 1.1 says tie_word_embeddings=false, transformers 5 writes scale_decoder_outputs instead."""
    flan().save_pretrained(tmp_path)
    one = FiDReader.from_pretrained(tmp_path, device="cpu").t5
    config = json.loads((tmp_path / "config.json").read_text())
    del config["scale_decoder_outputs"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    two = FiDReader.from_pretrained(tmp_path, device="cpu").t5
    for t5 in (one, two):
        assert not t5.config.scale_decoder_outputs
        assert t5.lm_head.weight is not t5.shared.weight
        assert t5.encoder.embed_tokens.weight is t5.shared.weight
    plain = FiDReader(tiny_t5()).t5
    assert plain.config.scale_decoder_outputs and plain.lm_head.weight is plain.shared.weight


def test_a_plain_t5s_leftover_bias_is_left_out_and_shards_are_read(tmp_path):
    t5 = tiny_t5()
    t5.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    save_file({BIAS_WEIGHT: torch.ones(32, 4)}, tmp_path / "more.safetensors")
    index["weight_map"][BIAS_WEIGHT] = "more.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    reader = FiDReader.from_pretrained(tmp_path, device="cpu")
    ids, mask = ragged(LENGTHS)
    torch.testing.assert_close(reader(ids, mask, LABELS).logits, FiDReader(t5)(ids, mask, LABELS).logits)


def test_the_hubs_own_configs_are_understood(tmp_path):
    """What google-t5/t5-base and google/flan-t5-base have in config.json beside the sizes."""
    t5_base = {"output_past": True, "n_positions": 512, "task_specific_params": {"summarization": {"num_beams": 4}}}
    flan_base = {"tie_word_embeddings": False, "is_gated_act": True, "dense_act_fn": "gelu_new", "output_past": True}
    for make, more in ((tiny_t5, t5_base), (flan, flan_base)):
        t5 = make()
        t5.save_pretrained(tmp_path / make.__name__)
        config = {key: value for key, value in t5.config.to_dict().items() if not key.startswith(("scale", "tie"))}
        (tmp_path / make.__name__ / "config.json").write_text(
            json.dumps(config | {"transformers_version": "4.23.1"} | more)
        )
        reader = FiDReader.from_pretrained(tmp_path / make.__name__, device="cpu")
        ids, mask = ragged(LENGTHS)
        assert torch.equal(reader(ids, mask, LABELS).logits, FiDReader(t5)(ids, mask, LABELS).logits)
        assert reader.t5.generation_config.num_beams in (None, 1)


# Written and broken


@pytest.mark.parametrize(
    "make", [tiny_t5, flan, lambda: tiny_t5(tie_word_embeddings=False)], ids=["1.0", "1.1", "new 1.1"]
)
def test_any_t5_comes_back_the_same(make, tmp_path):
    reader = FiDReader(make())
    reader.save_pretrained(tmp_path / "reader")
    again = FiDReader.from_pretrained(tmp_path / "reader", device="cpu")
    ids, mask = ragged(LENGTHS)
    assert torch.equal(again(ids, mask, LABELS).logits, reader(ids, mask, LABELS).logits)
    assert (again.t5.lm_head.weight is again.t5.shared.weight) == (reader.t5.lm_head.weight is reader.t5.shared.weight)


@pytest.mark.parametrize("family", ["mt5", "umt5"])
def test_mt5_and_umt5_load_from_transformers_own_files(family, tmp_path):
    t5 = OTHERS[family]()
    t5.lm_head.weight = torch.nn.Parameter(torch.randn_like(t5.lm_head.weight))
    t5.save_pretrained(tmp_path / "theirs")
    FiDReader.from_pretrained(tmp_path / "theirs", device="cpu").save_pretrained(tmp_path / "kits")
    ids, mask = ragged([[7], [4]])
    wanted = t5(input_ids=ids[:, 0], attention_mask=mask[:, 0].long(), labels=LABELS)
    for folder in ("theirs", "kits"):
        reader = FiDReader.from_pretrained(tmp_path / folder, device="cpu")
        assert reader.t5.config.model_type == family
        torch.testing.assert_close(reader(ids, mask, LABELS).logits, wanted.logits, rtol=1e-3, atol=1e-4)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path):
    tiny_t5(vocab_size=128).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(tmp_path)
    with pytest.raises(KitError, match="tokenizer: wanted at most the model's 128 tokens, given one of 136"):
        FiDReader.from_pretrained(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "change",
    [{"dense_act_fn": "none"}, {"num_layers": -1}, {"d_model": 10**9}, {"dropout_rate": "high"}, {"d_kv": [4]}],
)
def test_nonsense_in_config_json_is_one_line(change, tmp_path):
    folder = saved(tmp_path, lambda w: None, change)
    with pytest.raises(KitError) as error:
        FiDReader.from_pretrained(folder, device="cpu")
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


def test_nothing_half_written_stays_and_nothing_of_others_is_overwritten(tmp_path):
    class Broken(type(AutoTokenizer.from_pretrained(TOKENIZER))):
        def save_pretrained(self, *_, **__):
            raise OSError("disk full")

    reader = FiDReader(tiny_t5(), Broken())
    with pytest.raises(OSError, match="disk full"):
        reader.save_pretrained(tmp_path / "reader")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("long")
    with pytest.raises(KitError, match=r"thesis\.txt"):
        FiDReader(tiny_t5()).save_pretrained(tmp_path / "mine")


def saved(folder, change, config=None):
    """A folder of a tiny T5 whose weights `change` has broken."""
    t5 = tiny_t5()
    weights = {name: weight.detach().clone() for name, weight in t5.state_dict().items()}
    change(weights)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(t5.config.to_dict() | (config or {})))
    return folder


NAME = "encoder.block.1.layer.0.SelfAttention.q.weight"
BREAKS = {
    "missing": (lambda w: w.pop(NAME), f"all weights of T5ForConditionalGeneration, given no '{NAME}'"),
    "unexpected": (lambda w: w.update({"head.weight": torch.ones(2)}), "given an unexpected one, 'head.weight'"),
    "shape": (
        lambda w: w.update({NAME: torch.ones(2, 3)}),
        rf"bin: {NAME}: wanted the shape \(16, 16\) of config.json, given \(2, 3\)",
    ),
    "tied": (
        lambda w: w["decoder.embed_tokens.weight"].add_(1),
        r"decoder.embed_tokens.weight: wanted what shared.weight holds, to which it is tied, given another tensor",
    ),
    "embedding": (
        lambda w: [w.pop(n) for n in list(w) if "embed" in n or n in ("shared.weight", "lm_head.weight")],
        r"given no 'shared.weight' and 3 more",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_broken_checkpoint_is_named(kind, tmp_path):
    change, message = BREAKS[kind]
    with pytest.raises(KitError, match=message):
        FiDReader.from_pretrained(saved(tmp_path, change), device="cpu")


def test_a_checkpoint_that_is_none(tmp_path):
    with pytest.raises(KitError, match="model_type t5, mt5, umt5, given bert"):
        FiDReader.from_pretrained(saved(tmp_path, lambda w: None, {"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"not weights")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(KitError, match=r"pytorch_model\.bin: wanted a file of plain tensors"):
        FiDReader.from_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(KitError, match=r"wanted weights \(model\.safetensors or pytorch_model\.bin\), given neither"):
        FiDReader.from_pretrained(tmp_path)
    with pytest.raises(KitError, match=r"a checkpoint folder, archive, or a model's name, given no such folder"):
        FiDReader.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "x.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(KitError, match=r"x\.tar\.gz: wanted a whole tar archive"):
        FiDReader.from_pretrained(tmp_path / "x.tar.gz")
