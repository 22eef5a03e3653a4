"""Checkpoints of one training in one folder: weights, optimiser, history, and the training's signature.

Each file is written aside and renamed, and `training.json`, written last, holds the others' digests: a run that was
killed at any moment goes on from its last whole checkpoint, and a broken or foreign one is refused in one line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kit.files import contents, file_digest, locked, read_json, write_json, written_aside
from kit.train.signatures import ANEW, as_read, compare_runs, distinct_weights, model_digest
from kit.types import KitError

if TYPE_CHECKING:
    from kit.train.fit import TrainingHistory

STATE, BEST, LOCK = "training.json", "best.safetensors", ".lock"


class Checkpointer:
    """Saves and resumes a run in `folder`; with None it does nothing but keep the best weights in memory."""

    def __init__(self, folder: str | Path | None, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.folder = None if folder is None else Path(folder)
        self.model, self.optimizer = model, optimizer
        self.signature: dict[str, object] = {}
        self.best: dict[str, Tensor] | None = None

    def sign(self, signature: Mapping[str, object]) -> None:
        """Note all that the result depends on: these, and the model's first weights and shapes."""
        self.signature = as_read({**signature, "model": model_digest(self.model)})

    def save(self, history: TrainingHistory, step: int, top: float) -> None:
        """Write a checkpoint, then take away the one before."""
        if self.folder is None:
            return
        written = {f"step-{step}.safetensors": distinct_weights(self.model)}
        written[f"step-{step}.optimizer.safetensors"] = _moments(self.optimizer)
        for name, tensors in written.items():
            with written_aside(self.folder / name) as aside:
                save_file(tensors, aside)
        state = {
            "step": step,
            "top": top if math.isfinite(top) else None,
            "files": {name: file_digest(self.folder / name) for name in written},
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
        compare_runs(path, state["signature"], self.signature)
        for name, digest in state["files"].items():
            file = self.folder / name
            if not file.exists() or file_digest(file) != digest:
                given = "another or a broken file" if file.exists() else "none"
                raise KitError(str(file), f"the checkpoint of step {state['step']} {ANEW}", given)
        weights, moments = (self._load(self.folder / name) for name in state["files"])
        self._setdistinct_weights(weights)
        _restore_moments(self.optimizer, moments)
        history.losses.extend(state["losses"])
        history.evaluations.extend(state["evaluations"])
        return state["step"], -math.inf if state.get("top") is None else state["top"]

    def keep_best(self, *, write: bool = True) -> None:
        """Keep the weights as they are now as the best ones."""
        self.best = {name: value.clone() for name, value in distinct_weights(self.model).items()}
        if self.folder is not None and write:
            with written_aside(self.folder / BEST) as aside:
                save_file(self.best, aside)

    def restore_best(self) -> None:
        """Give the model the best weights."""
        if self.best is None and self.folder is not None:
            self.best = self._load(self.folder / BEST)
        if self.best is not None:
            self._setdistinct_weights(self.best)

    def _load(self, path: Path) -> dict[str, Tensor]:
        try:
            return load_file(path, device=str(next(self.model.parameters()).device))
        except (OSError, SafetensorError) as error:
            raise KitError(str(path), f"a checkpoint's tensors {ANEW}", str(error)) from None

    def _setdistinct_weights(self, weights: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(value.shape) for name, value in distinct_weights(self.model).items()}
        loaded = {name: tuple(value.shape) for name, value in weights.items()}
        if shapes != loaded:
            name = next(name for name in (*shapes, *loaded) if shapes.get(name) != loaded.get(name))
            wanted = f"a tensor {name} of shape {shapes.get(name)} {ANEW}"
            raise KitError(str(self.folder), wanted, loaded.get(name, "none"))
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
