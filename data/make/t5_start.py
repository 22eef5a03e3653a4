"""The toy T5 before its first step: its size, and weights from which reading is learned in minutes instead of hours.

With T5's own initialisation a T5 of this size is slow to learn to copy a name. Here it starts with heads that compare
words, heads that look at the neighbours, and a cross-attention that copies what it
looks at: a start in the sense of mimetic initialisation (Trockman & Kolter 2023), and still to be trained.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

SAME = 0.3  # how alike queries and keys are, where a head compares words
NEIGHBOURS = 1.5  # how strongly the neighbours of a word are added to it
COPY = 0.7  # how much of what it looks at the cross-attention hands on


def initial_t5(
    tokenizer: PreTrainedTokenizerBase, *, seed: int = 0, d_model: int = 128, layers: int = 3, heads: int = 4
) -> T5ForConditionalGeneration:
    """A T5 1.0 (relu, tied embeddings, no dropout) of 2 million parameters for the tokenizer's words.

    >>> from kit.toy.vocabulary import t5_tokenizer
    >>> initial_t5(t5_tokenizer()).config.d_model
    128
    """
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        d_model=d_model,
        d_kv=d_model // heads,
        d_ff=4 * d_model,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        dropout_rate=0.0,
        feed_forward_proj="relu",
        tie_word_embeddings=True,
        decoder_start_token_id=tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    t5 = T5ForConditionalGeneration(config)
    with torch.no_grad():
        _where_to_look(t5.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight)
        for block in t5.encoder.block:
            _compare_and_gather(block.layer[0].SelfAttention, d_model // heads)
        for block in t5.decoder.block:
            attention = block.layer[1].EncDecAttention
            attention.q.weight.copy_(SAME * attention.k.weight)
            nn.init.eye_(attention.v.weight).mul_(COPY)
            nn.init.eye_(attention.o.weight).mul_(COPY)
    return t5


def _where_to_look(bias: torch.Tensor) -> None:
    """The encoder's position bias (32 buckets, heads): 0 and 1 look away from themselves, 2 and 3 at their neighbours.

    Buckets 0 to 15 are the word itself and those before it, 16 to 31 those after it; 8 at a time are exact distances.
    """
    bias.zero_()
    bias[0, :2] = -12.0
    bias[[1, 2, 17, 18], :2] = -4.0
    bias[16:, 0] -= 8.0  # head 0 looks back only
    bias[:, 2:] = -6.0
    bias[:9, 2] = 0.0
    bias[:10, 3] = 0.0
    bias[17:26, 3] = 0.0


def _compare_and_gather(attention: nn.Module, width: int) -> None:
    """The first two heads compare words; the others add a random half of their neighbours to each word."""
    compared = 2 * width
    attention.q.weight[:compared] = SAME * attention.k.weight[:compared]
    attention.q.weight[compared:] *= 0.3
    d_model = attention.v.weight.shape[1]
    basis = torch.linalg.qr(torch.randn(d_model, compared))[0]  # (d, h*e), orthonormal columns
    attention.v.weight[compared:] = basis.T
    attention.o.weight[:, compared:] = NEIGHBOURS * basis
