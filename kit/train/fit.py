"""The one training loop of the kit: steps of an optimiser, watched, saved, and resumed to the same numbers.

Every batch follows from the step's number, and the random state is set from it, so a run that was killed goes on from
its last checkpoint as if nothing had happened. Runs on one device, or on many under `accelerate launch` or `torchrun`.
Knows nothing of readers or retrievers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from kit.optimisation import Optimisation, parameter_groups
from kit.train.checkpoints import Checkpointer, run_alone
from kit.types import KitError


@dataclass(frozen=True)
class TrainingHistory:
    """A row a step (step, loss, learning_rate, ...) and a row an evaluation of a training."""

    losses: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False


class RunOptions(TypedDict, total=False):
    """How a training runs, beside its settings: keyword arguments of every function that trains.

    `folder`: checkpoints are kept there, and a run that finds one goes on from it, if all that its result depends on is
    the same; one run at a time. `evaluate()` gives figures; with `best`, the weights of the evaluation with the highest
    figure of that name are the ones the model ends with. `callback` is called with the history so far after each step,
    and once more after an interrupt. `progress`: a bar on standard error.
    """

    folder: str | Path | None
    evaluate: Callable[[], dict[str, float]] | None
    best: str | None
    callback: Callable[[TrainingHistory], None] | None
    progress: bool


Loss = Callable[[nn.Module, int, random.Random], Tensor | tuple[Tensor, dict[str, float]]]


def fit(
    model: nn.Module,
    loss_of: Loss,
    optimisation: Optimisation,
    *,
    signature: Callable[[], Mapping[str, object]] = dict,
    name: str = "training",
    folder: str | Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    best: str | None = None,
    callback: Callable[[TrainingHistory], None] | None = None,
    progress: bool = True,
) -> TrainingHistory:
    """Train `model` in place; returns the history of the run.

    `loss_of(model, number, rng)` makes batch `number` with `rng` and gives its loss, or the loss and further figures to
    log; under several processes it is called in each, with different numbers, and the logged figures are means over
    processes. `signature()` gives what the result depends on beside the optimisation and the model's first weights (it
    is called only with a `folder`). The others: see `RunOptions`. An interrupt (Ctrl-C, a notebook's stop) ends the
    run, keeps what it has, and `.interrupted` is true. Raises `KitError` for a checkpoint that is broken or of
    another run, for a folder that another training uses, and for a loss that is not a number.
    """
    device = next(model.parameters()).device
    accelerator = _accelerator(device, optimisation.precision)
    processes, chief = accelerator.num_processes, accelerator.is_main_process
    optimizer = torch.optim.AdamW(parameter_groups(model, optimisation), betas=optimisation.betas, fused=True)
    with run_alone(folder) if folder is not None and chief else nullcontext():
        checkpoints = Checkpointer(folder, model, optimizer)
        if folder is not None:
            checkpoints.sign({**asdict(optimisation), "processes": processes, **signature()})
        history = TrainingHistory()
        start, top = checkpoints.resume(history)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        title = name if processes == 1 else f"{name}, {processes} processes"
        bar = tqdm(total=optimisation.steps, initial=start, desc=title, disable=not (progress and chief))
        model.train()
        try:
            for step in range(start, optimisation.steps):
                figures = _step(accelerator, wrapped, optimizer, loss_of, optimisation, step)
                history.losses.append({"step": step + 1, **figures})
                bar.update()
                bar.set_postfix(loss=f"{figures['loss']:.3f}", refresh=False)
                last = step + 1 == optimisation.steps
                if evaluate and (last or _due(step, optimisation.evaluate_every)):
                    history.evaluations.append({"step": step + 1, **evaluate()})
                    model.train()
                    if best and history.evaluations[-1][best] > top:
                        top = history.evaluations[-1][best]
                        checkpoints.keep_best(write=chief)
                if chief and (last or _due(step, optimisation.save_every)):
                    checkpoints.save(history, step + 1, top)
                if callback:
                    callback(history)
        except KeyboardInterrupt:
            history = TrainingHistory(history.losses, history.evaluations, interrupted=True)
            if callback:
                callback(history)
        finally:
            bar.close()
        if best and math.isfinite(top):
            checkpoints.restore_best()
    model.eval()
    return history


def _accelerator(device: torch.device, precision: str) -> Any:
    """accelerate's settings are one process's: after a run on another device or precision they begin anew."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    try:
        return Accelerator(cpu=device.type == "cpu", mixed_precision=precision)
    except ValueError:
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(cpu=device.type == "cpu", mixed_precision=precision)


def _due(step: int, every: int) -> bool:
    return every > 0 and (step + 1) % every == 0


def _step(
    accelerator: Any, model: nn.Module, optimizer: Any, loss_of: Loss, optimisation: Optimisation, step: int
) -> dict[str, float]:
    """One step of the optimiser; its mean loss, its learning rate, and the further figures of its last batch."""
    factor = optimisation.factor(step)
    for group in optimizer.param_groups:
        group["lr"] = group["full_rate"] * factor
    total, further = 0.0, dict[str, float]()
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
    figures = _mean_over_processes(accelerator, {"loss": total, **further})
    if not math.isfinite(figures["loss"]):
        raise KitError(f"step {step + 1}", "a loss that is a number", figures["loss"])
    norm = float(accelerator.clip_grad_norm_(model.parameters(), optimisation.max_grad_norm))
    if not math.isfinite(norm):
        raise KitError(f"step {step + 1}", "gradients that are numbers", f"a norm of {norm}")
    optimizer.step()
    optimizer.zero_grad()
    rates = {"learning_rate": optimisation.learning_rate * factor, "gradient": norm}
    return {"loss": figures.pop("loss"), **rates, **figures}


def _mean_over_processes(accelerator: Any, figures: dict[str, float]) -> dict[str, float]:
    if accelerator.num_processes == 1:
        return figures
    own = torch.tensor(list(figures.values()), dtype=torch.float64, device=accelerator.device)
    return dict(zip(figures, accelerator.reduce(own, "mean").tolist(), strict=True))
