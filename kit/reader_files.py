"""The files of a FiD reader: found, read, checked weight by weight, and written.

Reads a kit checkpoint, a T5 1.0, T5 1.1 or FLAN-T5, and an original FiD folder or its .tar.gz. Pickles are opened with
`weights_only=True`. Knows nothing of passages or of how the reader runs.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from kit.position_bias import BIAS_WEIGHT, add_cross_attention_bias, has_cross_attention_bias
from kit.types import KitError

EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
HEAD = "lm_head.weight"
MANIFEST = "kit_reader.json"
TOKENIZER_FILES = ("tokenizer.json", "spiece.model")


@contextmanager
def reader_folder(name_or_dir: str | Path) -> Iterator[Path]:
    """The folder with the reader's files: itself, an archive's unpacked for the while, or the Hub's in its cache."""
    path = Path(name_or_dir).expanduser()
    if path.is_dir():
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            yield _unpacked(path, Path(folder))
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name_or_dir)) and not str(name_or_dir).startswith("."):
        yield _from_hub(str(name_or_dir))
    else:
        raise KitError(
            str(name_or_dir), "a folder, a .tar.gz archive or the name of a model", "a path that is not there"
        )


def _unpacked(archive: Path, folder: Path) -> Path:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise KitError(
            str(archive), "a folder or a .tar.gz archive", f"a file that does not unpack ({error})"
        ) from None
    found = sorted(folder.rglob("config.json"))
    if len(found) != 1:
        raise KitError(str(archive), "one config.json in the archive", f"{len(found)} of them")
    return found[0].parent


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=["*.json", "spiece.model", "*.safetensors"]))
        if not list(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=["*.json", "spiece.model", "pytorch_model*.bin"]))
    except Exception as error:  # the Hub's client raises a dozen kinds, several of other packages
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise KitError(name, "a folder, a .tar.gz archive or a model of the Hugging Face Hub", reason) from error
    return folder


def load_t5(folder: Path, where: str) -> T5ForConditionalGeneration:
    """The T5 of a folder, in its weights' own dtype, on the CPU; every weight is accounted for.

    An original FiD checkpoint (its encoder's keys are wrapped) and a kit checkpoint made from one get their
    cross-attention position bias. A plain T5's leftover of it is left out, as transformers does since version 4.
    """
    settings = read_json(folder / "config.json")
    if settings.get("model_type") not in (None, "t5"):
        raise KitError(f"{where}/config.json", "model_type t5", settings["model_type"])
    settings.setdefault("decoder_start_token_id", settings.get("pad_token_id", 0))  # T5's own rule
    for name in ("architectures", "dtype", "torch_dtype"):
        settings.pop(name, None)
    weights = read_weights(folder, where)
    original = any(".module." in name for name in weights)
    weights = {_plain_name(name): weight for name, weight in weights.items()} if original else weights
    biased = original or read_manifest(folder).get("cross_attention_bias", False)
    if not biased:
        weights.pop(BIAS_WEIGHT, None)
    with torch.device("meta"):
        t5 = T5ForConditionalGeneration(T5Config(**settings))
        if biased:
            add_cross_attention_bias(t5)
        if settings.get("tie_word_embeddings") is False or _own_head(weights):
            t5.lm_head.weight = nn.Parameter(torch.empty_like(t5.lm_head.weight))
    load_weights(t5, weights, where)
    return t5


def _plain_name(name: str) -> str:
    """The name in T5 of a weight that FiD's wrappers around the encoder and its blocks have renamed."""
    return re.sub(
        r"^encoder\.encoder\.", "encoder.", re.sub(r"^(encoder\.encoder\.block\.\d+)\.module\.", r"\1.", name)
    )


def _own_head(weights: dict[str, Tensor]) -> bool:
    """Whether the output has weights other than the embeddings': configs written by transformers 5 do not say."""
    shared = next((weights[name] for name in EMBEDDINGS if name in weights), None)
    return HEAD in weights and shared is not None and not torch.equal(weights[HEAD], shared)


def load_weights(model: T5ForConditionalGeneration, state_dict: dict[str, Tensor], where: str) -> None:
    """Put `state_dict` into `model`, which may be on the meta device; `KitError` names a weight that does not fit.

    One tensor under several names, as T5's embeddings, need be there once; where it is there twice, both must agree.
    """
    wanted = dict(model.named_parameters(remove_duplicate=False))
    unexpected = sorted(state_dict.keys() - wanted.keys())
    if unexpected:
        raise KitError(where, "only weights of this T5", f"the weight {unexpected[0]} ({len(unexpected)} such)")
    groups: dict[int, list[str]] = {}
    for name, weight in wanted.items():
        groups.setdefault(id(weight), []).append(name)
    missing = sorted(names[0] for names in groups.values() if not state_dict.keys() & set(names))
    if missing:
        raise KitError(where, f"the weight {missing[0]}", f"none of that name ({len(missing)} missing)")
    for names in groups.values():
        given = [name for name in names if name in state_dict]
        weight = state_dict[given[0]]
        if weight.shape != wanted[names[0]].shape:
            shapes = f"{tuple(wanted[names[0]].shape)}", f"{tuple(weight.shape)}"
            raise KitError(where, f"{given[0]} of shape {shapes[0]}", f"shape {shapes[1]}")
        for name in given[1:]:
            if not torch.equal(state_dict[name], weight):
                raise KitError(where, f"{name} equal to {given[0]}, to which it is tied", "another tensor")
        parameter = nn.Parameter(weight, requires_grad=True)
        for name in names:
            module, _, last = name.rpartition(".")
            setattr(model.get_submodule(module), last, parameter)


def read_weights(folder: Path, where: str) -> dict[str, Tensor]:
    """The weights of a folder by name: safetensors before pickles, one file or the shards of an index."""
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        single, index = folder / f"{stem}.{suffix}", folder / f"{stem}.{suffix}.index.json"
        if single.exists():
            return _read_shard(single)
        if index.exists():
            shards = sorted(set(read_json(index)["weight_map"].values()))
            return {name: weight for shard in shards for name, weight in _read_shard(folder / shard).items()}
    raise KitError(where, "model.safetensors or pytorch_model.bin", "neither")


def _read_shard(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails in as many ways as there are bytes
        raise KitError(
            str(path), "a file of weights", f"{type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `KitError` where it is missing or broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KitError(str(path), "a JSON file", f"{type(error).__name__}: {error}") from None
    if not isinstance(found, dict):
        raise KitError(str(path), "a JSON object", type(found).__name__)
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the kit wrote beside the weights; nothing for a folder that others made."""
    path = folder / MANIFEST
    return read_json(path) if path.exists() else {}


def load_tokenizer(source: str | Path | PreTrainedTokenizerBase, where: str) -> PreTrainedTokenizerBase:
    """The tokenizer itself, or the one of a folder or name."""
    if isinstance(source, PreTrainedTokenizerBase):
        return source
    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as error:  # the library raises many kinds
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise KitError(where, f"a tokenizer in {str(source)!r}", reason) from error


def tokenizer_in(folder: Path) -> Path | None:
    """The folder, if it holds a tokenizer: original FiD checkpoints do not."""
    return folder if any((folder / name).exists() for name in TOKENIZER_FILES) else None


def save_reader(
    folder: str | Path,
    t5: T5ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase | None,
    settings: dict[str, Any],
) -> None:
    """Write a kit checkpoint, which transformers reads too; the folder appears whole or not at all.

    A folder that is there already is replaced if it holds nothing but an earlier checkpoint of the kit.
    """
    folder = Path(folder)
    mine = {MANIFEST, *read_manifest(folder).get("files", [])}
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in mine) if folder.exists() else []
    if strangers:
        raise KitError(str(folder), "a new folder, or one with an earlier reader and nothing else", strangers[0])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        new, old = Path(aside) / "new", Path(aside) / "old"
        new.mkdir()
        tied = t5.lm_head.weight is t5.shared.weight
        left_out = {*EMBEDDINGS[1:], *([HEAD] if tied else [])}
        weights = {name: weight.contiguous().cpu() for name, weight in t5.state_dict().items() if name not in left_out}
        save_file(weights, new / "model.safetensors", metadata={"format": "pt"})
        config = t5.config.to_dict() | {"tie_word_embeddings": tied or t5.config.scale_decoder_outputs}
        config |= {"architectures": ["T5ForConditionalGeneration"], "dtype": str(t5.dtype).removeprefix("torch.")}
        _write_json(new / "config.json", config)
        if tokenizer is not None:
            tokenizer.save_pretrained(new)
        files = sorted(path.name for path in new.iterdir())
        manifest = {"format": "kit.FiDReader", "version": 1, "cross_attention_bias": has_cross_attention_bias(t5)}
        _write_json(new / MANIFEST, manifest | settings | {"files": files})
        if folder.exists():
            shutil.move(folder, old)
        new.rename(folder)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
