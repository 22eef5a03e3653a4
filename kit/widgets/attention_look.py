"""One question read by a reader, and all that its decoder looked at: kept in Python, whatever its size.

Logarithms of probabilities are kept, (a, n, h, k, t), from which logits and value norms follow for any part of it; as
float16 where there are many. Knows nothing of aggregations, bytes or widgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from kit.attention.capture import LayerAttention
from kit.device import evaluation
from kit.reader import FiDReader
from kit.reader.inputs import count_question_tokens
from kit.reader.passage_states import PassageStates
from kit.types import KitError, Passage, Question

MOST_ANSWER_TOKENS = 16
HALF_ABOVE = 4_000_000  # cells of one answer token: more are kept as float16 (24 layers x 16 heads x 25,000: 19 MB)


@dataclass(frozen=True, eq=False)
class Answered:
    """One answer, and where the decoder looked before it said each of its tokens."""

    text: str
    tokens: tuple[str, ...]  # (a)
    labels: Int[Tensor, " a"]  # their ids
    log_probabilities: Float[Tensor, "a n h k t"]  # float32 or float16; -inf at padding
    log_sums: Float[Tensor, "a n h"]  # logit = log-probability + this


@dataclass(frozen=True, eq=False)
class Look:
    """A question, the passages that were read, and the answers: "generated", and "given" where it is another."""

    question: Question
    passages: tuple[Passage, ...]
    tokens: tuple[tuple[str, ...], ...]  # of each passage, the question's first
    mask: Bool[Tensor, "k t"]
    question_length: int
    value_lengths: Float[Tensor, "n h k t"]
    answers: dict[str, Answered]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(n, h, k, t)"""
        return tuple(self.value_lengths.shape)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each passage."""
        return [len(tokens) for tokens in self.tokens]

    def layer_values(self, said: str, kind: str, answer: int, layer: int) -> Float[Tensor, "h k t"]:
        """What one layer's heads gave all tokens before an answer token; "kind" as in `kit.attention.Aggregation`."""
        answered = self.answers[said]
        logs, sums = answered.log_probabilities[answer, layer], answered.log_sums[answer, layer]
        return _of_kind(kind, logs, sums[:, None, None], self.value_lengths[layer])

    def passage_values(self, said: str, kind: str, passage: int) -> Float[Tensor, "a n h t"]:
        """What all heads gave the tokens of one passage before each answer token."""
        answered, length = self.answers[said], self.lengths[passage]
        logs = answered.log_probabilities[:, :, :, passage, :length]
        return _of_kind(kind, logs, answered.log_sums[..., None], self.value_lengths[:, :, passage, :length])


def look_at(reader: FiDReader, question: Question, passages: Sequence[Passage]) -> Look:
    """One question read with its passages: one encoder pass, the answer generated, one decoder pass an answer.

    Answers are cut at 16 tokens. The given answer is the question's `target`, else its first answer.
    """
    if not passages:
        raise KitError(f"question {question.id!r}", "at least one passage", "none")
    words = reader.require_tokenizer("AttentionExplorer")
    ids, mask = reader.tokenize([question.text], [list(passages)])
    with evaluation(reader.t5):
        states = reader.encode(ids, mask)
        generated = reader.generate_from(states, max_new_tokens=MOST_ANSWER_TOKENS)[0, 1:]
        labels = {"generated": _until_end(generated.tolist(), words)}
        given = question.target or next(iter(question.answers), "")
        if given:
            labels["given"] = reader.tokenize_targets([given], max_tokens=MOST_ANSWER_TOKENS)[0].tolist()
        if labels.get("given") == labels["generated"]:
            del labels["given"]
        looked = {said: _decoded(reader, states, row) for said, row in labels.items()}
    rows = [words.convert_ids_to_tokens(row[there].tolist()) for row, there in zip(ids[0], mask[0].cpu(), strict=True)]
    question_length = int(count_question_tokens(words, [question.text])[0])
    answers = {said: _answered(words, labels[said], logs, sums) for said, (logs, sums, _) in looked.items()}
    tokens = tuple(map(tuple, rows))
    return Look(question, tuple(passages), tokens, mask[0].cpu(), question_length, looked["generated"][2], answers)


def _until_end(ids: list[int], words: PreTrainedTokenizerBase) -> list[int]:
    """Up to the first </s>, which counts; without padding."""
    end = ids.index(words.eos_token_id) + 1 if words.eos_token_id in ids else len(ids)
    return [i for i in ids[:end] if i != words.pad_token_id] or [words.eos_token_id]


def _answered(words: PreTrainedTokenizerBase, labels: list[int], logs: Tensor, sums: Tensor) -> Answered:
    text = words.decode(labels, skip_special_tokens=True).strip()
    return Answered(text, tuple(words.convert_ids_to_tokens(labels)), torch.tensor(labels), logs, sums)


def _decoded(reader: FiDReader, states: PassageStates, labels: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """One decoder pass: log-probabilities (a, n, h, k, t), their log-sums (a, n, h), value lengths (n, h, k, t)."""
    _, k, t = states.mask.shape
    a, n, h = len(labels), len(reader.t5.decoder.block), reader.t5.config.num_heads
    kind = torch.float16 if n * h * k * t > HALF_ABOVE else torch.float32
    logs, sums = torch.empty(a, n, h, k, t, dtype=kind), torch.empty(a, n, h)
    lengths = torch.empty(n, h, k, t, dtype=kind)
    layer = 0

    def keep(attention: LayerAttention) -> None:
        nonlocal layer
        logits = states.spread(attention.logits, float("-inf"))[0]  # (h, a, k, t)
        total = logits.flatten(-2).logsumexp(-1)  # (h, a)
        logs[:, layer] = (logits - total[..., None, None]).transpose(0, 1)  # (a, h, k, t)
        sums[:, layer] = total.T
        lengths[layer] = states.spread(attention.value_lengths)[0]  # (h, k, t)
        layer += 1

    reader.observe(states, torch.tensor([labels]), keep)
    return logs, sums, lengths


def _of_kind(kind: str, logs: Tensor, sums: Tensor, lengths: Tensor) -> Tensor:
    if kind == "logits":
        return logs.float() + sums
    values = logs.float().exp()
    return values * lengths.float() if kind == "value_norms" else values
