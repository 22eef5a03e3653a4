"""Distilling a retriever: its scores follow a teacher's.

Source: FiD-KD (Izacard & Grave 2021), section 3.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor, nn

from kit.arguments import named
from kit.losses import LOSSES
from kit.optimisation import Optimisation, full_scale
from kit.train.batches import Stream, candidates, tells_apart
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.signatures import signature_of
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder


@dataclass(frozen=True)
class Distillation:
    """How a retriever is distilled: `questions` of a batch, each with `passages` of those its teacher scored."""

    optimisation: Optimisation
    questions: int = 4
    passages: int = 100
    loss_options: Mapping[str, Any] = field(default_factory=dict)

    def for_loss(self, loss: str | Callable[..., Tensor]) -> Distillation:
        """The same with only the options that this loss has: a preset's temperatures mean nothing to `margin_mse`."""
        options = {name: value for name, value in self.loss_options.items() if name in _options_of(loss)}
        return replace(self, loss_options=options)


DISTILLATION = {
    # The toy's was measured on two CPU cores. Its teacher's temperature is the kit's choice: a toy reader's attention
    # scores have a standard deviation of 7 over a question's passages, one-hot at 1.
    "toy": Distillation(
        Optimisation(steps=160, learning_rate=3e-4, embedding_lr_multiplier=60, warmup_steps=10),
        questions=16,
        passages=8,
        loss_options={"temperature": 1.0, "teacher_temperature": 4.0},
    ),
    # FiD-KD: the README's recipe for the retriever; a batch is 64 questions over all processes.
    "full": Distillation(
        full_scale(
            20_000, 1e-4, warmup_steps=1000, final_lr_share=0.34, weight_decay=0.1, accumulate=16, evaluate_every=500
        ),
    ),
}


def distil(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    loss: str | Callable[..., Tensor] = "kl",
    config: Distillation | str = "toy",
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `encoder` in place so that its scores follow the teacher's in `table`; returns the history.

    `loss`: a name in `kit.LOSSES`, or any function of (student (q, k), teacher (q, k), mask). `config`: a
    `Distillation` (raises `KitError` for an option that the loss does not have), or a name in `DISTILLATION`, whose
    options are taken as far as the loss has them. Of a question with more passages than `config.passages` each batch
    has another draw. No answers are used: the teacher's scores are all there is. Each logged step has the student's
    entropy (nats), and its agreement: the share of questions whose best passage is the teacher's. `run`: `RunOptions`.
    """
    compare, config = _loss(loss), _checked(config, loss)
    scored = [question for question in questions if int(table.mask[table.row_of(question.id)].sum()) > 1]
    if not scored:
        raise KitError("distil", "questions with at least two scored passages", f"{len(questions)} without")
    if not any(tells_apart(table, question) for question in scored[:1000]):
        where = f"score table {table.name!r}"
        raise KitError(where, "scores that tell passages apart", "equal scores for every question")
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "own loss")
    stream = Stream(scored, config.questions, config.optimisation.seed)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = stream.batch(number)
        ids, teacher = candidates(table, batch, config.passages, rng)
        names = list(dict.fromkeys(i for row in ids for i in row))  # each distinct passage is encoded once
        rows = {name: row for row, name in enumerate(names)}
        places = torch.tensor([[rows[i] for i in row] + [0] * (config.passages - len(row)) for row in ids])  # (q, k)
        vectors, passages = model([question.text for question in batch], [corpus[name] for name in names])
        scores = encoder.score(vectors, passages[places.to(passages.device)])  # (q, k)
        teacher = teacher.to(scores.device)
        cells = ~teacher.isnan()
        value = compare(scores, teacher, mask=cells, **config.loss_options)
        return value, _figures(scores.detach(), teacher, cells)

    signed = partial(signature_of, f"distilling, {name}", config, encoder, scored, corpus, table)
    return fit(encoder, loss_of, config.optimisation, signature=signed, name=f"distilling ({name})", **run)


def _loss(loss: str | Callable[..., Tensor]) -> Callable[..., Tensor]:
    return named("loss", loss, LOSSES, Callable)


def _options_of(loss: str | Callable[..., Tensor]) -> list[str]:
    return [name for name in signature(_loss(loss)).parameters if name not in ("student", "teacher", "mask")]


def _checked(config: Distillation | str, loss: str | Callable[..., Tensor]) -> Distillation:
    if not isinstance(config, Distillation):
        return named("distillation", config, DISTILLATION, Distillation).for_loss(loss)
    options = _options_of(loss)
    for name in config.loss_options:
        if name not in options:
            raise KitError("distil, loss_options", f"options of this loss ({', '.join(options) or 'none'})", repr(name))
    return config


def _figures(student: Tensor, teacher: Tensor, cells: Tensor) -> dict[str, float]:
    """The share of questions with the teacher's best passage first; the entropy of the student's choice in nats."""
    low = torch.finfo(student.dtype).min
    own, best = student.masked_fill(~cells, low), teacher.masked_fill(~cells, low).argmax(-1)
    shares = own.softmax(-1)
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum(-1).mean()
    return {"agreement": float((own.argmax(-1) == best).float().mean()), "entropy": float(entropy)}
