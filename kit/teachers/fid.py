"""Teachers that go by a FiD reader: its cross-attention, and how likely it finds the answer. Knows no losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.attention import Aggregation, cross_attention_scores, named_aggregation
from kit.reader import FiDReader
from kit.reader.inputs import count_question_tokens
from kit.teachers.scores import check_targets, score_cells, target_of
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class FiDAttention:
    """The cross-attention of a FiD reader: FiD-KD's teacher, and with aggregation "adist" Atlas's ADist.

    One encoder pass a passage and one decoder step (for aggregations over all answer tokens: one decoder pass over the
    question's target or first answer; "fid_kd" needs no answer). `batch_size` questions go together, each with its
    `n_context` best passages in the table (all if None). "fid_kd" scores are means of logits that T5 does not scale:
    no bounds, and a standard deviation over the passages of a question of 7.4 on the toy reader, nearly one-hot after a
    softmax (FiD-KD takes it so, at temperature 1). Source: FiD-KD (2021), section 3.2; Atlas (2022), section 2.2.
    """

    reader: FiDReader = field(repr=False)
    aggregation: str | Aggregation = "fid_kd"
    n_context: int | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        named_aggregation(self.aggregation)

    @property
    def name(self) -> str:
        """The aggregation's name ("cross_attention" if it has none), which is the tables' name."""
        return self.aggregation if isinstance(self.aggregation, str) else "cross_attention"

    @property
    def needs_answers(self) -> bool:
        """Whether the aggregation is over all answer tokens."""
        return named_aggregation(self.aggregation).answer == "all"

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        chosen, words = named_aggregation(self.aggregation), self.reader.require_tokenizer("FiDAttention")

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            texts = [question.text for question in batch]
            ids, mask = self.reader.tokenize(texts, passages)
            labels = self.reader.tokenize_targets(list(map(target_of, batch))) if self.needs_answers else None
            lengths = None if chosen.question else count_question_tokens(words, texts)
            options = {"aggregation": chosen, "labels": labels, "question_lengths": lengths}
            return _one_by_one(cross_attention_scores(self.reader, ids, mask, **options), passages)

        if self.needs_answers:
            check_targets(questions)
        sizes = {"n_context": self.n_context, "questions_at_once": self.batch_size, "progress": progress}
        return score_cells(self.name, questions, corpus, table, score_batch, **sizes)


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """A teacher that goes by the likelihood of each question's answer, which has at most `answer_tokens` tokens."""

    reader: FiDReader = field(repr=False)
    n_context: int | None = None
    batch_size: int = 4
    answer_tokens: int | None = None  # None: no limit
    name: ClassVar[str]

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        reader = self.reader
        reader.require_tokenizer(type(self).__name__)
        check_targets(questions)

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            ids, mask = reader.tokenize([question.text for question in batch], passages)
            labels = reader.tokenize_targets(list(map(target_of, batch)), max_tokens=self.answer_tokens)
            return _one_by_one(self.of_answer(ids, mask, labels.to(reader.device)), passages)

        sizes = {"n_context": self.n_context, "questions_at_once": self.batch_size, "progress": progress}
        return score_cells(self.name, questions, corpus, table, score_batch, **sizes)


@dataclass(frozen=True, eq=False)
class PassageLikelihood(_Likelihood):
    """How likely a reader finds the answer from that passage alone: Atlas's PDist, and REPLUG's and EMDR2's teacher.

    The score is the mean over answer tokens (the last is </s>) of log p(token | question, passage), in nats, at most 0;
    `over_answer="sum"` is the log-likelihood of the whole answer, which EMDR2 and REPLUG take. The answer is the
    question's target or first answer; raises `KitError` for a question without one. An encoder pass and a decoder pass
    of the answer's length for each passage. Passages differ by little: Atlas divides by a temperature of 0.01.
    Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    over_answer: str = "mean"

    def __post_init__(self) -> None:
        if self.over_answer not in ("mean", "sum"):
            raise KitError("PassageLikelihood: over_answer", "'mean' or 'sum'", repr(self.over_answer))

    @property
    def name(self) -> str:
        """The tables' name: "pdist", or "answer_likelihood" for the sum."""
        return "pdist" if self.over_answer == "mean" else "answer_likelihood"

    def of_answer(self, ids: Tensor, mask: Tensor, labels: Tensor) -> Float[Tensor, "q k"]:
        """The scores (q, k) of tokenized passages for the answers' tokens (q, a)."""
        tokens = self.reader.answer_log_likelihood(ids, mask, labels)  # (q, k, a)
        return tokens.sum(-1) if self.over_answer == "sum" else _mean_over_answer(tokens, labels)


@dataclass(frozen=True, eq=False)
class LeaveOneOut(_Likelihood):
    """How unlikely a reader finds the answer without that passage: Atlas's LOOP.

    The score is minus the mean over answer tokens of log p(token | question, all passages but that one), in nats, at
    least 0: the more the answer suffers, the better the passage. A question's only passage gets NaN, for nothing is
    left to read. The answer is the question's target or first answer; raises `KitError` for a question without one.
    Passages are encoded once, then k decoder passes look at all of them: the dearest of the reader's teachers, the cost
    of its decoding grows with k squared. Passages differ by little: Atlas divides by a temperature of 0.01.
    Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    batch_size: int = 2
    name: ClassVar[str] = "loop"

    def of_answer(self, ids: Tensor, mask: Tensor, labels: Tensor) -> Float[Tensor, "q k"]:
        """The scores (q, k) of tokenized passages for the answers' tokens (q, a)."""
        return -_mean_over_answer(self.reader.leave_one_out_log_likelihood(ids, mask, labels), labels)


def _mean_over_answer(tokens: Float[Tensor, "q k a"], labels: Tensor) -> Float[Tensor, "q k"]:
    """The mean over each question's own answer tokens; values are 0 where labels are -100."""
    return tokens.sum(-1) / (labels != -100).sum(-1, keepdim=True)


def _one_by_one(scores: Float[Tensor, "q k"], passages: Sequence[Sequence[Passage]]) -> Float[np.ndarray, " x"]:
    """The scores of the cells that have a passage, question after question."""
    rows = [row[: len(own)] for row, own in zip(scores.float().cpu(), passages, strict=True)]
    return torch.cat(rows).numpy()
