"""What a reader's decoder looks at: the cross-attention of a FiD reader, captured, and aggregated into passage scores.

One encoder pass and one decoder pass, whatever the aggregation (`aggregation`). The hooks on the cross-attentions' q, k
and v projections undo themselves. Knows nothing of tokenizers, files or tables.

Source: FiD-KD (Izacard & Grave 2021), section 3.2, and its released get_crossattention_scores; Atlas (2022), section
2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration

from kit.attention.aggregation import Aggregation, aggregate_layers, named_aggregation, over_heads
from kit.device import evaluation
from kit.types import KitError


class Reader(Protocol):
    """What is asked of a reader here; `kit.FiDReader` is one."""

    t5: T5ForConditionalGeneration

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor: ...

    def decode(self, states: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> Any: ...


def cross_attention_scores(
    reader: Reader,
    input_ids: Int[Tensor, "q k t"],
    attention_mask: Bool[Tensor, "q k t"],
    *,
    aggregation: str | Aggregation = "fid_kd",
    labels: Int[Tensor, "q a"] | None = None,
    question_lengths: Int[Tensor, " q"] | None = None,
) -> Float[Tensor, "q k"]:
    """The scores (q, k) that a reader gives its passages, float32; a passage without tokens: -inf, never NaN.

    `aggregation` is a name in `kit.attention.AGGREGATIONS` or an `Aggregation`; one over all answer tokens needs the
    `labels` (-100 at padding), one without the question's tokens needs their number, `question_lengths`. Dropout is
    off, and no gradient is kept. "fid_kd" logits are not bounded, and T5 does not scale them: look at their spread
    before a softmax.

    Source: FiD-KD, section 3.2. The original gives NaN for a passage without tokens.
    """
    chosen = named_aggregation(aggregation)
    if chosen.answer == "all" and labels is None:
        raise KitError("cross_attention_scores", "labels, for an aggregation over all answer tokens", "none")
    labels = labels if chosen.answer == "all" else None
    with evaluation(reader.t5):
        states = reader.encode(input_ids, attention_mask)
        mask = attention_mask.to(states.device)
        with collected_layers(reader.t5, mask, chosen) as layers:
            reader.decode(states, mask, labels)
        return aggregate_layers(layers, mask, chosen, labels=labels, question_lengths=question_lengths)


@dataclass(frozen=True, eq=False)
class CrossAttention:
    """The cross-attention of a decoder pass, in full, on the CPU: float32, -inf logits and 0 elsewhere at padding.

    >>> logits = torch.zeros(1, 1, 1, 1, 2, 2)  # one layer, question, head and answer token; two passages of two tokens
    >>> logits[..., 1, 1] = -torch.inf  # the second passage has one token only
    >>> lengths, mask = torch.full((1, 1, 1, 2, 2), 3.0), torch.isfinite(logits)[0, :, 0, 0]
    >>> CrossAttention(logits, lengths, mask, None).value_norms.squeeze()
    tensor([[1., 1.],
            [1., 0.]])
    """

    logits: Float[Tensor, "n q h a k t"]
    value_lengths: Float[Tensor, "n q h k t"]  # ||v|| of every passage token
    mask: Bool[Tensor, "q k t"]
    labels: Int[Tensor, "q a"] | None

    @cached_property
    def probabilities(self) -> Float[Tensor, "n q h a k t"]:
        """The softmax of the logits over all the tokens of all the passages."""
        return self.logits.flatten(-2).softmax(-1).view(self.logits.shape)

    @cached_property
    def value_norms(self) -> Float[Tensor, "n q h a k t"]:
        """Probability times ||v||: how much a token can add to what the decoder reads."""
        return self.probabilities * self.value_lengths.unsqueeze(3)

    def scores(
        self, aggregation: str | Aggregation = "fid_kd", *, question_lengths: Int[Tensor, " q"] | None = None
    ) -> Float[Tensor, "q k"]:
        """The scores (q, k), as `cross_attention_scores` gives them."""
        chosen = named_aggregation(aggregation)
        if chosen.answer == "all" and self.labels is None:
            raise KitError("CrossAttention", "labels, for an aggregation over all answer tokens", "none")
        layers = [over_heads(layer, chosen) for layer in getattr(self, chosen.kind)]
        labels = self.labels if chosen.answer == "all" else None
        return aggregate_layers(layers, self.mask, chosen, labels=labels, question_lengths=question_lengths)


def capture_cross_attention(
    reader: Reader,
    input_ids: Int[Tensor, "q k t"],
    attention_mask: Bool[Tensor, "q k t"],
    labels: Int[Tensor, "q a"] | None = None,
) -> CrossAttention:
    """The cross-attention (n, q, h, a, k, t) of each layer, head, answer token and passage token, for looking at.

    Without `labels` the answer is its first token alone (a = 1); with them the decoder is fed the labels. Takes 4 bytes
    for each n*q*h*a*k*t: T5-base with one question, 100 passages of 200 tokens and an answer of 5 tokens is 58 MB, and
    as much again for `probabilities` and for `value_norms`, made when asked for. For scores alone use
    `cross_attention_scores`, which keeps one number for all heads.
    """
    q, k, t = attention_mask.shape
    logits, lengths = [], []

    def see(seen: Seen) -> None:
        values = seen.logits.masked_fill(~mask.view(q, 1, 1, k * t), float("-inf"))  # (q, h, a, k*t)
        logits.append(values.unflatten(-1, (k, t)).cpu())  # (q, h, a, k, t)
        norms = seen.value.float().norm(dim=-1) * mask.view(q, 1, k * t)  # (q, h, k*t)
        lengths.append(norms.unflatten(-1, (k, t)).cpu())  # (q, h, k, t)

    with evaluation(reader.t5):
        states = reader.encode(input_ids, attention_mask)
        mask = attention_mask.to(states.device)
        with observed(reader.t5, see):
            reader.decode(states, mask, labels)
    kept = None if labels is None else labels.cpu()
    return CrossAttention(torch.stack(logits), torch.stack(lengths), mask.cpu(), kept)


@dataclass(frozen=True, eq=False)
class Seen:
    """One cross-attention as it ran."""

    query: Float[Tensor, "q h a e"]
    key: Float[Tensor, "q h s e"]
    value: Float[Tensor, "q h s e"]
    bias: Float[Tensor, "1 h a s"]

    @property
    def logits(self) -> Float[Tensor, "q h a s"]:
        """q.k and the position bias, in float32 even where the reader computes in bfloat16."""
        return self.query.float() @ self.key.float().transpose(-1, -2) + self.bias.float()


@contextmanager
def observed(t5: T5ForConditionalGeneration, see: Callable[[Seen], None]) -> Iterator[None]:
    """Call `see` for each cross-attention that computes keys, layer by layer: in `generate`, the first step alone."""
    handles = []

    def hook(attention: nn.Module) -> None:
        parts: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            def projected(_module: nn.Module, _args: tuple, output: Tensor) -> None:
                parts[name] = output.unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)  # (q, h, x, e)

            return projected

        def ran(_module: nn.Module, _args: tuple, output: tuple) -> None:
            if len(parts) == 3:  # later steps of `generate` take keys and values from the cache
                see(Seen(parts["q"], parts["k"], parts["v"], output[1]))
            parts.clear()

        handles.extend(getattr(attention, name).register_forward_hook(keep(name)) for name in "qkv")
        handles.append(attention.register_forward_hook(ran))

    try:
        for block in t5.decoder.block:
            hook(block.layer[1].EncDecAttention)
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def collected_layers(
    t5: T5ForConditionalGeneration, mask: Bool[Tensor, "q k t"], chosen: Aggregation
) -> Iterator[list[Float[Tensor, "q a k t"]]]:
    """A list that fills, as the decoder runs, with one (q, a, k, t) a layer, its heads aggregated."""
    q, k, t = mask.shape
    layers: list[Tensor] = []

    def see(seen: Seen) -> None:
        values = seen.logits  # (q, h, a, k*t)
        if chosen.kind != "logits":
            values = values.masked_fill(~mask.view(q, 1, 1, k * t), float("-inf")).softmax(-1)
        if chosen.kind == "value_norms":
            values = values * seen.value.float().norm(dim=-1).unsqueeze(2)
        layers.append(over_heads(values.unflatten(-1, (k, t)), chosen))  # (q, a, k, t)

    with observed(t5, see):
        yield layers
