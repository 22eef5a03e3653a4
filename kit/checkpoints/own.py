"""The kit's own checkpoints, and tokenizers: a folder of weights, configuration, tokenizer, and a manifest.

transformers reads the folder too. The manifest is what the kit has to know besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from kit.checkpoints.downloads import resolve
from kit.checkpoints.weights import first_line, read_config
from kit.files import folder_aside, read_json, write_json
from kit.types import KitError

# One of these is enough.
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "vocab.json")


def save_checkpoint(
    directory: str | Path,
    manifest: str,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    tokenizer: Any,
    entries: Mapping[str, Any],
) -> None:
    """Write a checkpoint into `directory`, which appears whole or not at all: see `kit.files.folder_aside`.

    `tokenizer`: one, the name of one, or None. `entries`: the manifest's, whose file is called `manifest`.
    """
    name = tokenizer if isinstance(tokenizer, str) else None
    with folder_aside(directory, manifest) as new:
        weights = {key: weight.detach().cpu().contiguous() for key, weight in state.items()}
        save_file(weights, new / "model.safetensors", metadata={"format": "pt"})
        write_json(new / "config.json", config)
        if tokenizer is not None and name is None:
            tokenizer.save_pretrained(new)
        write_json(new / manifest, {**entries, "tokenizer": name})


def read_manifest(path: Path) -> dict[str, Any]:
    """What the kit wrote beside the weights; nothing for a folder of others."""
    return read_json(path, dict) if path.exists() else {}


def own_tokenizer(directory: Path, manifest: str, default: str | None) -> Any:
    """The tokenizer in a checkpoint's folder, or the name of one to fetch later: the manifest's, else the default."""
    if any((directory / name).exists() for name in TOKENIZER_FILES):
        return load_tokenizer(directory)
    return read_manifest(directory / manifest).get("tokenizer") or default


def load_tokenizer(name_or_dir: str | Path) -> Any:
    """The tokenizer of a checkpoint, without fetching its weights. Raises `KitError` if it has none, as FiD's archives.

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


def check_vocabulary(tokenizer: Any, rows: int, where: str = "tokenizer") -> None:
    """Raise `KitError` if a tokenizer has tokens for which a model has no embedding."""
    if len(tokenizer) > rows:
        raise KitError(where, f"at most the model's {rows} tokens", f"one of {len(tokenizer)} tokens")
