"""Teachers: whatever scores (question, passages), for a student to learn from. Each gives a `ScoreTable`.

k passages of a question, a answer tokens; "passes" are forward passes for one question.

| teacher             | score of a passage                             | passes               | unit of the scores |
|---------------------|------------------------------------------------|----------------------|--------------------|
| `FiDAttention`      | mean cross-attention logit of the first token  | k encoder, 1 decoder | logits, no bounds  |
| `PassageLikelihood` | mean log p(answer token), that passage alone   | k encoder, k decoder | nats, at most 0    |
| `LeaveOneOut`       | minus the same with all passages but that one  | k encoder, k decoder | nats, at least 0   |
| `ExtractiveReader`  | P_sel logit of DPR's reader                    | k BERT               | logits, no bounds  |
| `CrossEncoder`      | raw score, [CLS] question [SEP] passage [SEP]  | k BERT               | logits, no bounds  |
| `Ensemble`          | mean of the teachers' scores                   | their sum            | theirs             |
| `FromTable`         | what a table or a file says                    | none                 | its own            |

Look at a table's spread before its softmax: `kit.losses.kl(teacher_temperature=...)` divides it, `Standardised` makes
it the same for every question. `score_examples` writes scores to a file without holding them. Knows no losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.attention import Aggregation, cross_attention_scores, named_aggregation
from kit.reader import FiDReader
from kit.reader.inputs import count_question_tokens
from kit.teachers.scores import (
    Teacher,
    answer_of,
    asks_for_answers,
    score_cells,
    standardised,
)
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
        """The aggregation's name, "cross_attention" for one without: the name of the tables."""
        return self.aggregation if isinstance(self.aggregation, str) else "cross_attention"

    @property
    def asks_for_answers(self) -> bool:
        """Whether the aggregation is over all answer tokens."""
        return named_aggregation(self.aggregation).answer == "all"

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        chosen, words = named_aggregation(self.aggregation), self.reader.words("FiDAttention")

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            texts = [question.text for question in batch]
            ids, mask = self.reader.tokenize(texts, passages)
            labels = self.reader.tokenize_targets(list(map(answer_of, batch))) if self.asks_for_answers else None
            lengths = None if chosen.question else count_question_tokens(words, texts)
            options = {"aggregation": chosen, "labels": labels, "question_lengths": lengths}
            return _one_by_one(cross_attention_scores(self.reader, ids, mask, **options), passages)

        if self.asks_for_answers:
            _check_answers(questions)
        sizes = {"n_context": self.n_context, "questions_at_once": self.batch_size, "progress": progress}
        return score_cells(self.name, questions, corpus, table, score_batch, **sizes)


@dataclass(frozen=True, eq=False)
class PassageLikelihood:
    """How likely a reader finds the answer from that passage alone: Atlas's PDist, and REPLUG's and EMDR2's teacher.

    The score is the mean over answer tokens (the last is </s>) of log p(token | question, passage), in nats, at most 0;
    `over_answer="sum"` is the log-likelihood of the whole answer, which EMDR2 and REPLUG take. The answer is the
    question's target or first answer; a question without one is a `KitError`. An encoder pass and a decoder pass of the
    answer's length for each passage. Passages differ by little: Atlas divides by a temperature of 0.01.
    Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    reader: FiDReader = field(repr=False)
    over_answer: str = "mean"
    n_context: int | None = None
    batch_size: int = 4
    answer_tokens: int | None = None  # longest answer; None: as long as it is
    name: ClassVar[str] = "pdist"
    asks_for_answers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.over_answer not in ("mean", "sum"):
            raise KitError("PassageLikelihood: over_answer", "'mean' or 'sum'", repr(self.over_answer))

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""

        def of_answer(ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
            tokens = self.reader.answer_log_likelihood(ids, mask, labels)  # (q, k, a)
            return tokens.sum(-1) if self.over_answer == "sum" else _mean_over_answer(tokens, labels)

        return _by_likelihood(self, of_answer, questions, corpus, table, progress)


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """How unlikely a reader finds the answer without that passage: Atlas's LOOP.

    The score is minus the mean over answer tokens of log p(token | question, all passages but that one), in nats, at
    least 0: the more the answer suffers, the better the passage. A question's only passage gets NaN, for nothing is
    left to read. The answer is the question's target or first answer; a question without one is a `KitError`. Passages
    are encoded once, then k decoder passes look at all of them: the dearest of the reader's teachers, the cost of its
    decoding grows with k squared. Passages differ by little: Atlas divides by a temperature of 0.01.
    Source: Atlas (Izacard et al. 2022), section 2.2.
    """

    reader: FiDReader = field(repr=False)
    n_context: int | None = None
    batch_size: int = 2
    answer_tokens: int | None = None  # longest answer; None: as long as it is
    name: ClassVar[str] = "loop"
    asks_for_answers: ClassVar[bool] = True

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""

        def of_answer(ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
            return -_mean_over_answer(self.reader.leave_one_out_log_likelihood(ids, mask, labels), labels)

        return _by_likelihood(self, of_answer, questions, corpus, table, progress)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The arithmetic mean of several teachers' raw scores, cell by cell: T2 of Margin-MSE, three BERT_Cat.

    Costs what they cost together. A cell that one of them did not score is NaN. Raw scores of teachers of other kinds
    have other scales, and the widest has most to say: wrap them in `Standardised` then.
    Source: Hofstaetter et al. 2020, section 4, and its teacher_scores_ensemble.py.

    >>> found = ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]])
    >>> one, two = ScoreTable("t1", ["q"], [["b", "a"]], [[4.0, 0.0]]), ScoreTable("t2", ["q"], [["a"]], [[6.0]])
    >>> Ensemble([FromTable(one), FromTable(two)]).score([Question("q", "why")], {}, found).values.tolist()
    [[3.0, nan]]
    """

    teachers: Sequence[Teacher]
    name: str = "ensemble"

    def __post_init__(self) -> None:
        object.__setattr__(self, "teachers", tuple(self.teachers))
        if not self.teachers:
            raise KitError("Ensemble", "at least one teacher", "none")

    @property
    def asks_for_answers(self) -> bool:
        """Whether one of them does."""
        return any(map(asks_for_answers, self.teachers))

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Mean scores (q, k) in the cells of `table`, a row for each question."""
        found = table.select([question.id for question in questions])
        tables = [teacher.score(questions, corpus, found, progress=progress) for teacher in self.teachers]
        values = np.mean([scores.aligned_to(found).values for scores in tables], axis=0, dtype=np.float64)
        return ScoreTable(self.name, found.question_ids, found.passage_ids, values)


@dataclass(frozen=True)
class Standardised:
    """A teacher whose scores have mean 0 and standard deviation `scale` for every question; see `standardised`.

    The kit's own choice, not of a paper. The statistics are over the passages that the teacher scored.
    """

    teacher: Teacher
    scale: float = 1.0

    @property
    def asks_for_answers(self) -> bool:
        """Whether the teacher does."""
        return asks_for_answers(self.teacher)

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Standardised scores (q, k) in the cells of `table`, a row for each question."""
        return standardised(self.teacher.score(questions, corpus, table, progress=progress), scale=self.scale)


@dataclass(frozen=True, eq=False)
class FromTable:
    """A teacher that has spoken already: the scores of a table, a saved one or `load_teacher_triples`'s for instance.

    A passage that the table does not have is NaN, a question that it does not have is a `KitError`.
    """

    table: ScoreTable

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """The table's scores (q, k) in the cells of `table`, a row for each question; the corpus is not looked at."""
        return self.table.aligned_to(table.select([question.id for question in questions]))


def _by_likelihood(
    teacher: PassageLikelihood | LeaveOneOut,
    of_answer: Callable[[Tensor, Tensor, Tensor], Tensor],
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    progress: bool,
) -> ScoreTable:
    reader = teacher.reader
    reader.words(type(teacher).__name__)
    _check_answers(questions)

    def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
        ids, mask = reader.tokenize([question.text for question in batch], passages)
        labels = reader.tokenize_targets(list(map(answer_of, batch)), max_tokens=teacher.answer_tokens)
        return _one_by_one(of_answer(ids, mask, labels.to(reader.device)), passages)

    sizes = {"n_context": teacher.n_context, "questions_at_once": teacher.batch_size, "progress": progress}
    return score_cells(teacher.name, questions, corpus, table, score_batch, **sizes)


def _check_answers(questions: Sequence[Question]) -> None:
    for question in questions:
        answer_of(question)


def _mean_over_answer(tokens: Float[Tensor, "q k a"], labels: Tensor) -> Float[Tensor, "q k"]:
    """The mean over each question's own answer tokens; values are 0 where labels are -100."""
    return tokens.sum(-1) / (labels != -100).sum(-1, keepdim=True)


def _one_by_one(scores: Float[Tensor, "q k"], passages: Sequence[Sequence[Passage]]) -> Float[np.ndarray, " x"]:
    """The scores of the passages that are there, question after question."""
    rows = [row[: len(found)] for row, found in zip(scores.float().cpu(), passages, strict=True)]
    return torch.cat(rows).numpy()
