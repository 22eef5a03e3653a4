"""Distilling a retriever: its scores follow a teacher's.

Source: FiD-KD (Izacard & Grave 2021), section 3.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor, nn

from kit.losses import LOSSES
from kit.train.batches import BatchVectors, Stream, candidates
from kit.train.checkpoints import data_digest, tokenizer_digest
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.optimisation import Optimisation
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
    compare = _loss(loss)
    config = _checked(config, loss)
    scored = [question for question in questions if int(table.mask[table.row_of(question.id)].sum()) > 1]
    if not scored:
        raise KitError("distil", "questions with at least two scored passages", f"{len(questions)} without")
    if all(_flat(table.values[table.row_of(question.id)]) for question in scored[:1000]):
        where = f"score table {table.name!r}"
        raise KitError(where, "scores that tell passages apart", "equal scores for every question")
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "own loss")
    stream, student = Stream(scored, config.questions, config.optimisation.seed), BatchVectors(encoder)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = stream.batch(number)
        ids, teacher = candidates(table, batch, config.passages, rng)
        names = list(dict.fromkeys(i for row in ids for i in row))  # each distinct passage is encoded once
        rows = {name: row for row, name in enumerate(names)}
        places = torch.tensor([[rows[i] for i in row] + [0] * (config.passages - len(row)) for row in ids])  # (q, k)
        vectors, passages = model(*student.tokenize(batch, [corpus[name] for name in names]))
        scores = encoder.score(vectors, passages[places.to(passages.device)])  # (q, k)
        teacher = teacher.to(scores.device)
        cells = ~teacher.isnan()
        value = compare(scores, teacher, mask=cells, **config.loss_options)
        return value, _figures(scores.detach(), teacher, cells)

    def signed() -> dict[str, object]:
        sizes = {key: value for key, value in asdict(config).items() if key != "optimisation"}
        return {"task": f"distilling, {name}", **sizes, **encoder_signature(encoder, scored, corpus, table)}

    return fit(
        student, loss_of, config.optimisation,
        signature=signed, **{"name": f"distilling ({name})", **run},
    )  # fmt: skip


def encoder_signature(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable | None,
) -> dict[str, object]:
    """What a retriever's training depends on beside its settings and its first weights."""
    how = {"family": encoder.family.to_json(), "tokenizer": tokenizer_digest(encoder.tokenizer)}
    return {**how, "data": data_digest(questions, corpus, table)}


def _loss(loss: str | Callable[..., Tensor]) -> Callable[..., Tensor]:
    if not isinstance(loss, str):
        return loss
    if loss not in LOSSES:
        raise KitError("loss", f"one of {', '.join(LOSSES)}", repr(loss))
    return LOSSES[loss]


def _options_of(loss: str | Callable[..., Tensor]) -> list[str]:
    return [name for name in signature(_loss(loss)).parameters if name not in ("student", "teacher", "mask")]


def _checked(config: Distillation | str, loss: str | Callable[..., Tensor]) -> Distillation:
    from kit.train.presets import DISTILLATION

    if isinstance(config, str):
        if config not in DISTILLATION:
            raise KitError("distillation", f"one of {', '.join(DISTILLATION)}", repr(config))
        return DISTILLATION[config].for_loss(loss)
    options = _options_of(loss)
    for name in config.loss_options:
        if name not in options:
            raise KitError("distil, loss_options", f"options of this loss ({', '.join(options) or 'none'})", repr(name))
    return config


def _flat(values: Any) -> bool:
    scores = values[values == values]
    return len(scores) == 0 or float(scores.max()) == float(scores.min())


def _figures(student: Tensor, teacher: Tensor, cells: Tensor) -> dict[str, float]:
    """The share of questions with the teacher's best passage first; the entropy of the student's choice in nats."""
    low = torch.finfo(student.dtype).min
    own, best = student.masked_fill(~cells, low), teacher.masked_fill(~cells, low).argmax(-1)
    shares = own.softmax(-1)
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum(-1).mean()
    return {"agreement": float((own.argmax(-1) == best).float().mean()), "entropy": float(entropy)}
