"""What a reader's decoder looks at: its cross-attention, captured, and aggregated into passage scores.

One encoder pass and one decoder pass, whatever the aggregation (`aggregation`). Knows nothing of tokenizers, files or
tables.

Source: FiD-KD (Izacard & Grave 2021), section 3.2, and its released get_crossattention_scores; Atlas (2022), section
2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kit.attention.aggregation import Aggregation, aggregate_layers, named_aggregation, over_heads
from kit.device import evaluation
from kit.types import KitError

if TYPE_CHECKING:
    from kit.reader import FiDReader
    from kit.reader.passage_states import PassageStates


def cross_attention_scores(
    reader: FiDReader,
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
    before a softmax. Raises `KitError` if a score is not a number, as with damaged weights.

    Source: FiD-KD, section 3.2. The original gives NaN for a passage without tokens.
    """
    chosen = named_aggregation(aggregation)
    if chosen.answer == "all" and labels is None:
        raise KitError("cross_attention_scores", "labels, for an aggregation over all answer tokens", "none")
    labels = labels if chosen.answer == "all" else None
    with evaluation(reader.t5):
        passages = reader.encode(input_ids, attention_mask)
        layers = LayerCollector(chosen)
        reader.observe(passages, labels, layers)
        return layers.scores(passages, labels=labels, question_lengths=question_lengths)


@dataclass(frozen=True, eq=False)
class AttentionRecord:
    """The cross-attention of a decoder pass, in full, on the CPU: float32, -inf logits and 0 elsewhere at padding.

    >>> logits = torch.zeros(1, 1, 1, 1, 2, 2)  # one layer, question, head and answer token; two passages of two tokens
    >>> logits[..., 1, 1] = -torch.inf  # the second passage has one token only
    >>> lengths, mask = torch.full((1, 1, 1, 2, 2), 3.0), torch.isfinite(logits)[0, :, 0, 0]
    >>> AttentionRecord(logits, lengths, mask, None).value_norms.squeeze()
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
            raise KitError("AttentionRecord", "labels, for an aggregation over all answer tokens", "none")
        layers = [over_heads(layer, chosen) for layer in getattr(self, chosen.kind)]
        labels = self.labels if chosen.answer == "all" else None
        return aggregate_layers(layers, self.mask, chosen, labels=labels, question_lengths=question_lengths)


def capture_cross_attention(
    reader: FiDReader,
    input_ids: Int[Tensor, "q k t"],
    attention_mask: Bool[Tensor, "q k t"],
    labels: Int[Tensor, "q a"] | None = None,
) -> AttentionRecord:
    """The cross-attention (n, q, h, a, k, t) of each layer, head, answer token and passage token, for looking at.

    Without `labels` the answer is its first token alone (a = 1); with them the decoder is fed the labels. Takes 4 bytes
    for each n*q*h*a*k*t: T5-base with one question, 100 passages of 200 tokens and an answer of 5 tokens is 58 MB, and
    as much again for `probabilities` and for `value_norms`, computed when first needed. For scores alone use
    `cross_attention_scores`, which keeps one number for all heads.
    """
    with evaluation(reader.t5):
        return record_attention(reader, reader.encode(input_ids, attention_mask), labels)


def record_attention(
    reader: FiDReader, passages: PassageStates, labels: Int[Tensor, "q a"] | None = None
) -> AttentionRecord:
    """The same from the states of `FiDReader.encode`; for evaluation mode."""
    logits, lengths = [], []

    def keep(layer: LayerAttention) -> None:
        logits.append(passages.spread(layer.logits, float("-inf")).cpu())  # (q, h, a, k, t)
        lengths.append(passages.spread(layer.value_lengths).cpu())  # (q, h, k, t)

    reader.observe(passages, labels, keep)
    kept = None if labels is None else labels.cpu()
    return AttentionRecord(torch.stack(logits), torch.stack(lengths), passages.mask.cpu(), kept)


@dataclass(frozen=True, eq=False)
class LayerAttention:
    """One layer's cross-attention, as a decoder computes it, over the tokens (s) of all of a question's passages."""

    logits: Float[Tensor, "q h a s"]  # float32; -inf at padding
    states: Float[Tensor, "q s d"]
    value_weight: Float[Tensor, "h e d"]

    @property
    def probabilities(self) -> Float[Tensor, "q h a s"]:
        """The softmax of the logits."""
        return self.logits.softmax(-1)

    @property
    def value_lengths(self) -> Float[Tensor, "q h s"]:
        """||v|| of every token."""
        values = torch.einsum("qsd,hed->qhse", self.states, self.value_weight)
        return values.float().norm(dim=-1)


@dataclass
class LayerCollector:
    """A decoder's observer that keeps one number a layer, answer token and passage token: the heads aggregated."""

    chosen: Aggregation
    layers: list[Float[Tensor, "q a s"]] = field(default_factory=list)

    def __call__(self, layer: LayerAttention) -> None:
        values = layer.logits if self.chosen.kind == "logits" else layer.probabilities
        if self.chosen.kind == "value_norms":
            values = values * layer.value_lengths.unsqueeze(2)
        self.layers.append(over_heads(values, self.chosen))

    def scores(
        self,
        passages: PassageStates,
        *,
        labels: Int[Tensor, "q a"] | None = None,
        question_lengths: Int[Tensor, " q"] | None = None,
    ) -> Float[Tensor, "q k"]:
        """The scores (q, k). Raises `KitError` if one is not a number."""
        layers = [passages.spread(layer) for layer in self.layers]  # (q, a, k, t)
        scores = aggregate_layers(layers, passages.mask, self.chosen, labels=labels, question_lengths=question_lengths)
        if scores.isnan().any():
            raise KitError("reader", "weights that give its passages scores", "NaN scores")
        return scores
