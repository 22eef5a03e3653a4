"""The released checkpoint families: their key maps, and loaders that take every weight from the files or fail.

Bi-encoders are put together in `kit.encoder.files`, readers in `kit.reader.files`; what a folder may hold that a model
does not need is listed here, family by family. Strictness itself: `kit.checkpoints.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from kit.checkpoints.downloads import resolve
from kit.checkpoints.weights import fill_strictly, first_line, read_config, weight_files, weight_shapes
from kit.files import read_json
from kit.types import KitError

# T5 as the original FiD reader saved it: an EncoderWrapper around the encoder, a CheckpointWrapper around each block.
FID_READER_KEYS = {
    r"^encoder\.encoder\.block\.(\d+)\.module\.": r"encoder.block.\1.",
    r"^encoder\.encoder\.": "encoder.",
}
# What stands before a tower's names: BertForMaskedLM and its kin, sentence-transformers, matchmaker.
TOWER_PREFIX = {r"^(bert|distilbert|albert|roberta|mpnet|bert_model)\.": ""}
# A tower's class, and the heads that files hold and a tower does not have: the pooling layer, those of pre-training.
_ROBERTA_HEADS = (r"^pooler\.dense\.", r"^lm_head\.")
TOWERS = {
    "bert": ("BertModel", (r"^pooler\.dense\.", r"^cls\.(predictions|seq_relationship)\.")),
    "distilbert": ("DistilBertModel", (r"^vocab_(transform|layer_norm|projector)\.",)),
    "albert": ("AlbertModel", (r"^pooler\.", r"^(predictions|sop_classifier)\.")),
    "roberta": ("RobertaModel", _ROBERTA_HEADS),
    "xlm-roberta": ("XLMRobertaModel", _ROBERTA_HEADS),
    "camembert": ("CamembertModel", _ROBERTA_HEADS),
    "mpnet": ("MPNetModel", _ROBERTA_HEADS),
}
# Settings of a configuration under which a tower would compute something else than the kit does.
ONLY = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}
ONLY |= {"quantization_config": None, "pruned_heads": {}}
Model = TypeVar("Model", bound=PreTrainedModel)
SMALL = 10_000_000  # weights, which may be allocated to see what is wrong
# One of these is enough.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "vocab.json")


def load_strict(
    model_class: type[PreTrainedModel],
    directory: str | Path,
    *,
    key_mapping: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    config: Any = None,
) -> PreTrainedModel:
    """A transformers model of exactly `model_class`, in eval mode, with every weight from the folder.

    `key_mapping` and `ignore` as `weights.fill_strictly` takes them. `config`: a configuration object; default the
    folder's own.
    """
    if config is None:
        config = _configuration(model_class.config_class, read_config(directory), Path(directory) / "config.json")
    model = blank_model(model_class, config, directory)
    fill_strictly(model, directory, key_mapping=key_mapping, ignore=ignore)
    return model.eval()


def blank_model(model_class: type[Model], config: Any, directory: str | Path, **options: Any) -> Model:
    """A transformers model for `fill_strictly`: its weights are tied, and hold whatever stood in the memory.

    Raises `KitError` if the configuration makes no model, or a large one of more weights than the files have bytes.
    """
    from transformers.initialization import no_init_weights

    where = Path(directory) / "config.json"
    room = sum(path.stat().st_size for path in weight_files(directory))
    try:
        with no_init_weights():
            with torch.device("meta"):  # takes no memory
                needed = sum(weight.numel() for weight in model_class(config, **options).parameters())
            if needed > max(room, SMALL):
                raise KitError(str(where), f"sizes that fit the {room:,} bytes of weights", f"{needed:,} weights")
            model = model_class(config, **options)
    except KitError:
        raise
    except Exception as error:  # a wrong configuration fails in as many ways as there are settings
        raise KitError(str(where), "the sizes and settings of a model", first_line(error)) from None
    model.tie_weights()
    return model


def tower_config(config: Mapping[str, Any], where: str | Path = "config.json") -> Any:
    """The transformers configuration of a tower from the entries of a config.json; DPR's entries are BERT's."""
    import transformers

    kind = config.get("model_type")
    kind = "bert" if kind == "dpr" else kind
    if kind not in TOWERS:
        raise KitError(str(where), f"model_type {', '.join(TOWERS)} or dpr", repr(kind))
    for name, only in ONLY.items():
        if config.get(name) not in (only, None):
            raise KitError(str(where), f"{name} {only!r}", repr(config[name]))
    config_class = getattr(transformers, TOWERS[kind][0].replace("Model", "Config"))
    left_out = ("model_type", "architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path")
    return _configuration(config_class, {name: config[name] for name in config if name not in left_out}, where)


def _configuration(config_class: Any, entries: Mapping[str, Any], where: str | Path) -> Any:
    if (size := entries.get("chunk_size_feed_forward", 0)) != 0:
        raise KitError(str(where), "chunk_size_feed_forward 0", repr(size))
    try:
        return config_class.from_dict(dict(entries))
    except Exception as error:  # transformers checks types with errors of its own
        raise KitError(str(where), f"the entries of a {config_class.__name__}", first_line(error)) from None


def build_tower(config: Any) -> PreTrainedModel:
    """A fresh tower without a pooling layer; its weights are drawn from torch's generator."""
    model_class, options = _tower_class(config)
    return model_class(config, **options)


def blank_tower(config: Any, directory: str | Path) -> PreTrainedModel:
    """A tower as `build_tower` makes it, to be filled with the weights of the folder."""
    model_class, options = _tower_class(config)
    return blank_model(model_class, config, directory, **options)


def fill_tower(
    tower: PreTrainedModel,
    directory: str | Path,
    *,
    key_mapping: Mapping[str, str] = TOWER_PREFIX,
    ignore: Sequence[str] = (),
) -> None:
    """Set every weight of a tower from the folder; the heads that it has no use for stay behind."""
    heads = TOWERS[tower.config.model_type][1]
    fill_strictly(tower, directory, key_mapping=key_mapping, ignore=(*heads, *ignore))


def _tower_class(config: Any) -> tuple[type[PreTrainedModel], dict[str, bool]]:
    import transformers

    if config.model_type not in TOWERS:
        raise KitError("configuration", f"model_type {', '.join(TOWERS)}", repr(config.model_type))
    options = {} if config.model_type == "distilbert" else {"add_pooling_layer": False}
    return getattr(transformers, TOWERS[config.model_type][0]), options


def position_limit(config: Any) -> int:
    """The tokens that a model reads at most: RoBERTa and its kin count positions from their padding's number on.

    >>> from transformers import BertConfig, XLMRobertaConfig
    >>> position_limit(BertConfig()), position_limit(XLMRobertaConfig(max_position_embeddings=514))
    (512, 512)
    """
    kin = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")
    before = config.pad_token_id + 1 if config.model_type in kin else 0
    return config.max_position_embeddings - before


def check_vocabulary(tokenizer: Any, rows: int, where: str = "tokenizer") -> None:
    """Raise `KitError` if a tokenizer has tokens for which a model has no embedding."""
    if len(tokenizer) > rows:
        raise KitError(where, f"at most the model's {rows} tokens", f"one of {len(tokenizer)} tokens")


def load_tokenizer(name_or_dir: str | Path) -> Any:
    """The tokenizer of a checkpoint, without fetching its weights; `KitError` where it has none, as FiD's archives.

    WordPiece tokenizers lower-case as tokenizer.json or tokenizer_config.json does: DPR's tokenizer classes in
    transformers 5 always lower-case (pyserini issue 2533), so BERT's class is taken. It is for matchmaker's BERT_Cat
    too, whose model_type no library knows.
    """
    from transformers import CONFIG_MAPPING, AutoTokenizer, BertTokenizer

    directory = resolve(name_or_dir, weights=False)
    names = {path.name for path in directory.iterdir()}
    if not names.intersection(TOKENIZER_FILES):
        raise KitError(str(directory), f"a tokenizer ({', '.join(TOKENIZER_FILES)})", "none of these")
    kind = read_config(directory).get("model_type") if "config.json" in names else None
    word_pieces = kind in ("bert", "distilbert", "dpr") or ("vocab.txt" in names and kind not in CONFIG_MAPPING)
    try:
        if "spiece.model" in names or not word_pieces:
            return AutoTokenizer.from_pretrained(str(directory), trust_remote_code=False)
        return BertTokenizer.from_pretrained(str(directory), do_lower_case=_lower_cases(directory))
    except Exception as error:  # a broken file fails in as many ways as there are libraries below
        raise KitError(str(directory), "a tokenizer that loads", first_line(error)) from None


def _lower_cases(directory: Path) -> bool:
    if (directory / "tokenizer.json").exists():
        normalizer = read_json(directory / "tokenizer.json", dict).get("normalizer") or {}
        if "lowercase" in normalizer:
            return bool(normalizer["lowercase"])
    if (directory / "tokenizer_config.json").exists():
        options = read_json(directory / "tokenizer_config.json", dict)
        return bool(options.get("do_lower_case", True))
    return True


class PairScorer(nn.Module):
    """A cross-encoder: (question, passage) in one sequence to one raw score, without sigmoid or softmax.

    `body` gives the vector of the first token or the logits; `head` (BERT_Cat) makes it one number.
    """

    def __init__(self, body: PreTrainedModel, head: nn.Linear | None = None) -> None:
        super().__init__()
        self.body, self.head = body, head

    @property
    def config(self) -> Any:
        """The body's."""
        return self.body.config

    def forward(
        self,
        input_ids: Int[Tensor, "x t"],
        attention_mask: Bool[Tensor, "x t"] | Int[Tensor, "x t"],
        token_type_ids: Int[Tensor, "x t"] | None = None,
    ) -> Float[Tensor, " x"]:
        """Raw scores (x,); token types are left out for a DistilBERT, which has none."""
        types = {} if self.body.config.model_type == "distilbert" else {"token_type_ids": token_type_ids}
        out = self.body(input_ids=input_ids, attention_mask=attention_mask, **types)
        if self.head is None:
            return out.logits[:, 0]  # (x,)
        return self.head(out.last_hidden_state[:, 0]).squeeze(-1)  # (x, t, d) -> (x,)


def load_cross_encoder(directory: str | Path) -> PairScorer:
    """A cross-encoder in eval mode that gives raw scores (x,): BERT_Cat, or one of sentence-transformers.

    BERT_Cat (`bert_model.*` and `_classification_layer.*`): the first token's vector through one Linear. Others:
    `...ForSequenceClassification` with one label, its logit. Source: Hofstaetter et al. 2020, section 3; model cards.
    """
    import transformers

    config, shapes = read_config(directory), weight_shapes(directory)
    if "_classification_layer.weight" in shapes:
        return _load_bert_cat(directory, config, shapes)
    name = (config.get("architectures") or ["?"])[0]
    if not name.endswith("ForSequenceClassification") or not hasattr(transformers, name):
        raise KitError(str(directory), "a cross-encoder (BERT_Cat or ...ForSequenceClassification)", repr(name))
    model_class = getattr(transformers, name)
    for setting in ("is_decoder", "quantization_config"):
        if config.get(setting):
            raise KitError(f"{directory}/config.json", f"no {setting}", repr(config[setting]))
    full = _configuration(model_class.config_class, config, f"{directory}/config.json")
    if full.num_labels != 1:
        raise KitError(str(directory), "a cross-encoder with one score", f"{full.num_labels} labels")
    return PairScorer(load_strict(model_class, directory, config=full))


def _load_bert_cat(
    directory: str | Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> PairScorer:
    if config.get("model_type") not in TOWERS:  # matchmaker's file only names the model it began from
        config = {**_sizes_of(shapes, directory), **{n: v for n, v in config.items() if n == "num_attention_heads"}}
    body = blank_tower(tower_config(config, directory), directory)
    fill_tower(body, directory, ignore=(r"^_classification_layer\.",))
    head = nn.Linear(body.config.hidden_size, 1)
    fill_strictly(head, directory, key_mapping={r"^_classification_layer\.": ""}, ignore=(r"^bert_model\.",))
    return PairScorer(body, head).eval()


def _sizes_of(shapes: Mapping[str, tuple[int, ...]], directory: str | Path) -> dict[str, Any]:
    """A tower's configuration from the shapes of its weights, with heads of 64 as in every released BERT_Cat."""
    shapes = {name.removeprefix("bert_model."): shape for name, shape in shapes.items()}
    words, positions = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
    if words not in shapes or positions not in shapes:
        raise KitError(str(directory), f"BERT's weights, bert_model.{words} among them", "none of this name")
    vocabulary, hidden = shapes[words]
    common = {"vocab_size": vocabulary, "max_position_embeddings": shapes[positions][0]}
    if "transformer.layer.0.ffn.lin1.weight" in shapes:
        layers = sum(name.endswith(".ffn.lin1.weight") for name in shapes)
        wide = shapes["transformer.layer.0.ffn.lin1.weight"][0]
        sizes = {"dim": hidden, "hidden_dim": wide, "n_layers": layers, "n_heads": hidden // 64}
        return {"model_type": "distilbert", **common, **sizes}
    if "encoder.layer.0.intermediate.dense.weight" in shapes:
        layers = sum(name.endswith(".intermediate.dense.weight") for name in shapes)
        wide = shapes["encoder.layer.0.intermediate.dense.weight"][0]
        sizes = {"hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": layers}
        return {"model_type": "bert", **common, **sizes, "num_attention_heads": hidden // 64}
    raise KitError(str(directory), "BERT_Cat on BERT or DistilBERT (others: a config.json with their sizes)", "neither")


def load_extractive_reader(directory: str | Path) -> Any:
    """DPR's extractive reader (transformers' DPRReader) in eval mode; its `relevance_logits` are RDR's teacher.

    Its forward takes (x, t) ids and mask of `[CLS] question [SEP] title [SEP] text` and gives start, end (x, t) and
    relevance logits (x,). Token types are all zero. Source: Karpukhin et al. 2020, section 6; Yang & Seo 2020.
    """
    from transformers import DPRReader

    architecture = (read_config(directory).get("architectures") or ["DPRReader"])[0]
    if architecture != "DPRReader":
        raise KitError(str(directory), "a checkpoint of DPRReader", architecture)
    return load_strict(DPRReader, directory, ignore=(r"\.pooler\.dense\.",))
