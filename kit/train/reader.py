"""Training a reader to give each question's answer from its best passages.

Source: FiD (Izacard & Grave 2021), section 4.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from kit.arguments import named
from kit.optimisation import Optimisation, full_scale
from kit.train.batches import Stream
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.signatures import signature_of
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.reader import FiDReader


@dataclass(frozen=True)
class ReaderTraining:
    """How a reader is trained: `questions` of a batch, each with its `n_context` best passages."""

    optimisation: Optimisation
    questions: int = 1
    n_context: int = 100
    answer_tokens: int | None = None  # longest answer; None: as long as it is
    checkpoint_gradients: bool = False  # keep few activations: less memory, a third more time


READER_TRAINING = {
    # The toy's was measured on two CPU cores.
    "toy": ReaderTraining(
        Optimisation(steps=60, learning_rate=2e-4, embedding_lr_multiplier=4, warmup_steps=10),
        questions=6,
        n_context=10,
    ),
    # FiD: the released code's defaults for "base" (which equal the paper's), the README's recipe for "large"; a batch
    # is 64 questions over all processes.
    "full": ReaderTraining(
        full_scale(10_000, 1e-4, schedule="constant", accumulate=64, evaluate_every=500), checkpoint_gradients=True
    ),
    "full-large": ReaderTraining(
        full_scale(15_000, 5e-5, warmup_steps=1000, weight_decay=0.01, accumulate=64, evaluate_every=500),
        checkpoint_gradients=True,
    ),
}


def train_reader(
    reader: FiDReader,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: ReaderTraining | str = "toy",
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `reader` in place to give each question's answer from its best passages in `table`; returns the history.

    The answer is `target` if there is one, else one of `answers`, drawn anew each time; questions without an answer are
    left out. Questions whose passages lack the answer are kept, as in the original. `config`: a `ReaderTraining` or a
    name in `READER_TRAINING`. `run`: see `RunOptions`.
    """
    config = named("reader training", config, READER_TRAINING, ReaderTraining)
    answered = [question for question in questions if question.target or question.answers]
    if not answered:
        raise KitError("train_reader", "questions with answers", f"{len(questions)} questions, none with an answer")
    passages = table.select([question.id for question in answered]).top(config.n_context)
    reader.checkpoint_gradients(config.checkpoint_gradients)
    stream = Stream(answered, config.questions, config.optimisation.seed)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> Tensor:
        batch = stream.batch(number)
        rows = [[corpus[i] for i in passages.passages_of(question.id)] for question in batch]
        ids, mask = reader.tokenize([question.text for question in batch], rows)
        targets = [question.target or rng.choice(question.answers) for question in batch]
        labels = reader.tokenize_targets(targets, max_tokens=config.answer_tokens)
        return model(ids, mask, labels).loss

    data = (reader, answered, corpus, passages)
    signature = partial(signature_of, "reader", config, *data, max_tokens=reader.max_tokens)
    return fit(reader, loss_of, config.optimisation, signature=signature, name="training the reader", **run)
