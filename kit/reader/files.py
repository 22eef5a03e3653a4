"""The files of a FiD reader: a checkpoint put into a T5, its tokenizer, and the kit's own checkpoint.

Reads a kit checkpoint, a T5 1.0, T5 1.1, FLAN-T5, mT5 or umT5, and an original FiD reader. Every weight comes from the
files, or a `KitError` names it (`kit.checkpoints.weights`). Knows nothing of passages or of how the reader runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from kit.checkpoints import RELEASES, load_tokenizer, resolve
from kit.checkpoints.own import own_tokenizer, read_manifest, save_checkpoint
from kit.checkpoints.towers import blank_model, configuration
from kit.checkpoints.weights import fill_strictly, read_config, weight_files, weights
from kit.reader.position_bias import BIAS_WEIGHT, add_cross_attention_bias, has_cross_attention_bias
from kit.types import KitError

EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
HEAD = "lm_head.weight"
# T5 as the original FiD reader saved it: an EncoderWrapper around the encoder, a CheckpointWrapper around each block.
FID_READER_KEYS = {
    r"^encoder\.encoder\.block\.(\d+)\.module\.": r"encoder.block.\1.",
    r"^encoder\.encoder\.": "encoder.",
}
MANIFEST = "kit_reader.json"
# What FiD's scripts load, by the width of the model, when it has T5's vocabulary: the original archives hold none.
FID_TOKENIZERS = {512: "google-t5/t5-small", 768: "google-t5/t5-base", 1024: "google-t5/t5-large"}
T5_VOCABULARY = 32128
FAMILIES = {
    "t5": (T5Config, T5ForConditionalGeneration),
    "mt5": (MT5Config, MT5ForConditionalGeneration),
    "umt5": (UMT5Config, UMT5ForConditionalGeneration),
}


def load_reader(
    name_or_dir: str | Path, tokenizer: PreTrainedTokenizerBase | str | Path | None = None
) -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase | str | None, dict[str, Any]]:
    """The T5, the tokenizer (or its name, or None) and the kit's settings of a reader's checkpoint.

    `name_or_dir` as `kit.checkpoints.resolve` takes it; a release that is no reader is an error and not fetched.
    `tokenizer`: one, or where it is, in place of the checkpoint's own.
    """
    name = str(name_or_dir)
    if name in RELEASES and RELEASES[name].kind != "reader" and not Path(name).exists():
        readers = ", ".join(key for key, release in RELEASES.items() if release.kind == "reader")
        raise KitError(name, f"a reader (released: {readers})", f"a released {RELEASES[name].kind}")
    folder = resolve(name_or_dir)
    t5 = load_t5(folder)
    own: Any = tokenizer
    if tokenizer is None:  # an original FiD reader was trained with T5's own
        original = has_cross_attention_bias(t5) and t5.config.vocab_size == T5_VOCABULARY
        own = own_tokenizer(folder, MANIFEST, FID_TOKENIZERS.get(t5.config.d_model) if original else None)
    elif isinstance(tokenizer, str | Path):
        own = load_tokenizer(tokenizer)
    return t5, own, read_manifest(folder / MANIFEST)


def load_t5(folder: Path) -> T5ForConditionalGeneration:
    """The T5 of a folder, in float32 on the CPU, in eval mode; every weight is accounted for.

    An original FiD checkpoint (its encoder's names are wrapped) and a kit checkpoint of one get their
    cross-attention position bias. A plain T5's leftover of it is left out, as transformers does since version 4.
    """
    settings = read_config(folder)
    family = settings.get("model_type") or "t5"
    if family not in FAMILIES:
        raise KitError(str(folder / "config.json"), f"model_type {', '.join(FAMILIES)}", family)
    config_class, model_class = FAMILIES[family]
    settings.setdefault("decoder_start_token_id", settings.get("pad_token_id", 0))  # T5's own rule
    for name in ("architectures", "dtype", "torch_dtype", "model_type"):
        settings.pop(name, None)
    original, own_head = _marks(folder)
    biased = original or read_manifest(folder / MANIFEST).get("cross_attention_bias", False)
    config = configuration(config_class, settings, folder / "config.json")
    t5: Any = blank_model(model_class, config, folder)
    if biased:
        add_cross_attention_bias(t5)
    if own_head or settings.get("tie_word_embeddings") is False:
        t5.lm_head.weight = nn.Parameter(torch.empty_like(t5.shared.weight))
    leftover = () if biased else (f"^{re.escape(BIAS_WEIGHT)}$",)
    fill_strictly(t5, folder, key_mapping=FID_READER_KEYS, ignore=leftover)
    return t5.eval()


def _marks(folder: Path) -> tuple[bool, bool]:
    """Whether FiD's wrappers are in the names, and whether the output has weights other than the embeddings'.

    Configurations written by transformers 5 do not have the second.
    """
    original, head, embeddings = False, None, None
    for path in weight_files(folder):
        for name, tensor in weights(path):
            original = original or ".module." in name
            if name == HEAD:
                head = tensor
            elif name in EMBEDDINGS:
                embeddings = tensor
    return original, head is not None and embeddings is not None and not torch.equal(head, embeddings)


def tokenizer_named(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of this name, fetched from the hub, for a reader whose files hold none."""
    try:
        return load_tokenizer(name)
    except KitError as error:
        wanted = f"its tokenizer {name}, which its files do not hold (or from_pretrained(..., tokenizer=FOLDER))"
        raise KitError("reader", wanted, error.given) from None


def save_reader(
    folder: str | Path,
    t5: T5ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase | str | None,
    settings: dict[str, Any],
) -> None:
    """Write a kit checkpoint, which transformers reads too; the folder appears whole or not at all.

    A folder that is there already is replaced if it holds nothing but an earlier checkpoint of the kit.
    """
    tied = t5.lm_head.weight is t5.shared.weight
    left_out = {*EMBEDDINGS[1:], *([HEAD] if tied else [])}
    state = {name: weight for name, weight in t5.state_dict().items() if name not in left_out}
    config = t5.config.to_dict() | {"tie_word_embeddings": tied or getattr(t5.config, "scale_decoder_outputs", False)}
    config |= {"architectures": [type(t5).__name__], "dtype": str(t5.dtype).removeprefix("torch.")}
    entries = {"format": "kit.FiDReader", "version": 1, "cross_attention_bias": has_cross_attention_bias(t5)}
    save_checkpoint(folder, MANIFEST, state, config, tokenizer, entries | settings)
