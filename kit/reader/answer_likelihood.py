"""How likely a reader finds an answer with one passage alone, or with some of them: what two kinds of teacher go by.

Every passage is encoded once. Knows nothing of teachers or tables.

Source: Atlas (Izacard et al. 2022), section 2.2: perplexity distillation (PDist) and leave-one-out (LOOP).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import T5ForConditionalGeneration

from kit.device import evaluation
from kit.reader.decoding import Decoding, fed_ids
from kit.reader.passage_states import PassageStates


def likelihood_of_each(
    t5: T5ForConditionalGeneration, passages: PassageStates, labels: Int[Tensor, "q a"], *, most: int | None = None
) -> Float[Tensor, "q k a"]:
    """log p(answer token | question, that passage alone) (q, k, a), float32.

    0 where the label is -100; -inf for a passage without tokens. `most` passages are decoded together, for memory.
    PDist's score is the mean over the answer's tokens. Dropout is off, and no gradient is kept.
    """
    q, k, _ = passages.mask.shape
    labels = labels.to(t5.device)
    with evaluation(t5):
        alone = passages.each_alone()
        result = torch.full((q * k, labels.shape[1]), float("-inf"), device=t5.device)
        nonempty = alone.real.any(-1).nonzero().squeeze(1)  # (x,)
        for part in nonempty.split(most or len(nonempty)):
            result[part] = log_likelihood(Decoding(t5, alone.rows(part)), labels[part // k])
    return result.view(q, k, -1).masked_fill(labels[:, None] == -100, 0.0)


def likelihood_without_each(
    t5: T5ForConditionalGeneration, passages: PassageStates, labels: Int[Tensor, "q a"]
) -> Float[Tensor, "q k a"]:
    """log p(answer token | question, all its passages but that one) (q, k, a), float32.

    0 where the label is -100; NaN where nothing is left to read. LOOP's score is minus the mean over the answer's
    tokens: the less likely the answer becomes, the better the passage.
    """
    return likelihood_of_subsets(t5, passages, labels, ~torch.eye(passages.mask.shape[1], dtype=torch.bool))


def likelihood_of_subsets(
    t5: T5ForConditionalGeneration, passages: PassageStates, labels: Int[Tensor, "q a"], subsets: Bool[Tensor, "s k"]
) -> Float[Tensor, "q s a"]:
    """log p(answer token | question, these of its passages) (q, s, a), float32.

    0 where the label is -100; NaN where nothing is left to read. The passages' keys and values are computed once, and
    a decoder pass for each subset looks at them. Dropout is off, and no gradient is kept.
    """
    t = passages.mask.shape[-1]
    labels = labels.to(t5.device)
    projections: dict[int, tuple[Tensor, Tensor]] = {}
    columns = []
    with evaluation(t5):
        for subset in subsets.to(t5.device):
            kept = subset[passages.places // t]  # (q, n)
            decoding = Decoding(t5, passages, visible=kept, projections=projections)
            left = (kept & passages.real).any(-1, keepdim=True) | (labels == -100)  # (q, a)
            columns.append(log_likelihood(decoding, labels).masked_fill(~left, float("nan")))
    return torch.stack(columns, dim=1)


def log_likelihood(decoding: Decoding, labels: Int[Tensor, "x a"]) -> Float[Tensor, "x a"]:
    """log p of the labels, 0 where they are -100."""
    logits = decoding(fed_ids(decoding.t5, labels))
    picked = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # (x, a)
    return picked.masked_fill(labels == -100, 0.0)
