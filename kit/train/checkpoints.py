"""Checkpoints of one training in one folder: weights, optimiser, history, and what the training's result depends on.

Each file is written aside and renamed, and `training.json`, written last, holds the others' digests: a run that was
killed at any moment goes on from its last whole checkpoint, and a broken or foreign one is refused in one line.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kit.files import contents, locked, read_json, write_json, written_aside
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.train.fit import TrainingHistory

STATE, BEST, LOCK = "training.json", "best.safetensors", ".lock"
ANEW = "(to begin anew, remove the folder)"


class Checkpointer:
    """Saves and resumes a run in `folder`; with None it does nothing but keep the best weights in memory."""

    def __init__(self, folder: str | Path | None, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.folder = None if folder is None else Path(folder)
        self.model, self.optimizer = model, optimizer
        self.signature: dict[str, object] = {}
        self.best: dict[str, Tensor] | None = None

    def sign(self, signature: Mapping[str, object]) -> None:
        """Note all that the result depends on: these, and the model's first weights and shapes."""
        self.signature = _as_read({**signature, "model": model_digest(self.model)})

    def save(self, history: TrainingHistory, step: int, top: float) -> None:
        """Write a checkpoint, then take away the one before."""
        if self.folder is None:
            return
        written = {f"step-{step}.safetensors": _weights(self.model)}
        written[f"step-{step}.optimizer.safetensors"] = _moments(self.optimizer)
        for name, tensors in written.items():
            with written_aside(self.folder / name) as aside:
                save_file(tensors, aside)
        state = {
            "step": step,
            "top": top if math.isfinite(top) else None,
            "files": {name: _file_digest(self.folder / name) for name in written},
            "signature": self.signature,
            "losses": history.losses,
            "evaluations": history.evaluations,
        }
        write_json(self.folder / STATE, state, indent=None)
        _tidy(self.folder, keep={STATE, BEST, *written})

    def resume(self, history: TrainingHistory) -> tuple[int, float]:
        """The step and the best figure of the folder's checkpoint (0 and -inf without one).

        Model and optimiser are as they were then, and `history` has that run's rows.
        """
        path = None if self.folder is None else self.folder / STATE
        if path is None or not path.exists():
            return 0, -math.inf
        state = _read_state(path)
        _compare(path, state["signature"], self.signature)
        for name, digest in state["files"].items():
            file = self.folder / name
            if not file.exists() or _file_digest(file) != digest:
                given = "another or a broken file" if file.exists() else "none"
                raise KitError(str(file), f"the checkpoint of step {state['step']} {ANEW}", given)
        weights, moments = (self._load(self.folder / name) for name in state["files"])
        self._set_weights(weights)
        _restore_moments(self.optimizer, moments)
        history.losses.extend(state["losses"])
        history.evaluations.extend(state["evaluations"])
        return state["step"], -math.inf if state.get("top") is None else state["top"]

    def keep_best(self, *, write: bool = True) -> None:
        """Keep the weights as they are now as the best ones."""
        self.best = {name: value.clone() for name, value in _weights(self.model).items()}
        if self.folder is not None and write:
            with written_aside(self.folder / BEST) as aside:
                save_file(self.best, aside)

    def restore_best(self) -> None:
        """Give the model the best weights."""
        if self.best is None and self.folder is not None:
            self.best = self._load(self.folder / BEST)
        if self.best is not None:
            self._set_weights(self.best)

    def _load(self, path: Path) -> dict[str, Tensor]:
        try:
            return load_file(path, device=str(next(self.model.parameters()).device))
        except (OSError, SafetensorError) as error:
            raise KitError(str(path), f"a checkpoint's tensors {ANEW}", str(error)) from None

    def _set_weights(self, weights: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(value.shape) for name, value in _weights(self.model).items()}
        given = {name: tuple(value.shape) for name, value in weights.items()}
        if shapes != given:
            name = next(name for name in (*shapes, *given) if shapes.get(name) != given.get(name))
            wanted = f"a tensor {name} of shape {shapes.get(name)} {ANEW}"
            raise KitError(str(self.folder), wanted, given.get(name, "none"))
        self.model.load_state_dict(weights, strict=False)  # tied weights have one name in the file


@contextmanager
def run_alone(folder: str | Path) -> Iterator[None]:
    """The folder for one training alone; raises `KitError` if another one uses it. A folder left empty goes."""
    with locked(folder):
        try:
            yield
        finally:
            if [path.name for path in contents(folder)] == [LOCK]:
                with suppress(OSError):  # a system that keeps open files, or another process in the folder
                    (Path(folder) / LOCK).unlink()
                    Path(folder).rmdir()


def clear_checkpoints(folder: str | Path) -> None:
    """Take away a run's checkpoints, and the folder if nothing else is in it; what is not a checkpoint stays."""
    if Path(folder).is_dir():
        with run_alone(folder):
            (Path(folder) / STATE).unlink(missing_ok=True)  # first: a run begun now looks for no file
            _tidy(Path(folder), keep=set())


def model_digest(model: nn.Module) -> str:
    """16 hexadecimal digits of the model's weights, names and shapes, on any device."""
    digest = hashlib.sha256()
    for name, value in sorted(_weights(model).items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy())
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


def _tidy(folder: Path, keep: set[str]) -> None:
    """Take away a run's checkpoints but those of `keep`."""
    for pattern in ("step-*.safetensors", BEST):
        for path in folder.glob(pattern):
            if path.name not in keep:
                path.unlink(missing_ok=True)


def _read_state(path: Path) -> dict[str, Any]:
    state = read_json(path, dict)
    kinds = {"step": int, "files": dict, "signature": dict, "losses": list, "evaluations": list}
    for name, kind in kinds.items():
        if not isinstance(state.get(name), kind):
            raise KitError(str(path), f"the state of a training, with {name!r} {ANEW}", "one without")
    return state


def check_same_run(path: Path, signature: Mapping[str, object]) -> None:
    """Write the signature; if there is an earlier one at `path`, raises `KitError` that names what differs."""
    if path.exists():
        _compare(path, read_json(path, dict), _as_read(signature))
    else:
        write_json(path, _as_read(signature))


def _as_read(signature: Mapping[str, object]) -> dict[str, object]:
    """The signature as JSON gives it back."""
    return json.loads(json.dumps(signature, sort_keys=True, default=str))


def _compare(path: Path, earlier: Mapping[str, object], own: Mapping[str, object]) -> None:
    if other := [name for name in {**earlier, **own} if earlier.get(name) != own.get(name)]:
        wanted = ", ".join(f"{name} {earlier.get(name)}" for name in other)
        given = ", ".join(f"{name} {own.get(name)}" for name in other)
        raise KitError(str(path), f"the run that this folder holds, with {wanted} {ANEW}", given)


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter: "0.exp_avg", ...; its groups are those of the settings."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def _restore_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights, each tensor once (tied ones under their first name)."""
    names: dict[int, str] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        names.setdefault(value.data_ptr() if value.numel() else id(value), name)
    kept = set(names.values())
    return {name: value.detach().contiguous() for name, value in model.state_dict().items() if name in kept}
