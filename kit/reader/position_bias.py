"""The position bias of the cross-attention, which readers made with transformers 3.0.2 were trained with.

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
    The hook stays: checkpointed blocks run again in the backward pass and need it there too.
    """
    attention = t5.decoder.block[0].layer[1].EncDecAttention
    weight = attention.q.weight
    attention.relative_attention_bias = nn.Embedding(
        t5.config.relative_attention_num_buckets, t5.config.num_heads, device=weight.device, dtype=weight.dtype
    )
    attention.register_forward_pre_hook(_with_bias, with_kwargs=True)


def has_cross_attention_bias(t5: T5ForConditionalGeneration) -> bool:
    """Whether `add_cross_attention_bias` was called on it."""
    return hasattr(t5.decoder.block[0].layer[1].EncDecAttention, "relative_attention_bias")


def _with_bias(attention: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The arguments of the first cross-attention, with the bias at the true decoding position."""
    count, keys = args[0].shape[1], kwargs["key_value_states"].shape[1]
    cache = kwargs.get("past_key_values")
    # The block's self-attention ran before and has put these `count` queries in the cache already.
    start = 0 if cache is None else cache.get_seq_length(attention.layer_idx) - count
    bias = attention.compute_bias(count, keys, device=args[0].device, past_seen_tokens=start)  # (1, h, a, k*t)
    return args, {**kwargs, "position_bias": bias}
