"""Settings by scale, for trainers and recipes: `toy` was measured on two CPU cores, `full` is the released code's.

FiD: the defaults of the released code for "base" (which equal the paper's), the README's recipe for "large"; a batch is
64 questions over all processes. FiD-KD's retriever: the README's recipe. The toy's teacher temperature of 4 is the
kit's: its attention scores have a standard deviation of 7 over a question's passages, one-hot at 1.
Source: FiD (Izacard & Grave 2021), section 4; FiD-KD (2021), section 3.
"""

from __future__ import annotations

from typing import Any

from kit.train.distillation import Distillation
from kit.train.optimisation import Optimisation
from kit.train.reader import ReaderTraining


def full_scale(steps: int, learning_rate: float, **options: Any) -> Optimisation:
    """Full-scale optimisation: mixed precision, PyTorch's betas, a checkpoint every 500 steps; the rest by name."""
    defaults = {"weight_decay": 0.0, "betas": (0.9, 0.999), "precision": "bf16", "save_every": 500}
    return Optimisation(steps, learning_rate, **{**defaults, **options})


READER_TRAINING = {
    "toy": ReaderTraining(
        Optimisation(steps=60, learning_rate=2e-4, embedding_lr_multiplier=4, warmup_steps=10),
        questions=6,
        n_context=10,
    ),
    "full": ReaderTraining(
        full_scale(10_000, 1e-4, schedule="constant", accumulate=64, evaluate_every=500), checkpoint_gradients=True
    ),
    "full-large": ReaderTraining(
        full_scale(15_000, 5e-5, warmup_steps=1000, weight_decay=0.01, accumulate=64, evaluate_every=500),
        checkpoint_gradients=True,
    ),
}  # fmt: skip
DISTILLATION = {
    "toy": Distillation(
        Optimisation(steps=160, learning_rate=3e-4, embedding_lr_multiplier=60, warmup_steps=10),
        questions=16, passages=8, loss_options={"temperature": 1.0, "teacher_temperature": 4.0},
    ),
    "full": Distillation(
        full_scale(20_000, 1e-4, warmup_steps=1000, final_lr_share=0.34, weight_decay=0.1, accumulate=16,
                   evaluate_every=500),
    ),
}  # fmt: skip
