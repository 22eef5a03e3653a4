"""What a training measures on the way: functions for the `evaluate` of `RunOptions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from kit.metrics import agreement, exact_match_rate
from kit.teachers import EncoderScores
from kit.types import Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader

Evaluate = Callable[[], dict[str, float]]
Examples = tuple[Sequence[Question], Mapping[str, Passage], ScoreTable]


def exact_match_of(reader: FiDReader, examples: Examples, n_context: int | None = None) -> Evaluate:
    """A function that gives {"em"} of the reader as it is then, over the questions with answers."""
    questions, corpus, table = examples
    answered = [question for question in questions if question.answers]

    def evaluate() -> dict[str, float]:
        answers = reader.read(answered, corpus, table, n_context=n_context).answers
        return {"em": exact_match_rate(answers, answered)}

    return evaluate


def agreement_of(encoder: DualEncoder, examples: Examples) -> Evaluate:
    """A function that gives {"kendall", "spearman", "overlap"}: how far the encoder, as it is then, follows a teacher.

    The teacher's scores are those of the examples' table; each figure is a mean over questions.
    """
    questions, corpus, table = examples

    def evaluate() -> dict[str, float]:
        means = agreement(table, EncoderScores(encoder).score(questions, corpus, table)).means
        return {name: means[name] for name in ("kendall", "spearman", "overlap")}

    return evaluate
