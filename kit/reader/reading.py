"""Questions read: answers as text and passage scores as a table. Knows nothing of how a reader encodes or decodes.

Source: FiD (Izacard & Grave 2021), section 3; FiD-KD (2021), section 3.2: the scores come with the first decoding step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

from kit.attention import Aggregation, named_aggregation
from kit.attention.aggregation import aggregate_layers
from kit.attention.capture import collected_layers
from kit.device import evaluation
from kit.reader.inputs import count_question_tokens
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader said: the answer of each question id, and the scores that it gave the passages it read."""

    answers: dict[str, str]
    scores: ScoreTable


class Reader(Protocol):
    """What is asked of a reader here; `kit.FiDReader` is one."""

    t5: T5ForConditionalGeneration

    def words(self, wanted_by: str) -> PreTrainedTokenizerBase: ...

    def tokenize(self, questions: Sequence[str], passages: Sequence[Sequence[Passage]]) -> tuple[Tensor, Tensor]: ...

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor: ...

    def generate_from(self, states: Tensor, attention_mask: Tensor, *, max_new_tokens: int = 50) -> Tensor: ...


def read_questions(
    reader: Reader,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    *,
    n_context: int | None,
    max_new_tokens: int,
    batch_size: int,
    aggregation: str | Aggregation,
    progress: bool,
) -> Reading:
    """The answers and scores: see `FiDReader.read`."""
    chosen = named_aggregation(aggregation)
    if chosen.answer != "first":
        raise KitError("read", "an aggregation over the first answer token", "one over all answer tokens")
    found = table.select([question.id for question in questions])
    found = found.top(n_context if n_context is not None else max(1, found.values.shape[1]))
    answers: dict[str, str] = {}
    values = torch.full(found.values.shape, float("nan"))
    for start in tqdm(range(0, len(questions), batch_size), desc="reading", disable=not progress):
        batch = questions[start : start + batch_size]
        passages = [_passages_of(question, corpus, found) for question in batch]
        said, scores = _read_batch(reader, [question.text for question in batch], passages, max_new_tokens, chosen)
        answers.update(zip((question.id for question in batch), said, strict=True))
        for row, (row_scores, read) in enumerate(zip(scores, passages, strict=True), start):
            values[row, torch.tensor(found.mask[row])] = row_scores[: len(read)]
    name = aggregation if isinstance(aggregation, str) else "cross_attention"
    return Reading(answers, ScoreTable(name, found.question_ids, found.passage_ids, values))


def _passages_of(question: Question, corpus: Mapping[str, Passage], found: ScoreTable) -> list[Passage]:
    ids = found.passages_of(question.id)
    missing = [i for i in ids if i not in corpus]
    if missing:
        raise KitError(f"question {question.id!r}", "passages that are in the corpus", repr(missing[0]))
    return [corpus[i] for i in ids]


def _read_batch(
    reader: Reader, texts: list[str], passages: list[list[Passage]], max_new_tokens: int, chosen: Aggregation
) -> tuple[list[str], Tensor]:
    """The answers, and the scores (q, k) on the CPU."""
    words = reader.words("read")
    ids, mask = reader.tokenize(texts, passages)
    lengths = None if chosen.question else count_question_tokens(words, texts)
    with evaluation(reader.t5):
        states = reader.encode(ids, mask)
        mask = mask.to(states.device)
        with collected_layers(reader.t5, mask, chosen) as layers:
            said = reader.generate_from(states, mask, max_new_tokens=max_new_tokens)
        scores = aggregate_layers(layers, mask, chosen, question_lengths=lengths)  # (q, k)
    return [text.strip() for text in words.batch_decode(said, skip_special_tokens=True)], scores.cpu()
