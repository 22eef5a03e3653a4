"""How a model is optimised: AdamW, clipped, with a warm-up and one of three schedules.

Loads no torch: the command line makes an option of each field, with the comment beside it as help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kit.arguments import one_of, whole_number
from kit.types import KitError

if TYPE_CHECKING:
    from torch import nn

SCHEDULES = ("constant", "linear", "stable_decay")
FEWEST_WORDS = 64  # an embedding of fewer rows is one of positions or types, not of words


@dataclass(frozen=True)
class Optimisation:
    """Steps of AdamW, with a warm-up and a schedule of the learning rate."""

    steps: int  # steps of the optimiser; the warm-up scales with them
    learning_rate: float = 1e-4  # AdamW's learning rate at its highest
    embedding_lr_multiplier: float = 1.0  # the word embeddings' learning rate, as a multiple of the learning rate
    warmup_steps: int = 0  # steps in which the learning rate rises from 0
    schedule: str = "linear"  # constant; linear, to the final share; stable_decay: constant, then linear
    decay_share: float = 0.3  # share of the steps in which stable_decay decays
    final_lr_share: float = 0.0  # the learning rate at the end, as a share of the highest one
    weight_decay: float = 0.01  # AdamW's weight decay, for all but embeddings, biases and norms
    betas: tuple[float, float] = (0.9, 0.98)  # AdamW's betas
    max_grad_norm: float = 1.0  # gradients are clipped to this norm
    accumulate: int = 1  # batches per step; their gradients are averaged
    precision: str = "no"  # no, or bf16: mixed precision (accelerate)
    seed: int = 0  # seed of the random numbers
    save_every: int = 0  # steps between checkpoints; 0: only at the end
    evaluate_every: int = 0  # steps between evaluations; 0: only at the end

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise KitError(f"Optimisation, {name}", f"a whole number of at least {least}", repr(value))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                wanted = f"a finite number of at least {low}" if math.isinf(high) else f"a number from {low} to {high}"
                raise KitError(f"Optimisation, {name}", wanted, repr(value))
            if math.isinf(value):
                raise KitError(f"Optimisation, {name}", "a finite number", value)
        for name, choices in (("schedule", SCHEDULES), ("precision", ("no", "bf16"))):
            one_of(f"Optimisation, {name}", getattr(self, name), choices)

    def changed(self, **changes: Any) -> Optimisation:
        """The same with other values; another number of steps scales the warm-up along, unless it is given too.

        >>> Optimisation(steps=100, warmup_steps=10).changed(steps=20).warmup_steps
        2
        """
        if "steps" in changes:
            steps = whole_number("Optimisation", "steps", changes["steps"])
            changes = {"warmup_steps": self.warmup_steps * steps // self.steps, **changes}
        return replace(self, **changes)

    def factor(self, step: int) -> float:
        """The learning rate of a step (from 0), as a share of `learning_rate`.

        >>> [round(Optimisation(steps=4, schedule="linear").factor(step), 2) for step in range(4)]
        [1.0, 0.75, 0.5, 0.25]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        starts = {"linear": 0.0, "stable_decay": self.steps * (1 - self.decay_share), "constant": math.inf}
        start = max(self.warmup_steps, starts[self.schedule])
        if step < start:
            return 1.0
        return 1 - (1 - self.final_lr_share) * (step - start) / max(1, self.steps - start)


def full_scale(steps: int, learning_rate: float, **options: Any) -> Optimisation:
    """Full-scale optimisation: mixed precision, PyTorch's betas, a checkpoint every 500 steps; the rest by name."""
    defaults: dict[str, Any] = {"weight_decay": 0.0, "betas": (0.9, 0.999), "precision": "bf16", "save_every": 500}
    return Optimisation(steps, learning_rate, **{**defaults, **options})


_LEAST = {"steps": 1, "accumulate": 1, "warmup_steps": 0, "save_every": 0, "evaluate_every": 0, "seed": 0}
_RANGES = dict.fromkeys(("learning_rate", "embedding_lr_multiplier", "weight_decay", "max_grad_norm"), (0.0, math.inf))
_RANGES |= dict.fromkeys(("decay_share", "final_lr_share"), (0.0, 1.0))


def parameter_groups(model: nn.Module, optimisation: Optimisation) -> list[dict[str, Any]]:
    """Parameter groups: word embeddings at their own rate, matrices with weight decay, the rest without."""
    from torch import nn

    embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    groups: dict[str, list[nn.Parameter]] = {"words": [], "matrices": [], "rest": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            embedding = id(parameter) in embeddings
            words = embedding and len(parameter) > FEWEST_WORDS
            kind = "words" if words else "rest" if embedding or parameter.ndim < 2 else "matrices"
            groups[kind].append(parameter)
    rate = optimisation.learning_rate
    rates = {"words": rate * optimisation.embedding_lr_multiplier, "matrices": rate, "rest": rate}
    decay = {"words": 0.0, "matrices": optimisation.weight_decay, "rest": 0.0}
    return [
        {"params": members, "lr": rates[kind], "full_rate": rates[kind], "weight_decay": decay[kind]}
        for kind, members in groups.items()
        if members
    ]
