"""The position bias of the cross-attention, which readers of transformers 3.0.2 were trained with.

Later versions of transformers dropped it. Its weight stands under the first decoder block's cross-attention, where the
original checkpoints name it, and all blocks share the bias, as T5's stack hands it down. Knows nothing of passages.

Source: transformers 3.0.2, T5Attention; dropped by huggingface/transformers#8518.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import T5ForConditionalGeneration

BIAS_WEIGHT = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


def add_cross_attention_bias(t5: T5ForConditionalGeneration) -> None:
    """Give `t5` a cross-attention position bias, with a weight (buckets, h) of its own, still to be loaded.

    Keys count over all the tokens of a question's passages, k*t with padding; queries over the answer. Only keys before
    the query's position get a bucket other than 0, so for the first answer token the bias is one constant a head.
    `kit.reader.decoding` applies it; transformers' own T5 does as long as it keeps no cache (with one it takes every
    new token for one place later than it is).
    """
    attention = _first_attention(t5)
    weight = attention.q.weight
    attention.relative_attention_bias = nn.Embedding(
        t5.config.relative_attention_num_buckets, t5.config.num_heads, device=weight.device, dtype=weight.dtype
    )
    attention.has_relative_attention_bias = True


def has_cross_attention_bias(t5: T5ForConditionalGeneration) -> bool:
    """Whether `add_cross_attention_bias` was called on it."""
    return hasattr(_first_attention(t5), "relative_attention_bias")


def _first_attention(t5: T5ForConditionalGeneration) -> Any:
    """The cross-attention of the first decoder block."""
    block: Any = t5.decoder.block[0]
    return getattr(block.layer[1], "EncDecAttention", None)
