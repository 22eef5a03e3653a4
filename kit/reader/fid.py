"""The Fusion-in-Decoder reader: each passage encoded by itself, all of a question's passages read by one decoder.

A composition over transformers' T5: encode (q*k, t), view as (q, k*t, d), hand `encoder_outputs=` to T5. Nothing of T5
is copied or patched. Knows nothing of training or of where passages come from.

Source: Izacard & Grave 2021 (FiD), section 3; FiD-KD (2021), section 3.2, for the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedTokenizerBase, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from kit.attention import Aggregation
from kit.batches import length_buckets, pass_overhead
from kit.device import evaluation, pick_device, pick_dtype
from kit.reader.answer_likelihood import likelihood_of_each, likelihood_without_each
from kit.reader.files import load_reader, save_reader, tokenizer_named
from kit.reader.inputs import tokenize_passages, tokenize_targets
from kit.reader.reading import Reading, read_questions
from kit.types import KitError, Passage, Question, ScoreTable


class FiDReader(nn.Module):
    """A T5 that reads many passages at once. `t5` may be any T5; `max_tokens` is a passage's, question included.

    `micro_batch` bounds the passages of one encoder pass, for memory. `tokenizer`: one of transformers, the name of one
    that is fetched when first needed, or None (ids only).

    >>> from transformers import T5Config
    >>> sizes = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    >>> reader = FiDReader(T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)))
    >>> ids = torch.tensor([[[5, 6, 7], [8, 9, 0]]])  # one question, two passages of three and two tokens
    >>> reader(ids, ids > 0, labels=torch.tensor([[4, 1]])).logits.shape
    torch.Size([1, 2, 20])
    """

    def __init__(
        self,
        t5: T5ForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase | str | None = None,
        *,
        max_tokens: int = 200,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if getattr(t5.config, "decoder_start_token_id", None) is None:
            raise KitError("FiDReader", "a T5 whose config has decoder_start_token_id (0 as a rule)", "one without")
        self.t5 = t5
        self._tokenizer, self.max_tokens, self.micro_batch = tokenizer, max_tokens, micro_batch

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
        max_tokens: int | None = None,
        micro_batch: int | None = None,
    ) -> FiDReader:
        """A reader from a kit checkpoint, a T5 1.0, T5 1.1 or FLAN-T5, or an original FiD reader, in evaluation mode.

        A folder, its .tar.gz, a release ("nq_reader_base": fetched into the cache), or a name on the hub. "auto" is the
        GPU where there is one, and bfloat16 where the GPU has it, else float32 (T5 overflows in float16). A weight that
        is missing, unexpected or misshapen is a `KitError`. An original reader's files hold no tokenizer: T5's is
        fetched when first needed, or give `tokenizer=` a folder of it.
        """
        place = pick_device(device)
        kind = pick_dtype(dtype, place, float16=False)
        t5, words, settings = load_reader(name_or_dir, tokenizer)
        tokens = max_tokens or settings.get("max_tokens", 200)
        return cls(t5.to(device=place, dtype=kind), words, max_tokens=tokens, micro_batch=micro_batch).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder (safetensors, JSON, tokenizer) that the kit and transformers read; whole or not at all."""
        save_reader(folder, self.t5, self._tokenizer, {"max_tokens": self.max_tokens})

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, fetched now if only its name was known; None for a reader without one."""
        if isinstance(self._tokenizer, str):
            self._tokenizer = tokenizer_named(self._tokenizer)
        return self._tokenizer

    @property
    def device(self) -> torch.device:
        """Where the reader computes."""
        return self.t5.device

    def checkpoint_gradients(self, enabled: bool = True) -> None:
        """Keep few activations for the backward pass and compute the others again: less memory, a third more time."""
        turn = "enable" if enabled else "disable"
        if hasattr(self.t5, f"activation_checkpointing_{turn}"):
            getattr(self.t5, f"activation_checkpointing_{turn}")()
        else:  # its name before transformers 5.20 or so
            options = {"gradient_checkpointing_kwargs": {"use_reentrant": False}} if enabled else {}
            getattr(self.t5, f"gradient_checkpointing_{turn}")(**options)

    def tokenize(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]]
    ) -> tuple[Int[Tensor, "q k t"], Bool[Tensor, "q k t"]]:
        """Ids and mask (q, k, t) for `forward`: see `kit.reader.inputs.tokenize_passages`."""
        return tokenize_passages(self.words("tokenize"), questions, passages, max_tokens=self.max_tokens)

    def tokenize_targets(self, texts: Sequence[str], *, max_tokens: int | None = None) -> Int[Tensor, "q a"]:
        """Labels (q, a) for `forward`, each ending in one </s>, then -100."""
        return tokenize_targets(self.words("tokenize_targets"), texts, max_tokens=max_tokens)

    def encode(self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"]) -> Float[Tensor, "q s d"]:
        """The states (q, s, d), s = k*t, of all passages, each encoded by itself; they mean nothing at padding.

        Passages of like length are encoded together, so that little padding is computed.
        """
        q, k, t = self._checked(input_ids, attention_mask)
        ids, mask = input_ids.view(q * k, t), attention_mask.view(q * k, t)  # (x, t)
        lengths = (mask * torch.arange(1, t + 1, device=mask.device)).amax(-1).cpu()  # (x,)
        if (empty := (lengths.view(q, k).amax(1) == 0)).any():
            raise KitError("attention_mask", "a token in every question", f"none in question {int(empty.nonzero()[0])}")
        overhead = pass_overhead(self.t5.config.d_model, self.device)
        buckets = length_buckets(lengths, overhead=overhead, most=self.micro_batch)
        ids, mask = ids.to(self.device), mask.to(self.device)
        if len(buckets) == 1 and len(buckets[0]) == q * k and lengths.max() == t:
            return self.t5.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.view(q, k * t, -1)
        pieces, rows = [], torch.full((q * k, t), -1)  # where each token's state stands in the pieces; -1: nowhere
        for bucket in buckets:
            width, these = int(lengths[bucket[0]]), bucket.to(self.device)
            states = self.t5.encoder(input_ids=ids[these, :width], attention_mask=mask[these, :width]).last_hidden_state
            start, count = sum(map(len, pieces)), len(bucket) * width
            rows[bucket, :width] = torch.arange(start, start + count).view(-1, width)
            pieces.append(states.flatten(0, 1))  # (x*t, d)
        pieces.append(pieces[0].new_zeros(1, pieces[0].shape[-1]))
        return torch.cat(pieces)[rows.to(self.device)].view(q, k * t, -1)

    def decode(
        self,
        states: Float[Tensor, "q s d"],
        attention_mask: Bool[Tensor, "q k t"],
        labels: Int[Tensor, "q a"] | None = None,
        *,
        cache: EncoderDecoderCache | None = None,
    ) -> Seq2SeqLMOutput:
        """The logits (q, a, v) of the answer, fed to the decoder token by token, and the loss: see `forward`."""
        if labels is None:
            given = torch.full((len(states), 1), self.t5.config.decoder_start_token_id, device=self.device)
        else:
            labels = labels.to(self.device)
            given = self.t5.prepare_decoder_input_ids_from_labels(labels)  # (q, a)
        logits = self.t5(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=attention_mask.flatten(1).to(self.device),
            decoder_input_ids=given,
            past_key_values=cache,
            use_cache=cache is not None,
        ).logits
        loss = None if labels is None else cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        return Seq2SeqLMOutput(loss=loss, logits=logits)

    def forward(
        self,
        input_ids: Int[Tensor, "q k t"],
        attention_mask: Bool[Tensor, "q k t"],
        labels: Int[Tensor, "q a"] | None = None,
    ) -> Seq2SeqLMOutput:
        """`.loss`, the mean token cross-entropy of the labels (-100: not counted; in float32), `.logits` (q, a, v).

        Without labels: the logits (q, 1, v) of the answer's first token, and no loss.
        """
        return self.decode(self.encode(input_ids, attention_mask), attention_mask, labels)

    def generate(
        self,
        input_ids: Int[Tensor, "q k t"],
        attention_mask: Bool[Tensor, "q k t"],
        *,
        max_new_tokens: int = 50,
        **options: Any,
    ) -> Int[Tensor, "q a"]:
        """Answer ids (q, at most 1 + max_new_tokens), greedy: the start token, the answer, </s>, padding.

        `options` go to transformers' `generate` (`num_beams=4`, ...). Dropout is off.
        """
        with evaluation(self.t5):
            states = self.encode(input_ids, attention_mask)
            return self.generate_from(states, attention_mask, max_new_tokens=max_new_tokens, **options)

    def generate_from(
        self,
        states: Float[Tensor, "q s d"],
        attention_mask: Bool[Tensor, "q k t"],
        *,
        max_new_tokens: int = 50,
        **options: Any,
    ) -> Int[Tensor, "q a"]:
        """Answer ids as `generate` gives them, from the states of `encode`."""
        self._refuse_float16()
        return self.t5.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=attention_mask.flatten(1).to(self.device),
            # generate's own cache counts the encoder's layers, and fails where the decoder has more.
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            max_new_tokens=max_new_tokens,
            **{"do_sample": False, "num_beams": 1, **options},
        )

    def read(
        self,
        questions: Sequence[Question],
        corpus: Mapping[str, Passage],
        table: ScoreTable,
        *,
        n_context: int | None = None,
        max_new_tokens: int = 50,
        batch_size: int = 8,
        aggregation: str | Aggregation = "fid_kd",
        progress: bool = False,
    ) -> Reading:
        """The answers (by question id) and the scores of the passages read: one encoder pass gives both.

        Reads the `n_context` highest of each question's passages in `table` (all if None), highest first; the scores'
        table holds these, in that order. A question without passages is read by itself. `aggregation` is one over the
        first answer token (see `kit.attention.AGGREGATIONS`).
        """
        self.words("read")
        return read_questions(
            self,
            questions,
            corpus,
            table,
            n_context=n_context,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            aggregation=aggregation,
            progress=progress,
        )

    def answer_log_likelihood(
        self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"], labels: Int[Tensor, "q a"]
    ) -> Float[Tensor, "q k a"]:
        """log p(answer token | question, that passage alone) (q, k, a): see `kit.reader.answer_likelihood`."""
        return likelihood_of_each(self, input_ids, attention_mask, labels, most=self.micro_batch)

    def leave_one_out_log_likelihood(
        self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"], labels: Int[Tensor, "q a"]
    ) -> Float[Tensor, "q k a"]:
        """log p(answer token | question, all passages but that one) (q, k, a): see `kit.reader.answer_likelihood`."""
        return likelihood_without_each(self, input_ids, attention_mask, labels)

    def words(self, wanted_by: str) -> PreTrainedTokenizerBase:
        """The tokenizer; `KitError` for a reader that has none."""
        if self.tokenizer is None:
            hint = "from_pretrained(..., tokenizer='google-t5/t5-base') for the original FiD readers"
            raise KitError(wanted_by, f"a reader with a tokenizer: {hint}", "one without")
        return self.tokenizer

    def _checked(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[int, int, int]:
        """The shape (q, k, t) of the input."""
        self._refuse_float16()
        if input_ids.ndim != 3 or input_ids.shape != attention_mask.shape or input_ids.numel() == 0:
            shapes = f"{tuple(input_ids.shape)} and {tuple(attention_mask.shape)}"
            raise KitError("reader", "input_ids and attention_mask of one shape (q, k, t)", shapes)
        if attention_mask.dtype != torch.bool:
            raise KitError("reader", "a boolean attention_mask", str(attention_mask.dtype))
        return tuple(input_ids.shape)

    def _refuse_float16(self) -> None:
        kind = self.device.type
        autocast = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
        if autocast or self.t5.dtype == torch.float16:
            raise KitError("reader", "float32 or bfloat16 (T5 overflows in float16)", "float16")
