"""The four views of the attention explorer as arrays: a look and a choice in, numbers out.

Bars (k), the map of a passage (n, h), the tokens of a passage for each answer token (a, t). All go through
`kit.attention`'s own aggregation, so that a bar is what `kit.cross_attention_scores` gives. Pure; no bytes, no HTML.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kit.attention.aggregation import aggregate_layers, over_heads
from kit.widgets.attention_choice import Choice
from kit.widgets.attention_look import Look


@dataclass(frozen=True, eq=False)
class Bars:
    """The scores (k) of the passages, -inf without a token that counts, and the weights (k, t) of their tokens."""

    scores: np.ndarray
    weights: np.ndarray  # NaN at padding
    low: float  # of the weights; 0 unless they are logits
    high: float


def bars(look: Look, choice: Choice) -> Bars:
    """What the reader gives each passage, and each of its tokens, by this choice."""
    answers = _answers(look, choice)
    scores, weights = np.zeros(look.sizes[2]), np.zeros(look.mask.shape, dtype=np.float32)
    for answer in answers:
        tokens = _all_tokens(look, choice, answer)  # (k, t)
        row = aggregate_layers(
            [tokens[None, None]], look.mask[None], replace(choice.way, layers=None), question_lengths=_question(look)
        )  # (1, k)
        scores += row[0].numpy() / len(answers)
        weights += tokens.masked_fill(~look.mask, float("nan")).numpy() / len(answers)
    known = weights[look.mask.numpy()]
    return Bars(
        scores.astype(np.float32), weights, float(known.min()) if choice.kind == "logits" else 0.0, float(known.max())
    )


def head_map(look: Look, choice: Choice, passage: int) -> np.ndarray:
    """The score (n, h) that each layer's each head gives the passage; the choice's own layer and head do not matter."""
    answers = _answers(look, choice)
    values = look.passage_values(choice.said, choice.kind, passage)[answers]  # (a, n, h, t)
    a, n, h, t = values.shape
    if not t:
        return np.full((n, h), -np.inf, dtype=np.float32)
    way = replace(choice.way, layers=None, heads=None)
    rows = values.reshape(a * n * h, 1, 1, t)
    mask = torch.ones(1, 1, 1, dtype=torch.bool).expand(a * n * h, 1, t)
    cells = aggregate_layers([rows], mask, way, question_lengths=_question(look).expand(a * n * h))  # (a*n*h, 1)
    return cells.view(a, n, h).mean(0).numpy()


def passage_tokens(look: Look, choice: Choice, passage: int) -> np.ndarray:
    """The weights (a, t) of the passage's own tokens before each answer token; the choice's answer does not matter."""
    values = look.passage_values(choice.said, choice.kind, passage)  # (a, n, h, t)
    picked = values if choice.layer is None else values[:, [choice.layer]]
    layers = [over_heads(layer[:, :, None, None], choice.way)[:, 0, 0] for layer in picked.unbind(1)]  # each (a, t)
    return _over_layers(torch.stack(layers), choice).numpy()


def ranks(scores: np.ndarray) -> np.ndarray:
    """The rank of each score, 1 for the highest; ties keep their order, and what has no score has rank 0.

    >>> ranks(np.array([0.5, np.nan, 2.0])).tolist()
    [2, 0, 1]
    """
    known = np.isfinite(scores)
    order = np.argsort(-np.where(known, scores, -np.inf), kind="stable")
    found = np.empty(len(scores), dtype=np.int64)
    found[order] = np.arange(1, len(scores) + 1)
    return np.where(known, found, 0)


def _all_tokens(look: Look, choice: Choice, answer: int) -> Tensor:
    """The weights (k, t) of all tokens before one answer token; layer by layer, which keeps large tensors apart."""
    numbers = range(look.sizes[0]) if choice.layer is None else [choice.layer]
    way = choice.way
    layers = []
    for number in numbers:
        values = look.layer_values(choice.said, choice.kind, answer, number)  # (h, k, t)
        layers.append(over_heads(values[None, :, None], way)[0, 0])  # (k, t)
    return _over_layers(torch.stack(layers), choice)


def _over_layers(layers: Tensor, choice: Choice) -> Tensor:
    return layers.amax(0) if choice.way.over_layers == "max" else layers.mean(0)


def _answers(look: Look, choice: Choice) -> list[int]:
    count = len(look.answers[choice.said].tokens)
    return list(range(count)) if choice.answer is None else [choice.answer]


def _question(look: Look) -> Tensor:
    return torch.tensor([look.question_length])
