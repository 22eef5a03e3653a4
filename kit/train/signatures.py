"""What a training's result depends on, in digests: a run goes on in a folder only if all of it is the same.

Knows no files of checkpoints (`kit.train.checkpoints`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.files import read_json, write_json
from kit.types import KitError, Passage, Question, ScoreTable

ANEW = "(to begin anew, remove the folder)"


def signature_of(
    task: str,
    config: Any,
    model: Any,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    **more: object,
) -> dict[str, object]:
    """The signature of a training beside its optimisation and first weights: `config` is its settings' dataclass.

    `model`: a reader or an encoder, whose tokenizer and family count.
    """
    sizes = {name: value for name, value in asdict(config).items() if name != "optimisation"}
    family = {"family": model.family.to_json()} if hasattr(model, "family") else {}
    data = {"tokenizer": tokenizer_digest(model.tokenizer), "data": data_digest(questions, corpus, table)}
    return {"task": task, **sizes, **more, **family, **data}


def model_digest(model: nn.Module) -> str:
    """16 hexadecimal digits of the model's weights, names and shapes, on any device."""
    digest = hashlib.sha256()
    for name, value in sorted(distinct_weights(model).items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def data_digest(questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable | None = None) -> str:
    """16 hexadecimal digits of questions, their cells of a table, and these cells' passages (without one: all)."""
    digest = hashlib.sha256()

    def add(*texts: object) -> None:
        digest.update(json.dumps(texts).encode())

    for question in questions:
        add(question.id, question.text, question.answers, question.target)
    ids: Any = corpus
    if table is not None:
        rows = table.select([question.id for question in questions])
        digest.update(rows.values.tobytes())
        add(rows.passage_ids.tolist())
        ids = dict.fromkeys(rows.passage_ids[rows.mask].tolist())
    for name in ids:
        add(name, corpus[name].title, corpus[name].text)
    return digest.hexdigest()[:16]


def tokenizer_digest(tokenizer: Any) -> str:
    """16 hexadecimal digits of a tokenizer's words and rules."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = json.dumps(sorted(tokenizer.get_vocab().items())) if backend is None else backend.to_str()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_same_run(path: Path, signature: Mapping[str, object]) -> None:
    """Write the signature; if there is an earlier one at `path`, raises `KitError` that names what differs."""
    if path.exists():
        compare_runs(path, read_json(path, dict), as_read(signature))
    else:
        write_json(path, as_read(signature))


def as_read(signature: Mapping[str, object]) -> dict[str, object]:
    """The signature as JSON gives it back."""
    return json.loads(json.dumps(signature, sort_keys=True, default=str))


def compare_runs(path: Path, earlier: Mapping[str, object], own: Mapping[str, object]) -> None:
    if other := [name for name in {**earlier, **own} if earlier.get(name) != own.get(name)]:
        wanted = ", ".join(f"{name} {earlier.get(name)}" for name in other)
        given = ", ".join(f"{name} {own.get(name)}" for name in other)
        raise KitError(str(path), f"the run that this folder holds, with {wanted} {ANEW}", given)


def distinct_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights, each tensor once (tied ones under their first name)."""
    names: dict[int, str] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        names.setdefault(value.data_ptr() if value.numel() else id(value), name)
    kept = set(names.values())
    return {name: value.detach().contiguous() for name, value in model.state_dict().items() if name in kept}
