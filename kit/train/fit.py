"""The one training loop of the kit: steps of an optimiser, seen, saved, and resumed to the same numbers.

Every batch is made from the step's number, and the random state is set from it, so a run that was killed goes on from
its last checkpoint as if nothing had happened. Runs on one device, or on many under `accelerate launch`. Knows
nothing of readers or retrievers.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from kit.files import read_json, write_json, written_aside
from kit.types import KitError


@dataclass(frozen=True)
class Optimisation:
    """How a model is optimised: AdamW, clipped, with a warm-up and one of three schedules."""

    steps: int
    rate: float = 1e-4
    embedding_rate: float = 1.0  # the embeddings' rate, as a multiple of `rate`
    warm_up: int = 0  # steps in which the rate rises from 0
    schedule: str = (
        "linear"  # "constant"; "linear", falling to `final`; "hold", constant and falling in the last `fall`
    )
    fall: float = 0.3  # share of the steps in which "hold" falls
    final: float = 0.0  # the rate at the end, as a share of `rate`
    weight_decay: float = 0.01  # not for embeddings, biases and norms
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0  # largest norm of the gradient
    accumulate: int = 1  # batches of a step; their gradients are averaged
    precision: str = "no"  # "bf16": mixed precision (accelerate)
    seed: int = 0
    save_every: int = 0  # steps between checkpoints; 0: only at the end
    evaluate_every: int = 0  # steps between evaluations; 0: only at the end

    def __post_init__(self) -> None:
        if self.steps < 1 or self.accumulate < 1:
            raise KitError("Optimisation", "steps and accumulate of at least 1", f"{self.steps} and {self.accumulate}")
        if self.schedule not in ("constant", "linear", "hold"):
            raise KitError("Optimisation", "a schedule 'constant', 'linear' or 'hold'", repr(self.schedule))

    def factor(self, step: int) -> float:
        """The rate of a step (from 0), as a share of `rate`.

        >>> [round(Optimisation(steps=4, schedule="linear").factor(step), 2) for step in range(4)]
        [1.0, 0.75, 0.5, 0.25]
        """
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        start = {"linear": self.warm_up, "hold": max(self.warm_up, self.steps * (1 - self.fall))}.get(self.schedule)
        if start is None or step < start:
            return 1.0
        return 1 - (1 - self.final) * (step - start) / max(1, self.steps - start)


@dataclass(frozen=True)
class Training:
    """What a training run was: a row a logged step (step, loss, rate, ...), and a row an evaluation."""

    losses: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False


Loss = Callable[[nn.Module, int, random.Random], Tensor | tuple[Tensor, dict[str, float]]]


def fit(
    model: nn.Module,
    loss_of: Loss,
    optimisation: Optimisation,
    *,
    folder: str | Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    best: str | None = None,
    seen: Callable[[Training], None] | None = None,
    progress: bool = True,
    name: str = "training",
) -> Training:
    """Train `model` in place; the losses and evaluations of the run.

    `loss_of(model, number, rng)` makes batch `number` with `rng` and gives its loss, or the loss and further figures to
    log; under several processes it is called in each, with different numbers. With a `folder`, checkpoints are kept
    there, and a run that finds one goes on from it. `evaluate()` gives figures; with `best`, the weights of the
    evaluation with the highest figure of that name are the ones the model ends with. `seen` is called with the training
    so far after each step. An interrupt (Ctrl-C, a notebook's stop) ends the run, keeps what it has, says so in
    `.interrupted`, and calls `seen` once more.
    """
    place = next(model.parameters()).device
    accelerator = _accelerator(place, optimisation.precision)
    optimizer = torch.optim.AdamW(_groups(model, optimisation), betas=optimisation.betas, fused=True)
    keeper = _Keeper(None if folder is None else Path(folder), model, optimizer, optimisation)
    training, start, top = keeper.resume(place)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    bar = tqdm(
        total=optimisation.steps, initial=start, desc=name, disable=not (progress and accelerator.is_main_process)
    )
    chief = accelerator.is_main_process
    model.train()
    try:
        for step in range(start, optimisation.steps):
            figures = _step(accelerator, wrapped, optimizer, loss_of, optimisation, step)
            training.losses.append({"step": step + 1, **figures})
            bar.update()
            bar.set_postfix(loss=f"{figures['loss']:.3f}", refresh=False)
            last = step + 1 == optimisation.steps
            if evaluate and (last or _due(step, optimisation.evaluate_every)):
                training.evaluations.append({"step": step + 1, **evaluate()})
                model.train()
                if best and training.evaluations[-1][best] > top:
                    top = training.evaluations[-1][best]
                    keeper.keep_best()
            if chief and (last or _due(step, optimisation.save_every)):
                keeper.save(training, step + 1, top)
            if seen:
                seen(training)
    except KeyboardInterrupt:
        training = Training(training.losses, training.evaluations, interrupted=True)
        if seen:
            seen(training)
    finally:
        bar.close()
    if best and math.isfinite(top):
        keeper.restore_best(place)
    model.eval()
    return training


def _accelerator(place: torch.device, precision: str) -> Any:
    """accelerate's settings are one process's: after a run on another device or precision they begin anew."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    try:
        return Accelerator(cpu=place.type == "cpu", mixed_precision=precision)
    except ValueError:
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(cpu=place.type == "cpu", mixed_precision=precision)


def _due(step: int, every: int) -> bool:
    return every > 0 and (step + 1) % every == 0


def _step(
    accelerator: Any, model: nn.Module, optimizer: Any, loss_of: Loss, optimisation: Optimisation, step: int
) -> dict[str, float]:
    """One step of the optimiser; its mean loss, its rate, and the further figures of its last batch."""
    factor = optimisation.factor(step)
    for group in optimizer.param_groups:
        group["lr"] = group["full_rate"] * factor
    total, further = 0.0, {}
    for part in range(optimisation.accumulate):
        number = (step * optimisation.accumulate + part) * accelerator.num_processes + accelerator.process_index
        torch.manual_seed(optimisation.seed * 1_000_003 + number)
        rng = random.Random(f"{optimisation.seed}-{number}")
        together = part + 1 == optimisation.accumulate
        with nullcontext() if together else accelerator.no_sync(model), accelerator.autocast():
            loss = loss_of(model, number, rng)
            if isinstance(loss, tuple):
                loss, further = loss
            accelerator.backward(loss / optimisation.accumulate)
        total += float(loss.detach()) / optimisation.accumulate
    if not math.isfinite(total):
        raise KitError(f"step {step + 1}", "a loss that is a number", total)
    norm = accelerator.clip_grad_norm_(model.parameters(), optimisation.clip)
    optimizer.step()
    optimizer.zero_grad()
    return {"loss": total, "rate": optimisation.rate * factor, "gradient": float(norm), **further}


def _groups(model: nn.Module, optimisation: Optimisation) -> list[dict[str, Any]]:
    """Parameter groups: embeddings at their own rate, matrices with weight decay, the rest without."""
    embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    trained = [p for p in model.parameters() if p.requires_grad]
    kinds = {
        "embeddings": [p for p in trained if id(p) in embeddings and p.shape[0] > 64],
        "matrices": [p for p in trained if id(p) not in embeddings and p.ndim > 1],
        "rest": [
            p for p in trained if (id(p) in embeddings and p.shape[0] <= 64) or (id(p) not in embeddings and p.ndim < 2)
        ],
    }
    rates = {"embeddings": optimisation.rate * optimisation.embedding_rate}
    decay = {"matrices": optimisation.weight_decay}
    groups = []
    for kind, members in kinds.items():
        if members:
            rate = rates.get(kind, optimisation.rate)
            groups.append({"params": members, "lr": rate, "full_rate": rate, "weight_decay": decay.get(kind, 0.0)})
    return groups


class _Keeper:
    """Checkpoints of one run in one folder: weights, optimiser, history; each written aside and renamed."""

    def __init__(
        self, folder: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, optimisation: Optimisation
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.signature = json.dumps(asdict(optimisation), sort_keys=True)
        self.best: dict[str, Tensor] | None = None

    def save(self, training: Training, step: int, top: float) -> None:
        if self.folder is None:
            return
        with written_aside(self.folder / f"step-{step}.safetensors") as aside:
            save_file(_weights(self.model), aside)
        with written_aside(self.folder / f"step-{step}.optimizer.safetensors") as aside:
            save_file(_moments(self.optimizer), aside)
        state = {
            "step": step,
            "top": top,
            "optimisation": self.signature,
            "losses": training.losses,
            "evaluations": training.evaluations,
        }
        write_json(self.folder / "training.json", state, indent=None)
        for old in self.folder.glob("step-*"):
            if not old.name.startswith(f"step-{step}."):
                old.unlink()

    def resume(self, place: torch.device) -> tuple[Training, int, float]:
        """The training so far, its step and best figure; the model and optimiser as they were then."""
        path = None if self.folder is None else self.folder / "training.json"
        if path is None or not path.exists():
            return Training(), 0, -math.inf
        state = read_json(path, dict)
        if state["optimisation"] != self.signature:
            raise KitError(str(path), f"a run with the same settings ({self.signature})", state["optimisation"])
        step = state["step"]
        self.model.load_state_dict(load_file(self.folder / f"step-{step}.safetensors", device=str(place)), strict=False)
        moments = load_file(self.folder / f"step-{step}.optimizer.safetensors", device=str(place))
        _restore_moments(self.optimizer, moments)
        return Training(state["losses"], state["evaluations"]), step, state["top"]

    def keep_best(self) -> None:
        self.best = {name: value.clone() for name, value in _weights(self.model).items()}
        if self.folder is not None:
            with written_aside(self.folder / "best.safetensors") as aside:
                save_file(self.best, aside)

    def restore_best(self, place: torch.device) -> None:
        if self.best is None and self.folder is not None:
            self.best = load_file(self.folder / "best.safetensors", device=str(place))
        if self.best is not None:
            self.model.load_state_dict(self.best, strict=False)


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter: "0.exp_avg", ...; its groups are those of the settings."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, known in state.items() for name, value in known.items()}


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
