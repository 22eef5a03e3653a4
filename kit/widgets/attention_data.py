"""What the attention explorer gives its page: facts of a question, its attention whole, or one view of it.

Whole, if it is small: then the page computes every view by itself (js/attention_numbers.js does what
`kit.attention.views` does). Of a large reader the page asks for a view, and for one passage in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.attention import AGGREGATIONS, Aggregation
from kit.attention.views import head_scores, passage_scores, passage_weights, token_weights
from kit.metrics import exact_match
from kit.reader.question_attention import QuestionAttention
from kit.types import ScoreTable

WHOLE = 200_000  # cells of attention, at most, that go to the page whole: 2 bytes each
STEPS = 8_191  # between the lowest logit of a head and the highest: shares are right to a hundredth of themselves
SHADES = 63  # steps between the lowest weight of a token and the highest: 100 passages of 250 tokens stay below 25 kB
LABELS = {
    "attention_share": "share of attention",
    "fid_kd": "FiD-KD: mean logit",
    "max_tokens": "FiD-KD, highest token",
    "max_heads": "FiD-KD, highest head",
    "max_layers": "FiD-KD, highest layer",
    "all_answer_tokens": "FiD-KD, all answer tokens",
    "adist": "Atlas: ADist",
}
ATLAS = {"scores": "logits", "probs": "probabilities", "norms": "value norms"}
ATLAS_OVER = {"first": "mean, first answer token", "avg": "mean", "sum": "sum", "woquery": "sum without the question"}


def label_of(name: str) -> str:
    """An aggregation in words.

    >>> label_of("atlas_probstop5")
    'Atlas, probabilities: mean of the 5 highest'
    """
    if name in LABELS or not name.startswith("atlas_"):
        return LABELS.get(name, name)
    kind = next(kind for kind in ATLAS if name.startswith(f"atlas_{kind}"))
    over = name.removeprefix(f"atlas_{kind}")
    return f"Atlas, {ATLAS[kind]}: {ATLAS_OVER.get(over) or f'mean of the {over[3:]} highest'}"


def preset(name: str) -> dict[str, Any]:
    """The kind and the answer token that an aggregation is defined with.

    >>> preset("adist")
    {'kind': 'value_norms', 'answer': None}
    """
    chosen = AGGREGATIONS[name]
    return {"kind": chosen.kind, "answer": 0 if chosen.answer == "first" else None}


def aggregation_of(request: Mapping[str, Any]) -> Aggregation:
    """How the attention becomes scores by a request's aggregation, kind, layer and head."""
    one = {f"{name}s": None if request[name] is None else (request[name],) for name in ("layer", "head")}
    return replace(AGGREGATIONS[request["aggregation"]], kind=request["kind"], **one)


def question_facts(attended: QuestionAttention, gold: set[str], others: Mapping[str, ScoreTable]) -> dict[str, Any]:
    """What the page knows of a question: texts, tokens, other tables' scores, and its attention if that is small."""
    words = list(dict.fromkeys(word for tokens in attended.tokens for word in tokens))
    numbers = {word: number for number, word in enumerate(words)}
    question, generated = attended.question, attended.answers["generated"]
    kept = generated.record.mask[0]
    whole = sum(one.record.logits.numel() for one in attended.answers.values()) <= WHOLE
    ids = [passage.id for passage in attended.passages]
    shown = ScoreTable("shown", [question.id], [ids], [[0.0] * len(ids)])
    return {
        "id": question.id, "text": question.text, "accepted": list(question.answers), "words": words,
        "right": exact_match(generated.text, list(question.answers)) if question.answers else None,
        "passages": [
            {"id": passage.id, "title": passage.title or passage.id, "gold": passage.id in gold}
            for passage in attended.passages
        ],
        "lengths": np.array([len(tokens) for tokens in attended.tokens], dtype=np.int32),
        "tokens": np.array([numbers[word] for tokens in attended.tokens for word in tokens], dtype=np.uint16),
        "question_length": attended.question_length,
        "answers": {
            name: {
                "text": one.text, "tokens": list(one.tokens),
                "logits": _steps(one.record.logits[:, 0], kept) if whole else None,
            }
            for name, one in attended.answers.items()
        },
        "value_lengths": _steps(generated.record.value_lengths[:, 0], kept) if whole else None,
        "others": [{"name": name, "values": table.aligned_to(shown).values[0]} for name, table in others.items()],
    }  # fmt: skip


def view_of(attended: QuestionAttention, request: Mapping[str, Any]) -> dict[str, Any]:
    """The scores (a, k) of all passages and the weights (s) of their tokens, as shades between `low` and `high`."""
    record, answer = attended.answers[request["said"]].record, request["answer"]
    chosen = aggregation_of(request)
    weights = token_weights(record, chosen)  # (a, k, t)
    scores = passage_scores(record, chosen, weights, attended.question_length)
    shown = _own_tokens(weights.mean(0) if answer is None else weights[answer], record.mask[0])  # (s)
    low = float(shown.min()) if request["kind"] == "logits" else 0.0
    span = max(float(shown.max()) - low, 1e-30)
    share = (shown - low) / span if request["kind"] == "logits" else np.sqrt((shown - low) / span)
    return {
        "scores": _finite(scores), "weights": np.rint(SHADES * share).astype(np.uint8), "shades": SHADES,
        "low": low, "high": low + span,
    }  # fmt: skip


def passage_of(attended: QuestionAttention, request: Mapping[str, Any]) -> dict[str, Any]:
    """One passage in a view: the map (n, h) of its score by layer and head, and its tokens' weights (a, t)."""
    record, passage, answer = attended.answers[request["said"]].record, request["passage"], request["answer"]
    chosen = aggregation_of(request)
    cells = head_scores(record, replace(chosen, layers=None, heads=None), passage, attended.question_length)
    weights = passage_weights(record, chosen, passage)  # (a, t)
    return {"map": _finite(cells.mean(0) if answer is None else cells[answer]), "tokens": weights.float().numpy()}


def _steps(values: Tensor, mask: Tensor) -> dict[str, Any]:
    """The values (..., k, t) of the passages' own tokens (..., s), each row in 8,191 steps from its lowest."""
    own = _own_tokens(values, mask)
    low = own.min(-1, keepdims=True)
    step = np.maximum(own.max(-1, keepdims=True) - low, 1e-6) / STEPS
    return {"steps": np.rint((own - low) / step).astype(np.uint16), "low": low.ravel(), "step": step.ravel()}


def _own_tokens(values: Tensor, mask: Tensor) -> np.ndarray:
    """The values (..., k, t) without padding (..., s), passage behind passage."""
    return values[..., mask].float().numpy()


def _finite(scores: Tensor) -> np.ndarray:
    """What has no score (-inf) as NaN."""
    return torch.where(torch.isfinite(scores), scores, float("nan")).float().numpy()
