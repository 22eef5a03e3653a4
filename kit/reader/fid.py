"""The Fusion-in-Decoder reader: each passage encoded by itself, all of a question's passages read by one decoder.

A composition over transformers' T5: its modules and weights, walked through by `kit.reader.encoding` (every passage by
itself) and `kit.reader.decoding` (all of them together); beams and sampling are transformers' own `generate`. Knows
nothing of training or of where passages come from.

Source: Izacard & Grave 2021 (FiD), section 3; FiD-KD (2021), section 3.2, for the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from kit.arguments import instance_of, list_of, whole_number
from kit.attention import Aggregation, named_aggregation
from kit.attention.capture import LayerCollector
from kit.checkpoints.own import check_vocabulary
from kit.device import evaluation, pick_device, pick_dtype
from kit.reader.answer_likelihood import likelihood_of_each, likelihood_without_each
from kit.reader.decoding import Decoding, Observer, check_decoder, fed_ids, greedy_answers
from kit.reader.encoding import encode_passages
from kit.reader.files import load_reader, save_reader, tokenizer_named
from kit.reader.inputs import count_question_tokens, tokenize_passages, tokenize_targets, warn_of_full_windows
from kit.reader.passage_states import PassageStates
from kit.reader.position_bias import has_cross_attention_bias
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class Reading:
    """A reader's answers, by question id, and the scores that it gave the passages it read."""

    answers: dict[str, str]
    scores: ScoreTable


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
        for part in t5.modules():
            if isinstance(part, nn.ReLU):
                part.inplace = True  # its input, the widest tensor there is, is needed by nothing else
        self._tokenizer, self.max_tokens, self.micro_batch = tokenizer, max_tokens, micro_batch
        self._checkpointed = False
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            check_vocabulary(tokenizer, t5.shared.num_embeddings)

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
        """A reader from a kit checkpoint, a T5 1.0 or 1.1, FLAN-T5, mT5, umT5 or an original FiD reader; in eval mode.

        A folder, its .tar.gz, a release ("nq_reader_base": fetched into the cache), or a name on the hub. "auto" is the
        GPU where there is one, and bfloat16 where the GPU has it, else float32 (T5 overflows in float16). A weight that
        is missing, unexpected or misshapen is a `KitError`. An original reader's files hold no tokenizer: T5's is
        fetched when first needed, or give `tokenizer=` a folder of it.
        """
        place = pick_device(device)
        kind = pick_dtype(dtype, place, float16=False)
        t5, own_tokenizer, settings = load_reader(name_or_dir, tokenizer)
        tokens = max_tokens or settings.get("max_tokens", 200)
        check_decoder(t5, encode_passages(t5, (ids := torch.tensor([[[2, 3, 4, 5]]])), ids > 0))
        reader = cls(t5, own_tokenizer, max_tokens=tokens, micro_batch=micro_batch)
        return reader.to(device=place, dtype=kind).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder (safetensors, JSON, tokenizer) that the kit and transformers read; whole or not at all."""
        save_reader(folder, self.t5, self._tokenizer, {"max_tokens": self.max_tokens})

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, fetched now if there was only its name; None for a reader without one."""
        if isinstance(self._tokenizer, str):
            self._tokenizer = tokenizer_named(self._tokenizer)
            check_vocabulary(self._tokenizer, self.t5.shared.num_embeddings)
        return self._tokenizer

    @property
    def device(self) -> torch.device:
        """Where the reader computes."""
        return self.t5.device

    def checkpoint_gradients(self, enabled: bool = True) -> None:
        """Keep few activations for the backward pass and compute the others again: less memory, a third more time."""
        self._checkpointed = bool(enabled)

    def tokenize(
        self, questions: Sequence[str], passages: Sequence[Sequence[Passage]]
    ) -> tuple[Int[Tensor, "q k t"], Bool[Tensor, "q k t"]]:
        """Ids and mask (q, k, t) for `forward`: see `kit.reader.inputs.tokenize_passages`."""
        tokenizer = self.require_tokenizer("tokenize")
        warn_of_full_windows(tokenizer, questions, self.max_tokens)
        return tokenize_passages(tokenizer, questions, passages, max_tokens=self.max_tokens)

    def tokenize_targets(self, texts: Sequence[str], *, max_tokens: int | None = None) -> Int[Tensor, "q a"]:
        """Labels (q, a) for `forward`, each ending in one </s>, then -100."""
        return tokenize_targets(self.require_tokenizer("tokenize_targets"), texts, max_tokens=max_tokens)

    def encode(self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"]) -> PassageStates:
        """The states of all passages, each encoded by itself; `.padded` is FiD's (q, k*t, d)."""
        self._check(input_ids, attention_mask)
        checkpointed = self._checkpointed and self.training and torch.is_grad_enabled()
        return encode_passages(
            self.t5, input_ids, attention_mask, micro_batch=self.micro_batch, checkpointed=checkpointed
        )

    def observe(self, passages: PassageStates, labels: Int[Tensor, "q a"] | None, observer: Observer) -> None:
        """Run the decoder, and call `observer` with each layer's cross-attention.

        Without labels over the answer's first token; see `kit.attention.capture.LayerAttention`.
        """
        Decoding(self.t5, passages, observer=observer).states(fed_ids(self.t5, labels, len(passages.states)))

    def forward(
        self,
        input_ids: Int[Tensor, "q k t"],
        attention_mask: Bool[Tensor, "q k t"],
        labels: Int[Tensor, "q a"] | None = None,
    ) -> Seq2SeqLMOutput:
        """`.loss`, the mean token cross-entropy of the labels (-100: not counted; in float32), `.logits` (q, a, v).

        Without labels: the logits (q, 1, v) of the answer's first token, and no loss.
        """
        passages, loss = self.encode(input_ids, attention_mask), None
        logits = Decoding(self.t5, passages)(fed_ids(self.t5, labels, len(passages.states)))
        if labels is not None:
            loss = cross_entropy(logits.flatten(0, 1).float(), labels.to(self.device).flatten())
        return Seq2SeqLMOutput(loss=loss, logits=logits)

    def generate(
        self,
        input_ids: Int[Tensor, "q k t"],
        attention_mask: Bool[Tensor, "q k t"],
        *,
        max_new_tokens: int = 50,
        min_new_tokens: int = 0,
        **options: Any,
    ) -> Int[Tensor, "q a"]:
        """Answer ids (q, at most 1 + max_new_tokens), greedy: the start token, the answer, </s>, padding.

        With `options` transformers' `generate` answers (`num_beams=4`, `do_sample=True`, ...): slower, and for an
        original FiD reader or a T5 with more decoder layers than encoder layers much slower, for it can keep no cache
        there. Dropout is off.
        """
        with evaluation(self.t5):
            passages = self.encode(input_ids, attention_mask)
            return self.generate_from(passages, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens, **options)

    def generate_from(
        self, passages: PassageStates, *, max_new_tokens: int = 50, min_new_tokens: int = 0, **options: Any
    ) -> Int[Tensor, "q a"]:
        """Answer ids as `generate` gives them, from the states of `encode`."""
        whole_number("generate", "max_new_tokens", max_new_tokens)
        whole_number("generate", "min_new_tokens", min_new_tokens, least=0)
        if options:
            options = {"do_sample": False, "num_beams": 1, "min_new_tokens": min_new_tokens, **options}
            return self._search(passages, max_new_tokens=max_new_tokens, **options)
        with evaluation(self.t5):
            decoding = Decoding(self.t5, passages)
            return greedy_answers(decoding, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens)

    def _search(self, passages: PassageStates, **options: Any) -> Any:
        """What transformers' `generate` gives.

        It keeps no cache where its cache is wrong: it counts the encoder's layers, and not the places of a position
        bias of the cross-attention. So that no version of it computes other numbers unnoticed, its first logits must be
        those of the kit's own decoder.
        """
        t5 = self.t5
        biased = has_cross_attention_bias(t5)
        states = passages.padded if biased else passages.states
        mask = passages.mask.flatten(1) if biased else passages.real
        use_cache = not biased and len(t5.decoder.block) <= len(t5.encoder.block)
        with evaluation(t5):
            check_decoder(t5, passages)
            outputs = BaseModelOutput(last_hidden_state=states.to(t5.dtype))
            return t5.generate(encoder_outputs=outputs, attention_mask=mask, use_cache=use_cache, **options)

    def answers_and_scores(
        self,
        passages: PassageStates,
        *,
        max_new_tokens: int = 50,
        aggregation: str | Aggregation = "fid_kd",
        question_lengths: Int[Tensor, " q"] | None = None,
    ) -> tuple[Int[Tensor, "q a"], Float[Tensor, "q k"]]:
        """Greedy answer ids (q, a) and the passages' scores (q, k): the first step of one decoder run gives these.

        `aggregation` is one over the first answer token (see `kit.attention.AGGREGATIONS`).
        """
        chosen = named_aggregation(aggregation)
        if chosen.answer != "first":
            raise KitError("read", "an aggregation over the first answer token", "one over all answer tokens")
        whole_number("read", "max_new_tokens", max_new_tokens)
        with evaluation(self.t5):
            layers = LayerCollector(chosen)
            decoding = Decoding(self.t5, passages, observer=layers)
            ids = greedy_answers(decoding, max_new_tokens=max_new_tokens)
            return ids, layers.scores(passages, question_lengths=question_lengths)

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
        first answer token (see `kit.attention.AGGREGATIONS`). Raises `KitError` for a reader without a tokenizer, and
        for passages that are not in the corpus.
        """
        tokenizer, chosen = self.require_tokenizer("read"), named_aggregation(aggregation)
        questions = list_of("read", questions, Question, "questions")
        instance_of("read", corpus, Mapping, "a corpus: passages by id")
        instance_of("read", table, ScoreTable, "a kit.ScoreTable")
        whole_number("read", "batch_size", batch_size)
        retrieved = table.select([question.id for question in questions])
        retrieved = retrieved.top(n_context if n_context is not None else max(1, retrieved.values.shape[1]))
        warn_of_full_windows(tokenizer, [question.text for question in questions], self.max_tokens)
        answers: dict[str, str] = {}
        values = torch.full(retrieved.values.shape, float("nan"))
        for start in tqdm(range(0, len(questions), batch_size), desc="reading", disable=not progress):
            batch = questions[start : start + batch_size]
            texts = [question.text for question in batch]
            passages = [_passages_of(question, corpus, retrieved) for question in batch]
            lengths = None if chosen.question else count_question_tokens(tokenizer, texts)
            with evaluation(self.t5):
                states = self.encode(*tokenize_passages(tokenizer, texts, passages, max_tokens=self.max_tokens))
            ids, scores = self.answers_and_scores(
                states, max_new_tokens=max_new_tokens, aggregation=chosen, question_lengths=lengths
            )
            decoded = tokenizer.batch_decode(ids, skip_special_tokens=True)
            answers.update((question.id, text.strip()) for question, text in zip(batch, decoded, strict=True))
            for row, (row_scores, row_passages) in enumerate(zip(scores.cpu(), passages, strict=True), start):
                values[row, torch.tensor(retrieved.mask[row])] = row_scores[: len(row_passages)]
        name = aggregation if isinstance(aggregation, str) else "cross_attention"
        return Reading(answers, ScoreTable(name, retrieved.question_ids, retrieved.passage_ids, values.numpy()))

    def answer_log_likelihood(
        self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"], labels: Int[Tensor, "q a"]
    ) -> Float[Tensor, "q k a"]:
        """log p(answer token | question, that passage alone) (q, k, a): see `kit.reader.answer_likelihood`."""
        with evaluation(self.t5):
            passages = self.encode(input_ids, attention_mask)
        return likelihood_of_each(self.t5, passages, labels, most=self.micro_batch)

    def leave_one_out_log_likelihood(
        self, input_ids: Int[Tensor, "q k t"], attention_mask: Bool[Tensor, "q k t"], labels: Int[Tensor, "q a"]
    ) -> Float[Tensor, "q k a"]:
        """log p(answer token | question, all passages but that one) (q, k, a): see `kit.reader.answer_likelihood`."""
        with evaluation(self.t5):
            passages = self.encode(input_ids, attention_mask)
        return likelihood_without_each(self.t5, passages, labels)

    def require_tokenizer(self, user: str) -> PreTrainedTokenizerBase:
        """The tokenizer. Raises `KitError` for a reader that has none; `user` is who needs it."""
        if self.tokenizer is None:
            hint = "from_pretrained(..., tokenizer='google-t5/t5-base') for the original FiD readers"
            raise KitError(user, f"a reader with a tokenizer: {hint}", "one without")
        return self.tokenizer

    def _check(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Raises `KitError` for input of another shape or kind, and for float16."""
        kind = self.device.type
        autocast = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
        if autocast or self.t5.dtype == torch.float16:
            raise KitError("reader", "float32 or bfloat16 (T5 overflows in float16)", "float16")
        for name, value in (("input_ids", input_ids), ("attention_mask", attention_mask)):
            instance_of("reader", value, Tensor, f"{name} (q, k, t), a tensor")
        if input_ids.ndim != 3 or input_ids.shape != attention_mask.shape or input_ids.numel() == 0:
            shapes = f"{tuple(input_ids.shape)} and {tuple(attention_mask.shape)}"
            raise KitError("reader", "input_ids and attention_mask of one shape (q, k, t)", shapes)
        if attention_mask.dtype != torch.bool:
            raise KitError("reader", "a boolean attention_mask", str(attention_mask.dtype))


def _passages_of(question: Question, corpus: Mapping[str, Passage], retrieved: ScoreTable) -> list[Passage]:
    ids = retrieved.passages_of(question.id)
    missing = [i for i in ids if i not in corpus]
    if missing:
        raise KitError(f"question {question.id!r}", "passages that are in the corpus", repr(missing[0]))
    return [corpus[i] for i in ids]
