"""One question's attention from four sides: answer tokens, passages, passage tokens, layers and heads.

All of it is the library's own aggregation, so that a score here is what `kit.cross_attention_scores` gives. Takes an
`AttentionRecord` of one question.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from kit.attention.aggregation import Aggregation, aggregate_layers, over_heads, picked
from kit.attention.capture import AttentionRecord


def token_weights(record: AttentionRecord, chosen: Aggregation) -> Float[Tensor, "a k t"]:
    """The weight of each passage token before each answer token, heads and layers aggregated; NaN at padding."""
    weights = _aggregated(getattr(record, chosen.kind)[:, 0], chosen)
    return weights.masked_fill(~record.mask[0], float("nan"))


def passage_scores(
    record: AttentionRecord, chosen: Aggregation, weights: Float[Tensor, "a k t"], question_length: int
) -> Float[Tensor, "a k"]:
    """The passages' scores before each answer token, from `token_weights`; -inf for a passage without a token."""
    a, k, t = weights.shape
    whole = replace(chosen, layers=None, heads=None, answer="first")
    lengths = torch.full((a,), question_length)
    rows = weights.nan_to_num(nan=0.0)[:, None]  # (a, 1, k, t)
    return aggregate_layers([rows], record.mask.expand(a, k, t), whole, question_lengths=lengths)


def passage_weights(record: AttentionRecord, chosen: Aggregation, passage: int) -> Float[Tensor, "a t"]:
    """The same for one passage's own tokens."""
    return _aggregated(getattr(record, chosen.kind)[:, 0, :, :, passage, record.mask[0, passage]], chosen)


def head_scores(
    record: AttentionRecord, chosen: Aggregation, passage: int, question_length: int
) -> Float[Tensor, "a n h"]:
    """The score that each layer's each head gives one passage before each answer token."""
    kept = record.mask[0, passage]
    values = getattr(record, chosen.kind)[:, 0, :, :, passage, kept]  # (n, h, a, t)
    n, h, a, t = values.shape
    if not t:
        return torch.full((a, n, h), float("-inf"))
    whole = replace(chosen, layers=None, heads=None, answer="first")
    mask, lengths = torch.ones(n * h * a, 1, t, dtype=torch.bool), torch.full((n * h * a,), question_length)
    scores = aggregate_layers([values.reshape(n * h * a, 1, 1, t)], mask, whole, question_lengths=lengths)
    return scores.view(n, h, a).permute(2, 0, 1)


def _aggregated(values: Float[Tensor, "n h ..."], chosen: Aggregation) -> Float[Tensor, ...]:
    layers = [over_heads(layer[None], chosen)[0] for layer in picked(list(values), chosen.layers, "layers")]
    return torch.stack(layers).amax(0) if chosen.over_layers == "max" else torch.stack(layers).mean(0)
