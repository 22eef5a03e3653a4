"""Teachers that go by a FiD reader: its cross-attention, and how likely it finds the answer. Knows no losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.attention import Aggregation, cross_attention_scores, named_aggregation
from kit.reader import FiDReader
from kit.reader.inputs import count_question_tokens
from kit.teachers.scores import score_cells, target_of
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class ReaderTeacher:
    """A teacher that reads: `batch_size` questions go together, each with its `n_context` best passages (None: all).

    One that needs answers takes a question's target or first answer, cut at `answer_tokens` (None: whole), and raises
    `KitError` for a question without one.
    """

    reader: FiDReader = field(repr=False)
    _: KW_ONLY
    n_context: int | None = None
    batch_size: int = 4
    answer_tokens: int | None = None

    @property
    def name(self) -> str:
        """The tables' name."""
        raise NotImplementedError

    @property
    def needs_answers(self) -> bool:
        """Whether the scores depend on the answer."""
        return True

    def of_tokens(self, texts: list[str], ids: Tensor, mask: Tensor, labels: Any) -> Float[Tensor, "q k"]:
        """The scores of tokenized passages (q, k, t) of these questions; `labels` (q, a): the answers, or None."""
        raise NotImplementedError

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        reader = self.reader
        reader.require_tokenizer(type(self).__name__)
        answers = {question.id: target_of(question) for question in questions} if self.needs_answers else {}

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            texts, labels = [question.text for question in batch], None
            ids, mask = reader.tokenize(texts, passages)
            if answers:
                targets = [answers[question.id] for question in batch]
                labels = reader.tokenize_targets(targets, max_tokens=self.answer_tokens).to(reader.device)
            scores = self.of_tokens(texts, ids, mask, labels).float().cpu()  # (q, k)
            return torch.cat([row[: len(own)] for row, own in zip(scores, passages, strict=True)]).numpy()

        return score_cells(
            self.name, questions, corpus, table, score_batch,
            n_context=self.n_context, questions_at_once=self.batch_size, progress=progress,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class FiDAttention(ReaderTeacher):
    """The cross-attention of a FiD reader: FiD-KD's teacher, and with aggregation "adist" Atlas's ADist.

    One encoder pass a passage and one decoder step (for aggregations over all answer tokens, which alone need answers:
    one decoder pass over the answer). "fid_kd" scores are means of logits that T5 does not scale: no bounds, and a
    standard deviation over the passages of a question of 7.4 on the toy reader, nearly one-hot after a softmax (FiD-KD
    takes it so, at temperature 1). Source: FiD-KD (2021), section 3.2; Atlas (2022), section 2.2.
    """

    aggregation: str | Aggregation = "fid_kd"
    batch_size: int = field(default=8, kw_only=True)

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

    def of_tokens(self, texts: list[str], ids: Tensor, mask: Tensor, labels: Any) -> Float[Tensor, "q k"]:
        """The aggregated cross-attention."""
        chosen, lengths = named_aggregation(self.aggregation), None
        if not chosen.question:
            lengths = count_question_tokens(self.reader.require_tokenizer(type(self).__name__), texts)
        return cross_attention_scores(
            self.reader, ids, mask, aggregation=chosen, labels=labels, question_lengths=lengths
        )


@dataclass(frozen=True, eq=False)
class PassageLikelihood(ReaderTeacher):
    """How likely a reader finds the answer from that passage alone: Atlas's PDist, and REPLUG's and EMDR2's teacher.

    The score is the mean over answer tokens (the last is </s>) of log p(token | question, passage), in nats, at most 0;
    `over_answer="sum"` is the log-likelihood of the whole answer, which EMDR2 and REPLUG take. An encoder pass and a
    decoder pass of the answer's length for each passage. Passages differ by little: Atlas divides by a temperature of
    0.01. Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    over_answer: str = "mean"

    def __post_init__(self) -> None:
        if self.over_answer not in ("mean", "sum"):
            raise KitError("PassageLikelihood: over_answer", "'mean' or 'sum'", repr(self.over_answer))

    @property
    def name(self) -> str:
        """The tables' name: "pdist", or "answer_likelihood" for the sum."""
        return "pdist" if self.over_answer == "mean" else "answer_likelihood"

    def of_tokens(self, texts: list[str], ids: Tensor, mask: Tensor, labels: Any) -> Float[Tensor, "q k"]:
        """The answers' log-likelihoods."""
        tokens = self.reader.answer_log_likelihood(ids, mask, labels)  # (q, k, a)
        return tokens.sum(-1) if self.over_answer == "sum" else _mean_over_answer(tokens, labels)


@dataclass(frozen=True, eq=False)
class LeaveOneOut(ReaderTeacher):
    """How unlikely a reader finds the answer without that passage: Atlas's LOOP.

    The score is minus the mean over answer tokens of log p(token | question, all passages but that one), in nats, at
    least 0: the more the answer suffers, the better the passage. A question's only passage gets NaN, for nothing is
    left to read. Passages are encoded once, then k decoder passes look at all of them: the most expensive of
    these teachers, as the cost of decoding grows with k squared. Passages differ by little: Atlas divides by a
    temperature of 0.01. Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    batch_size: int = field(default=2, kw_only=True)

    @property
    def name(self) -> str:
        """The tables' name."""
        return "loop"

    def of_tokens(self, texts: list[str], ids: Tensor, mask: Tensor, labels: Any) -> Float[Tensor, "q k"]:
        """Minus the answers' log-likelihoods without each passage."""
        return -_mean_over_answer(self.reader.leave_one_out_log_likelihood(ids, mask, labels), labels)


def _mean_over_answer(tokens: Float[Tensor, "q k a"], labels: Tensor) -> Float[Tensor, "q k"]:
    """The mean over each question's own answer tokens; values are 0 where labels are -100."""
    return tokens.sum(-1) / (labels != -100).sum(-1, keepdim=True)
