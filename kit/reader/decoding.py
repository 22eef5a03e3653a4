"""The decoder of a reader at work: T5's own modules, a cache, and a position that is counted here.

What a head looks for is linear in the encoder's states: q.(W h) = (W'q).h, and what it reads is W (sum of p h). So
one short query a head goes to the states as they are, and the passages' keys and values, thousands of tokens in every
layer, are never computed. Where an answer has more tokens than a head has numbers, or many decoder passes read the same
passages, keys and values cost less, and are computed. Knows nothing of words or of how passages were encoded.

Source: Raffel et al. 2020 (T5), section 2.1; the position bias of the cross-attention: transformers 3.0.2, T5Attention,
dropped by huggingface/transformers#8518.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers import T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from kit.attention.capture import LayerAttention
from kit.device import evaluation
from kit.reader.passage_states import PassageStates
from kit.types import KitError

Observer = Callable[[LayerAttention], None]


class Decoding:
    """A decoder that goes on token by token: call it with the next ids (q, a) for their logits (q, a, v).

    `observer` is called with each layer's cross-attention of each call. `visible` (q, s) hides tokens of the passages.
    `projections`, a dict, holds their keys and values by layer, for several decoders to share.
    """

    def __init__(
        self,
        t5: T5ForConditionalGeneration,
        passages: PassageStates,
        *,
        observer: Observer | None = None,
        visible: Bool[Tensor, "q s"] | None = None,
        projections: dict[int, tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.t5, self.passages, self.observer, self.projections = t5, passages, observer, projections
        self.visible = passages.real if visible is None else passages.real & visible
        self.position = 0
        self._past: dict[int, tuple[Tensor, Tensor]] = {}
        self._tables: dict[nn.Module, Tensor] = {}

    def __call__(self, ids: Int[Tensor, "q a"]) -> Float[Tensor, "q a v"]:
        hidden = self.states(ids)
        if getattr(self.t5.config, "scale_decoder_outputs", False):  # T5 1.0, whose output weights are the embeddings
            hidden = hidden * self.t5.config.d_model**-0.5
        return self.t5.lm_head(hidden.to(self.t5.lm_head.weight.dtype))

    def states(self, ids: Int[Tensor, "q a"]) -> Float[Tensor, "q a d"]:
        """The states of the next ids, without their logits: enough where only the attention is observed."""
        decoder: Any = self.t5.decoder
        hidden = decoder.dropout(decoder.embed_tokens(ids))
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        bias: Any = None
        cross_bias = None
        for number, block in enumerate(decoder.block):
            self_layer, *cross_layers, feed_forward = block.layer
            attention = self_layer.SelfAttention
            if hasattr(attention, "relative_attention_bias"):  # T5's first block alone, all of umT5's
                bias = self._causal_bias(attention, ids.shape[1])
            read = self._read_answer(number, attention, self_layer.layer_norm(hidden), bias)
            hidden = hidden + self_layer.dropout(read)
            for layer in cross_layers:
                attention = layer.EncDecAttention
                if hasattr(attention, "relative_attention_bias"):  # an original FiD reader's first block
                    cross_bias = self._passage_bias(attention, ids.shape[1])
                read = self._read_passages(number, attention, layer.layer_norm(hidden), cross_bias)
                hidden = hidden + layer.dropout(read)
            hidden = feed_forward(hidden)
        self.position += ids.shape[1]
        return decoder.dropout(decoder.final_layer_norm(hidden))

    def keep(self, rows: Int[Tensor, " x"]) -> None:
        """Go on with these questions alone."""
        self.passages, self.visible = self.passages.rows(rows), self.visible[rows]
        self._past = {number: (key[rows], value[rows]) for number, (key, value) in self._past.items()}
        if self.projections is not None:
            self.projections = {number: (key[rows], value[rows]) for number, (key, value) in self.projections.items()}

    def _read_answer(self, number: int, attention: Any, hidden: Tensor, bias: Tensor) -> Tensor:
        """What the new tokens (q, a, d) read in the answer so far."""
        query, key, value = (self._heads(getattr(attention, name)(hidden)) for name in "qkv")  # (q, h, a, e)
        if number in self._past:
            key, value = (torch.cat(pair, dim=2) for pair in zip(self._past[number], (key, value), strict=True))
        self._past[number] = key, value
        weights = self._softmax(query @ key.mT + bias, attention).to(value.dtype)
        return attention.o((weights @ value).transpose(1, 2).flatten(2))

    def _read_passages(self, number: int, attention: Any, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """What the new tokens (q, a, d) read in the passages."""
        states = self.passages.states
        query = self._heads(attention.q(hidden)).to(states.dtype)  # (q, h, a, e)
        h, a, e = query.shape[1:]
        key_weight, value_weight = (
            getattr(attention, name).weight.to(states.dtype).view(h, e, -1) for name in "kv"
        )  # (h, e, d)
        projected = self._keys_and_values(number, attention, a > e)
        if projected is None:
            looked_for = (query @ key_weight).flatten(1, 2)  # W'q: (q, h*a, d)
            logits = (looked_for @ states.mT).unflatten(1, (h, a))  # (q, h, a, s)
        else:
            logits = query @ projected[0].mT
        if bias is not None:
            logits = logits + bias
        logits = logits.masked_fill(~self.visible[:, None, None], float("-inf"))
        if self.observer is not None:
            self.observer(LayerAttention(logits.float(), states, value_weight))
        weights = self._softmax(logits, attention)
        if projected is None:
            read = (weights.flatten(1, 2) @ states).unflatten(1, (h, a)) @ value_weight.mT  # (q, h, a, e)
        else:
            read = weights.to(projected[1].dtype) @ projected[1]
        return attention.o(read.transpose(1, 2).flatten(2).to(attention.o.weight.dtype))

    def _keys_and_values(self, number: int, attention: Any, long: bool) -> tuple[Tensor, Tensor] | None:
        """The keys and values (q, h, s, e) of the passages, where they are worth their cost."""
        if self.projections is None and not long:
            return None
        kept = {} if self.projections is None else self.projections
        if number not in kept:
            states = self.passages.states
            key, value = (
                self._heads(nn.functional.linear(states, getattr(attention, name).weight.to(states.dtype)))
                for name in "kv"
            )
            kept[number] = key, value
        return kept[number]

    def _causal_bias(self, attention: Any, count: int) -> Float[Tensor, "1 h a n"]:
        """The position bias of `count` new tokens over the n so far, -inf at later ones."""
        stop = self.position + count
        later = torch.ones(count, stop, dtype=torch.bool, device=self.t5.device).triu(self.position + 1)
        return self._table(attention, stop)[:, :, self.position : stop, :stop].masked_fill(later, float("-inf"))

    def _passage_bias(self, attention: Any, count: int) -> Float[Tensor, "q h a s"]:
        """The bias of `count` new tokens over the passages' tokens, which count with their padding, over all k*t.

        Only places before the new token's position in the answer have a bucket other than 0.
        """
        table = self._table(attention, self.position + count)[0]  # (h, n, n)
        places = self.passages.places.clamp(max=table.shape[-1] - 1)  # (q, s)
        return table[:, self.position : self.position + count][..., places].permute(2, 0, 1, 3)

    def _table(self, attention: Any, least: int) -> Float[Tensor, "1 h n n"]:
        """The bias of n tokens over n tokens, n at least `least`."""
        table = self._tables.get(attention)
        if table is None or table.shape[-1] < least:
            size = least if table is None else max(least, 2 * table.shape[-1])
            table = self._tables[attention] = attention.compute_bias(size, size)
        return table

    def _softmax(self, logits: Tensor, attention: Any) -> Tensor:
        weights = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        return dropout(weights, self.t5.config.dropout_rate, attention.training)

    def _heads(self, projected: Float[Tensor, "q a i"]) -> Float[Tensor, "q h a e"]:
        return projected.unflatten(-1, (self.t5.config.num_heads, -1)).transpose(1, 2)


def check_decoder(t5: T5ForConditionalGeneration, passages: PassageStates) -> None:
    """Raises `KitError` if transformers' own T5, without a cache, has other logits for three answer tokens."""
    with evaluation(t5):
        start = torch.full((len(passages.states), 3), t5.config.decoder_start_token_id, device=t5.device)
        outputs = BaseModelOutput(last_hidden_state=passages.padded.to(t5.dtype))
        mask = passages.mask.flatten(1)
        theirs = t5(encoder_outputs=outputs, attention_mask=mask, decoder_input_ids=start, use_cache=False).logits
        ours = Decoding(t5, passages)(start)
    difference = float((theirs.float() - ours.float()).abs().max())
    if not difference <= (1e-3 if t5.dtype == torch.float32 else 0.1) * float(ours.abs().max()):
        wanted = "a T5 that computes as the kit's decoder does (transformers 5.0 to 5.24 do)"
        raise KitError(f"transformers {transformers.__version__}", wanted, f"logits that differ by {difference:.2g}")


def fed_ids(
    t5: T5ForConditionalGeneration, labels: Int[Tensor, "q a"] | None, questions: int = 0
) -> Int[Tensor, "q a"]:
    """What the decoder is fed to predict the labels: the start token, and the labels but the last.

    Without labels: the start token alone, for `questions` answers.
    """
    if labels is None:
        return torch.full((questions, 1), t5.config.decoder_start_token_id, device=t5.device)
    labels = labels.to(t5.device)
    start = labels.new_full((len(labels), 1), t5.config.decoder_start_token_id)
    return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == -100, t5.config.pad_token_id or 0)], dim=1)


def greedy_answers(decoding: Decoding, *, max_new_tokens: int, min_new_tokens: int = 0) -> Int[Tensor, "q a"]:
    """Answer ids (q, at most 1 + max_new_tokens): the start token, the likeliest next ones, </s>, padding.

    A question whose answer has ended is not decoded any further. `decoding` observes the first step alone.
    """
    config, device = decoding.t5.config, decoding.t5.device
    ends = torch.tensor([config.eos_token_id] if isinstance(config.eos_token_id, int) else config.eos_token_id or [-1])
    ends, q = ends.to(device), len(decoding.passages.states)
    ids = torch.full((q, 1 + max_new_tokens), config.pad_token_id or 0, device=device)
    ids[:, 0] = config.decoder_start_token_id
    going = torch.arange(q, device=device)
    for step in range(max_new_tokens):
        logits = decoding(ids[going, step : step + 1])[:, -1].float()  # (x, v)
        decoding.observer = None
        if step < min_new_tokens:
            logits[:, ends[ends >= 0]] = float("-inf")
        chosen = logits.argmax(-1)  # (x,)
        ids[going, step + 1] = chosen
        open_ones = (~torch.isin(chosen, ends)).nonzero().squeeze(1)
        if len(open_ones) == 0:
            return ids[:, : step + 2]
        if len(open_ones) < len(going):
            going = going[open_ones]
            if step + 1 < max_new_tokens:
                decoding.keep(open_ones)
    return ids
