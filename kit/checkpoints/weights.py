"""Weights in files, put into a model strictly: every weight of the model comes from the file, or an error names it.

transformers' own `from_pretrained` starts a model with random weights where names do not fit, and only prints a
report. Knows no family of checkpoints: names are mapped by what the caller gives (`kit.checkpoints`).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from kit.files import read_json
from kit.types import KitError

# Names of the first BERT files, and a buffer that older files hold.
OLD_NAMES = {r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"}
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "num_decoder_layers")
_WIDTHS = (
    *("hidden_size", "dim", "intermediate_size", "hidden_dim", "d_model", "d_ff", "d_kv", "vocab_size"),
    *("num_attention_heads", "n_heads", "num_heads", "max_position_embeddings", "indexing_dimension"),
    *("type_vocab_size", "num_labels"),
)
SIZES = dict.fromkeys(_LAYERS, 1_000) | dict.fromkeys(_WIDTHS, 10_000_000)  # of config.json: what is sensible at most
HARMLESS = (r"(^|\.)position_ids$",)


def read_config(directory: str | Path) -> dict[str, Any]:
    """The folder's config.json as it is. Raises `KitError` if there is none or it does not read."""
    path = Path(directory) / "config.json"
    if not path.exists():
        raise KitError(str(directory), "a checkpoint folder with a config.json", "none")
    config = read_json(path, dict)
    kind, classes = config.get("model_type"), config.get("architectures")
    if (
        not isinstance(kind, str | None)
        or not isinstance(classes, list | None)
        or not set(map(type, classes or [])) <= {str}
    ):
        raise KitError(str(path), "names in model_type and architectures", reprlib.repr((kind, classes)))
    for name, most in SIZES.items():
        size = config.get(name, 1)
        if size is not None and (type(size) is not int or not 1 <= size <= most):
            raise KitError(str(path), f"{name} from 1 to {most:,}", reprlib.repr(size))
    return config


def weight_files(directory: str | Path) -> list[Path]:
    """The files of a folder that hold its weights: safetensors before .bin, one file or the shards of an index."""
    directory = Path(directory)
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (directory / name).exists():
            return [directory / name]
        index = directory / f"{name}.index.json"
        if index.exists():
            names = sorted(set(read_json(index, dict).get("weight_map", {}).values()))
            if not names:
                raise KitError(str(index), "the names of shards in 'weight_map'", "none")
            gone = [name for name in names if not (directory / name).exists()]
            if gone:
                raise KitError(str(index), "all shards of the weights", f"no {gone[0]}")
            return [directory / name for name in names]
    raise KitError(str(directory), "weights (model.safetensors or pytorch_model.bin)", "neither")


def weights(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of one weight file; a .bin is read with `weights_only=True`: no code of a pickle runs."""
    if path.suffix == ".safetensors":
        with _readable(path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                yield name, file.get_tensor(name)
        return
    with _readable(path):
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise KitError(str(path), "a file of named tensors", type(state).__name__)
    yield from state.items()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what reading a broken or dangerous file raises into one line."""
    try:
        yield
    except (SafetensorError, OSError, RuntimeError, EOFError) as error:
        raise KitError(str(path), "a whole file of weights", first_line(error)) from None
    except Exception:  # an object other than a tensor, which `weights_only` refuses (torch's message: how to allow it)
        raise KitError(str(path), "a file of plain tensors", "one with other objects, which are not loaded") from None


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of its text."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def weight_shapes(directory: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights in a folder, by the names in its files; tensors of safetensors are not read."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(directory):
        if path.suffix == ".safetensors":
            with _readable(path), safe_open(path, framework="pt") as file:
                shapes.update({name: tuple(file.get_slice(name).get_shape()) for name in file.keys()})  # noqa: SIM118
        else:
            shapes.update({name: tuple(tensor.shape) for name, tensor in weights(path)})
    return shapes


def fill_strictly(
    model: nn.Module,
    directory: str | Path,
    *,
    key_mapping: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
) -> None:
    """Set every weight of `model` from the folder's files; raises `KitError` that names the first that is not there.

    `key_mapping`: regular expressions on the file's names and their replacement, applied one after the other.
    `ignore`: expressions of names (after the mapping) that the model does not have and that may be left out.
    Tied weights (one tensor under several names) need one of their names in the file; several must agree.
    """
    renames = [(re.compile(old), new) for old, new in {**OLD_NAMES, **(key_mapping or {})}.items()]
    harmless = [re.compile(pattern) for pattern in (*HARMLESS, *ignore)]
    own = model.state_dict()  # the model's own storage, without gradient
    filled: dict[int, str] = {}  # its address: the name in the file
    for path in weight_files(directory):
        for name, tensor in weights(path):
            key = name
            for old, new in renames:
                key = old.sub(new, key)
            if key in own:
                first = filled.setdefault(own[key].data_ptr(), name)
                if first == name or not tensor.numel():
                    _copy(own[key], tensor, f"{path}: {name}")
                elif not torch.equal(own[key], tensor.to(own[key].dtype)):
                    raise KitError(f"{path}: {name}", f"what {first} holds, to which it is tied", "another tensor")
            elif not any(pattern.search(key) for pattern in harmless):
                raise KitError(str(path), f"weights of {type(model).__name__}", f"an unexpected one, {name!r}")
    missing = [key for key, tensor in own.items() if tensor.numel() and tensor.data_ptr() not in filled]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise KitError(str(directory), f"all weights of {type(model).__name__}", f"no {missing[0]!r}{more}")


def _copy(own: Tensor, loaded: Tensor, where: str) -> None:
    if own.shape != loaded.shape:
        raise KitError(where, f"the shape {tuple(own.shape)} of config.json", f"{tuple(loaded.shape)}")
    if not torch.isfinite(loaded).all():
        raise KitError(where, "finite weights", "NaN or infinity")
    own.copy_(loaded)
