"""One question read by a reader, and all that its decoder looked at before each token of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from kit.attention.capture import AttentionRecord, record_attention
from kit.device import evaluation
from kit.reader.inputs import count_question_tokens
from kit.types import KitError, Passage, Question

if TYPE_CHECKING:
    from kit.reader import FiDReader

MOST_ANSWER_TOKENS = 16


@dataclass(frozen=True, eq=False)
class AnswerAttention:
    """One answer, and the attention before each of its tokens."""

    text: str
    tokens: tuple[str, ...]  # (a), </s> included
    record: AttentionRecord  # of one question

    @property
    def labels(self) -> Int[Tensor, "1 a"] | None:
        """The ids of its tokens."""
        return self.record.labels


@dataclass(frozen=True, eq=False)
class QuestionAttention:
    """A question, the passages that were read, and the answers: "generated", and "given" if that is another one."""

    question: Question
    passages: tuple[Passage, ...]
    tokens: tuple[tuple[str, ...], ...]  # of each passage, the question's first
    question_length: int
    answers: dict[str, AnswerAttention]

    @property
    def bytes(self) -> int:
        """The memory that logits and their probabilities take."""
        return sum(2 * one.record.logits.numel() * one.record.logits.element_size() for one in self.answers.values())


def question_attention(reader: FiDReader, question: Question, passages: Sequence[Passage]) -> QuestionAttention:
    """One question read with its passages: one encoder pass, the answer generated, one decoder pass an answer.

    Answers are cut at 16 tokens. The given answer is the question's `target`, else its first answer. Raises `KitError`
    if there is no passage, or the reader has no tokenizer.
    """
    if not passages:
        raise KitError(f"question {question.id!r}", "at least one passage", "none")
    tokenizer = reader.require_tokenizer("question_attention")
    ids, mask = reader.tokenize([question.text], [list(passages)])
    with evaluation(reader.t5):
        states = reader.encode(ids, mask)
        generated = reader.generate_from(states, max_new_tokens=MOST_ANSWER_TOKENS)[0, 1:].tolist()
        labels = {"generated": _until_end(generated, tokenizer.eos_token_id, tokenizer.pad_token_id)}
        given = question.target or next(iter(question.answers), "")
        if given:
            labels["given"] = reader.tokenize_targets([given], max_tokens=MOST_ANSWER_TOKENS)[0].tolist()
        if labels.get("given") == labels["generated"]:
            del labels["given"]
        records = {name: record_attention(reader, states, torch.tensor([row])) for name, row in labels.items()}
    answers = {
        name: AnswerAttention(
            tokenizer.batch_decode([row], skip_special_tokens=True)[0].strip(),
            tuple(tokenizer.convert_ids_to_tokens(row)), records[name],
        )
        for name, row in labels.items()
    }  # fmt: skip
    tokens = [tokenizer.convert_ids_to_tokens(row[kept].tolist()) for row, kept in zip(ids[0], mask[0], strict=True)]
    length = int(count_question_tokens(tokenizer, [question.text])[0])
    return QuestionAttention(question, tuple(passages), tuple(map(tuple, tokens)), length, answers)


def _until_end(ids: list[int], end: int, padding: int) -> list[int]:
    """Up to the first </s>, which counts; without padding."""
    kept = ids[: ids.index(end) + 1] if end in ids else ids
    return [i for i in kept if i != padding] or [end]
