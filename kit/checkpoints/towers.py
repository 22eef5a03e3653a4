"""Models of transformers for weights to be put into, and the towers of bi-encoders: BERT and its kin.

Which parts a folder may hold that a tower does not need is listed here, family by family. Strictness itself:
`kit.checkpoints.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from kit.checkpoints.weights import fill_strictly, first_line, read_config, weight_files
from kit.types import KitError

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
        config = configuration(model_class.config_class, read_config(directory), Path(directory) / "config.json")
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
    return configuration(config_class, {name: config[name] for name in config if name not in left_out}, where)


def configuration(config_class: Any, entries: Mapping[str, Any], where: str | Path) -> Any:
    """The configuration object of a config.json's entries."""
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
