"""Training a reader to give each question's answer from its best passages.

Source: FiD (Izacard & Grave 2021), section 4.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from kit.train.batches import Stream
from kit.train.checkpoints import data_digest, tokenizer_digest
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.optimisation import Optimisation
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
    from kit.train.presets import READER_TRAINING

    if isinstance(config, str):
        if config not in READER_TRAINING:
            raise KitError("reader training", f"one of {', '.join(READER_TRAINING)}", repr(config))
        config = READER_TRAINING[config]
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

    def signature() -> dict[str, object]:
        sizes = {name: value for name, value in asdict(config).items() if name != "optimisation"}
        sizes |= {"max_tokens": reader.max_tokens, "tokenizer": tokenizer_digest(reader.tokenizer)}
        return {"task": "reader", **sizes, "data": data_digest(answered, corpus, passages)}

    return fit(reader, loss_of, config.optimisation, signature=signature, **{"name": "training the reader", **run})
