"""The encoder of a reader at work: every passage by itself, and no padding computed.

The tokens of many passages go through T5's own modules as one long list; only the attention looks at passages, those of
one length together (on a GPU those of like length, with a mask). Knows nothing of questions' words or of decoders.

Source: Raffel et al. 2020 (T5), section 2.1; Izacard & Grave 2021 (FiD), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from transformers import T5ForConditionalGeneration

from kit.batches import length_buckets
from kit.reader.passage_states import PassageStates, real_places
from kit.types import KitError

TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65_536}  # of one pass: on a CPU its activations stay in the cache
PADDING = {"cpu": 0.0, "cuda": 2000.0}  # what one more attention call costs, in tokens; not measured for a GPU


def encode_passages(
    t5: T5ForConditionalGeneration,
    input_ids: Int[Tensor, "q k t"],
    attention_mask: Bool[Tensor, "q k t"],
    *,
    micro_batch: int | None = None,
    checkpointed: bool = False,
) -> PassageStates:
    """The states of all passages, each encoded by itself.

    `micro_batch` bounds the passages of one pass; `checkpointed` keeps few activations for the backward pass.
    """
    q, k, t = attention_mask.shape
    mask = attention_mask.view(q * k, t).cpu()
    lengths = mask.sum(-1)
    if (empty := lengths.view(q, k).sum(1) == 0).any():
        raise KitError("attention_mask", "a token in every question", f"none in question {int(empty.nonzero()[0])}")
    if micro_batch is not None and micro_batch < 1:
        raise KitError("micro_batch", "at least 1 passage", micro_batch)
    order = lengths.argsort(descending=True, stable=True)[: int((lengths > 0).sum())]  # (x,)
    device = t5.device
    ids = input_ids.reshape(q * k, t).to(device)
    pieces = []
    for part in _passes(order, lengths, TOKENS_AT_ONCE.get(device.type, 65_536), micro_batch):
        there = mask[part]  # (x, t)
        tokens = ids[part.to(device)][there.to(device)]
        pieces.append(_encode(t5, tokens, there, checkpointed))
    hidden = torch.cat(pieces)  # tokens of all passages, longest passage first
    rows = torch.zeros(q * k, t, dtype=torch.long)
    sorted_rows = torch.zeros(len(order), t, dtype=torch.long)
    sorted_rows[mask[order]] = torch.arange(len(hidden))
    rows[order] = sorted_rows
    places, real = real_places(mask.view(q, k, t))
    states = hidden[rows.view(q, k * t).gather(1, places).to(device)]  # (q, s, d)
    return PassageStates(states, places.to(device), real.to(device), attention_mask.to(device))


def _passes(order: Tensor, lengths: Tensor, tokens: int, most: int | None) -> list[Tensor]:
    """The passages of each pass, in order: about `tokens` tokens, at most `most` passages."""
    starts = lengths[order].cumsum(0) - lengths[order]
    parts = [order[starts // tokens == number] for number in (starts // tokens).unique()] if len(order) else []
    return [piece for part in parts for piece in (part.split(most) if most else (part,))]


@dataclass(frozen=True, eq=False)
class _Together:
    """Passages whose attention is computed in one call: the next `tokens` tokens of the list, x passages of w."""

    tokens: int
    passages: int
    rows: Int[Tensor, "x w"] | None  # of each of the passages' tokens; None: all are w long, in order
    kept: Bool[Tensor, "x w"] | None
    mask: Float[Tensor, "x h w w"]  # the position bias, and -inf at padding


def _encode(t5: T5ForConditionalGeneration, ids: Tensor, mask: Bool[Tensor, "x t"], checkpointed: bool) -> Tensor:
    """The states of the tokens (n, d) of passages sorted by falling length; their `mask` is on the CPU."""
    encoder: Any = t5.encoder
    hidden = encoder.dropout(encoder.embed_tokens(ids))
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    together: list[_Together] = []
    for block in encoder.block:
        attention_layer, feed_forward = block.layer
        attention = attention_layer.SelfAttention
        if hasattr(attention, "relative_attention_bias"):  # T5's first block alone, all of umT5's
            together = _groups(attention, mask, t5.device)

        def run(hidden: Tensor, layer=attention_layer, forward=feed_forward, groups=together) -> Tensor:
            read = _self_attention(layer.SelfAttention, layer.layer_norm(hidden), groups, t5.config.dropout_rate)
            return forward(hidden + layer.dropout(read))

        hidden = checkpoint(run, hidden, use_reentrant=False) if checkpointed else run(hidden)
    return encoder.dropout(full_precision_norm(encoder.final_layer_norm, hidden))


def full_precision_norm(norm: Any, hidden: Tensor) -> Tensor:
    """`norm` of `hidden`, not rounded to the weights' format."""
    return torch.func.functional_call(norm, {"weight": norm.weight.to(hidden.dtype)}, hidden)


def _groups(attention: Any, mask: Bool[Tensor, "x t"], device: torch.device) -> list[_Together]:
    """Which passages' attention is computed together, with the position bias."""
    x, t = mask.shape
    lengths = mask.sum(-1)
    holes = bool((mask[:, 1:] > mask[:, :-1]).any())
    width = t if holes else int(lengths.max())
    bias = attention.compute_bias(width, width)  # (1, h, w, w)
    starts = lengths.cumsum(0) - lengths
    overhead = PADDING.get(device.type, 2000.0)
    buckets = torch.arange(x).split(1) if holes else length_buckets(lengths, overhead=overhead)
    groups = []
    for bucket in buckets:
        first, longest = int(bucket[0]), int(lengths[bucket[0]])
        start, stop = int(starts[first]), int(starts[bucket[-1]] + lengths[bucket[-1]])
        own = mask[first].nonzero().squeeze(1).to(device) if holes else slice(longest)
        own_bias = bias[:, :, own][..., own]  # (1, h, w, w)
        rows = kept = None
        if stop - start < len(bucket) * longest:
            columns = torch.arange(longest)
            kept = columns < lengths[bucket, None]  # (x, w)
            rows = (starts[bucket, None] - start + columns).where(kept, 0).to(device)
            kept = kept.to(device)
            own_bias = own_bias.masked_fill(~kept[:, None, None], float("-inf"))  # (x, h, w, w)
        groups.append(_Together(stop - start, len(bucket), rows, kept, own_bias))
    return groups


def _self_attention(attention: Any, hidden: Tensor, groups: list[_Together], dropout: float) -> Tensor:
    """What every token (n, d) reads in its own passage (n, d)."""
    dropout = dropout if attention.training else 0.0
    heads = groups[0].mask.shape[1]
    projected = (getattr(attention, name)(hidden).unflatten(-1, (heads, -1)) for name in "qkv")  # (n, h, e) each
    sizes = [group.tokens for group in groups]
    read = []
    for group, *parts in zip(groups, *(values.split(sizes) for values in projected), strict=True):
        if group.rows is None:
            parts = [part.unflatten(0, (group.passages, -1)) for part in parts]  # (x, w, h, e)
        else:
            parts = [part[group.rows] for part in parts]
        query, key, value = (part.transpose(1, 2) for part in parts)  # (x, h, w, e)
        mask = group.mask.to(query.dtype)
        got = scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=1.0)
        got = got.transpose(1, 2)  # (x, w, h, e)
        read.append(got.flatten(0, 1) if group.kept is None else got[group.kept])
    return attention.o(torch.cat(read).flatten(1))
