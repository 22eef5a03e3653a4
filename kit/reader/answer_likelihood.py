"""How likely a reader finds an answer with one passage alone, or with all but one: what two kinds of teacher go by.

Every passage is encoded once. Knows nothing of teachers or tables.

Source: Atlas (Izacard et al. 2022), section 2.2: perplexity distillation (PDist) and leave-one-out (LOOP).
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration
from transformers.modeling_outputs import Seq2SeqLMOutput

from kit.device import evaluation


class Reader(Protocol):
    """What is asked of a reader here; `kit.FiDReader` is one."""

    t5: T5ForConditionalGeneration

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor: ...

    def decode(
        self,
        states: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        *,
        cache: EncoderDecoderCache | None = None,
    ) -> Seq2SeqLMOutput: ...


def likelihood_of_each(
    reader: Reader,
    input_ids: Int[Tensor, "q k t"],
    attention_mask: Bool[Tensor, "q k t"],
    labels: Int[Tensor, "q a"],
    *,
    most: int | None = None,
) -> Float[Tensor, "q k a"]:
    """log p of each answer token given the question and that passage alone (q, k, a), float32.

    0 where the label is -100; -inf for a passage without tokens. `most` passages are decoded together, for memory.
    PDist's score is the mean over the answer's tokens. Dropout is off, and no gradient is kept.
    """
    q, k, t = attention_mask.shape
    with evaluation(reader.t5):
        states = reader.encode(input_ids, attention_mask)
        mask = attention_mask.to(states.device).view(q * k, 1, t)
        states = states.view(q * k, t, -1)
        labels = labels.to(states.device)
        result = states.new_full((q * k, labels.shape[1]), float("-inf"), dtype=torch.float32)
        there = mask.any(-1).squeeze(1).nonzero().squeeze(1)  # (x,)
        for part in there.split(most or len(there)):
            answers = labels[part // k]  # (x, a)
            result[part] = _log_likelihood(reader.decode(states[part], mask[part], answers).logits, answers)
    real = labels[:, None] != -100  # (q, 1, a)
    return result.view(q, k, -1).masked_fill(~real, 0.0)


def likelihood_without_each(
    reader: Reader, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"], labels: Int[Tensor, "q a"]
) -> Float[Tensor, "q k a"]:
    """log p of each answer token given the question and all its passages but that one (q, k, a), float32.

    0 where the label is -100; NaN where nothing is left to read. The passages' keys and values are computed once, and k
    decoder passes look at them. LOOP's score is minus the mean over the answer's tokens: the less likely the answer
    becomes, the better the passage. Dropout is off, and no gradient is kept.
    """
    with evaluation(reader.t5):
        states = reader.encode(input_ids, attention_mask)
        mask, labels = attention_mask.to(states.device), labels.to(states.device)
        keys_and_values, columns = DynamicCache(), []
        for i in range(mask.shape[1]):
            others = mask.clone()
            others[:, i] = False
            cache = EncoderDecoderCache(DynamicCache(), keys_and_values)
            column = _log_likelihood(reader.decode(states, others, labels, cache=cache).logits, labels)  # (q, a)
            left = others.flatten(1).any(-1, keepdim=True) | (labels == -100)  # (q, a)
            columns.append(column.masked_fill(~left, float("nan")))
    return torch.stack(columns, dim=1)


def _log_likelihood(logits: Float[Tensor, "x a v"], labels: Int[Tensor, "x a"]) -> Float[Tensor, "x a"]:
    """log p of the labels, 0 where they are -100."""
    real = labels != -100
    picked = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # (x, a)
    return picked.masked_fill(~real, 0.0)
