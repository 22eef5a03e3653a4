"""Why a passage has its score: the share of each of its tokens, exact where the passage's vector is a mean of tokens.

q . mean(p_t) = mean(q . p_t), so that a mean-pooled student's score is a sum over the passage's tokens. What each p_t
says is of its context: a token's share is what stands at its place, not what the word means alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from kit.device import evaluation
from kit.encoder.dual import DualEncoder
from kit.types import KitError, Passage


class TokenScores(NamedTuple):
    """A passage's tokens, and what each adds to the passage's score (t,)."""

    tokens: tuple[str, ...]
    scores: Float[np.ndarray, " t"]


def token_scores(encoder: DualEncoder, question: str, passages: Sequence[Passage]) -> list[TokenScores]:
    """Of each passage its tokens, and what each adds (t,): their sum is the passage's score, as `encoder.score` has it.

    Padding is among the tokens where the family does not apply the mask. Vectors of length 1 are a mean divided by its
    length, and so are the tokens' shares. Raises `KitError` for a family whose passage vector is its first token's
    state: there a score has no such parts.

    >>> from transformers import BertConfig
    >>> from kit.toy.vocabulary import bert_tokenizer
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> encoder = DualEncoder.from_config(BertConfig(vocab_size=len(bert_tokenizer()), **sizes), bert_tokenizer())
    >>> paris = Passage("1", "paris", "paris is the capital of france .")
    >>> (tokens, scores), = token_scores(encoder, "where is paris ?", [paris])
    >>> question, passage = encoder.encode_questions(["where is paris ?"]), encoder.encode_passages([paris])
    >>> len(tokens) == len(scores), bool(abs(scores.sum() - question @ passage.T * encoder.scale) < 1e-5)
    (True, True)
    """
    family = encoder.family
    if family.pooling != "mean":
        raise KitError("token_scores", "an encoder that takes the mean over tokens", f"pooling {family.pooling!r}")
    ids, mask = encoder.tokenize_passages(passages)
    pooled = mask if family.passage_mask else torch.ones_like(mask)  # (x, t)
    with evaluation(encoder):
        vector = encoder.embed(*encoder.tokenize_questions([question]))[0].float()  # (d,)
        states = encoder.token_states(ids, pooled, side="passage").float()  # (x, t, d)
    parts = states * (pooled / pooled.sum(1, keepdim=True)).unsqueeze(-1)  # (x, t, d): their sum is the mean
    if family.normalized:
        parts = parts / parts.sum(1, keepdim=True).norm(dim=-1, keepdim=True)
    scores = (parts @ vector * encoder.scale).cpu()  # (x, t)
    words = [encoder.tokenizer.convert_ids_to_tokens(row[kept].tolist()) for row, kept in zip(ids, pooled, strict=True)]
    return [
        TokenScores(tuple(tokens), row[kept].numpy())
        for tokens, row, kept in zip(words, scores, pooled.cpu(), strict=True)
    ]
