"""How cross-attention becomes one score a passage: over heads, layers, passage tokens and answer tokens.

Plain tensors in and out. Knows nothing of models.

Source: FiD-KD (Izacard & Grave 2021), section 3.2 and its ablations; Atlas (2022), section 2.2 and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kit.arguments import named, one_of
from kit.types import KitError

CHOICES = {
    "kind": ("logits", "probabilities", "value_norms"),
    "answer": ("first", "all"),
    "over_heads": ("mean", "max"),
    "over_layers": ("mean", "max"),
    "over_tokens": ("mean", "sum", "max", "top"),
}


@dataclass(frozen=True)
class Aggregation:
    """How cross-attention becomes one score a passage: over heads first, then layers, passage tokens, the answer."""

    kind: str = "logits"  # q.k with the position bias, before the softmax | its softmax | the softmax times ||v||
    answer: str = "first"  # the first answer token (no answer is needed) | the mean over all tokens of the labels
    over_heads: str = "mean"
    over_layers: str = "mean"
    over_tokens: str = "mean"  # over a passage's tokens | "top": the mean of the `top` highest
    top: int = 0
    layers: tuple[int, ...] | None = None  # None: all; negative numbers count from the last
    heads: tuple[int, ...] | None = None
    question: bool = True  # whether the question's tokens, which start every passage, count
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            one_of(f"aggregation, {name}", getattr(self, name), words)
        if (self.over_tokens == "top") != (self.top > 0):
            raise KitError("aggregation, top", "a number above 0 with over_tokens='top' and only then", self.top)


def _atlas() -> dict[str, Aggregation]:
    """Atlas's aggregations, 3 kinds by 7.

    Its 8th, "nosep", is left out: it keeps only the separators instead of leaving them out. Its top-k of logits lets
    the zeros of padding win over negative logits; here only a passage's own tokens are looked at.
    """
    hows: dict[str, dict[str, Any]] = {
        "first": {"answer": "first"},
        "avg": {},
        "sum": {"over_tokens": "sum", "scale": 1 / 256},
        "woquery": {"over_tokens": "sum", "scale": 1 / 256, "question": False},
        **{f"top{top}": {"over_tokens": "top", "top": top} for top in (5, 10, 20)},
    }
    kinds = {"scores": "logits", "probs": "probabilities", "norms": "value_norms"}
    return {
        f"atlas_{short}{how}": Aggregation(**{"kind": kind, "answer": "all", **options})
        for short, kind in kinds.items()
        for how, options in hows.items()
    }


AGGREGATIONS: dict[str, Aggregation] = {
    "fid_kd": Aggregation(),  # the paper's; the next four are its ablations
    "max_tokens": Aggregation(over_tokens="max"),
    "max_heads": Aggregation(over_heads="max"),
    "max_layers": Aggregation(over_layers="max"),
    "all_answer_tokens": Aggregation(answer="all"),
    # how the attention is shared out among the passages: adds up to 1, for each head too
    "attention_share": Aggregation("probabilities", over_tokens="sum"),
    "adist": Aggregation("value_norms", "all", over_tokens="sum", scale=1 / 256),  # Atlas's "evalnormsum"
    **_atlas(),
}


def named_aggregation(aggregation: str | Aggregation) -> Aggregation:
    """The aggregation of that name, or itself."""
    return named("aggregation", aggregation, AGGREGATIONS, Aggregation)


def aggregate_layers(
    layers: list[Float[Tensor, "q a k t"]],
    mask: Bool[Tensor, "q k t"],
    chosen: Aggregation,
    *,
    labels: Int[Tensor, "q a"] | None = None,
    question_lengths: Int[Tensor, " q"] | None = None,
) -> Float[Tensor, "q k"]:
    """The scores (q, k) from all layers, one (q, a, k, t) each with the heads aggregated; -inf where no token counts.

    >>> layer = torch.tensor([[[[1.0, 3.0], [10.0, 0.0]]]])  # 1 question, 1 answer token, 2 passages of 2 tokens
    >>> mask = torch.tensor([[[True, True], [True, False]]])
    >>> aggregate_layers([layer, 2 * layer], mask, AGGREGATIONS["fid_kd"])
    tensor([[ 3., 15.]])
    """
    values = torch.stack(picked(layers, chosen.layers, "layers"))  # (n, q, a, k, t)
    values = values.amax(0) if chosen.over_layers == "max" else values.mean(0)  # (q, a, k, t)
    if not chosen.question:
        if question_lengths is None:
            raise KitError("aggregation without the question", "question_lengths (q,)", "none")
        places = torch.arange(mask.shape[-1], device=mask.device)
        mask = mask & (places >= question_lengths.to(mask.device)[:, None, None])
    values = _over_tokens(values, mask.unsqueeze(1), chosen)  # (q, a, k)
    if labels is None:
        scores = values[:, 0]  # (q, k)
    else:
        real = (labels != -100).to(values.device).unsqueeze(-1)  # (q, a, 1)
        scores = values.masked_fill(~real, 0.0).sum(1) / real.sum(1)  # (q, k)
    return (scores * chosen.scale).masked_fill(~mask.any(-1), float("-inf"))


def over_heads(values: Float[Tensor, "q h ..."], chosen: Aggregation) -> Float[Tensor, "q ..."]:
    if chosen.heads is not None:
        values = torch.stack(picked(list(values.unbind(1)), chosen.heads, "heads"), dim=1)
    return values.amax(1) if chosen.over_heads == "max" else values.mean(1)


def _over_tokens(
    values: Float[Tensor, "q a k t"], mask: Bool[Tensor, "q 1 k t"], chosen: Aggregation
) -> Float[Tensor, "q a k"]:
    count = mask.sum(-1).clamp(min=1)
    if chosen.over_tokens == "max":
        return values.masked_fill(~mask, float("-inf")).amax(-1)
    if chosen.over_tokens == "top":
        top = min(chosen.top, values.shape[-1])
        best = values.masked_fill(~mask, float("-inf")).topk(top, dim=-1).values  # (q, a, k, top)
        # A missing token has probability 0 and counts as that; a missing logit is no number at all.
        counted = count.clamp(max=chosen.top) if chosen.kind == "logits" else chosen.top
        return best.masked_fill(torch.isneginf(best), 0.0).sum(-1) / counted
    total = values.masked_fill(~mask, 0.0).sum(-1)
    return total if chosen.over_tokens == "sum" else total / count


def picked(items: list[Tensor], numbers: tuple[int, ...] | None, what: str) -> list[Tensor]:
    if numbers is None:
        return items
    wrong = [i for i in numbers if not -len(items) <= i < len(items)]
    if wrong or not numbers:
        raise KitError(f"aggregation, {what}", f"numbers from 0 to {len(items) - 1}", numbers)
    return [items[i] for i in numbers]
