"""Models that read question and passage together: cross-encoders, and DPR's extractive reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from kit.checkpoints.towers import TOWERS, blank_tower, configuration, fill_tower, load_strict, tower_config
from kit.checkpoints.weights import fill_strictly, read_config, weight_shapes
from kit.types import KitError


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
    full = configuration(model_class.config_class, config, f"{directory}/config.json")
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
