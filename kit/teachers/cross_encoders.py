"""Teachers that see question and passage in one sequence: BERT_Cat and its kin, and DPR's extractive reader.

Pairs are sorted by length before they are run, so that little padding is computed. Dropout is off, no gradient is kept.
Source: Hofstaetter et al. 2020 (Margin-MSE); Karpukhin et al. 2020 (DPR), section 6; Yang & Seo 2020 (RDR).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kit.checkpoints import load_cross_encoder, load_extractive_reader, load_tokenizer, resolve
from kit.device import evaluation, pick_device, pick_dtype
from kit.reader import Reading
from kit.teachers.scores import looks_squashed, score_cells
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class CrossEncoder:
    """Raw scores of [CLS] question [SEP] passage [SEP]: BERT_Cat (Margin-MSE's teacher) and its kin.

    `model` gives one score (x,) for ids, mask and token types (x, t), as `kit.checkpoints.load_cross_encoder` loads it.
    No sigmoid is ever applied: only margins of scores mean something, and a sigmoid takes them away; a model that puts
    all scores between 0 and 1 by itself is warned about. One BERT pass a passage. A passage with a title is written
    "title text" (MS MARCO's have none) unless `titles` is off; what is longer than `max_tokens` is cut where it is
    longest (BERT_Cat was trained on 30 + 200 tokens). `batch_size` pairs go together.
    Source: Hofstaetter et al. 2020, section 3.
    """

    model: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    name: str = "cross_encoder"
    n_context: int | None = None
    batch_size: int = 64
    max_tokens: int = 512
    titles: bool = True

    def __post_init__(self) -> None:
        _check("CrossEncoder", self.model, self.tokenizer, self.max_tokens, self.batch_size)

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        tokenizer: Any = None,
        **options: Any,
    ) -> CrossEncoder:
        """The cross-encoder of a checkpoint; `options` are the other fields.

        A folder, an archive, a name of `kit.checkpoints.RELEASES` or of the Hugging Face hub. `tokenizer`: one, or
        where to find it, for checkpoints without. `dtype` auto is float32; bfloat16 has steps of 0.03 at a score of 5.
        `max_tokens` is the class's, or as many as the model reads, unless given.
        """
        return _loaded(cls, load_cross_encoder, name_or_dir, device, dtype, tokenizer, options)

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Raw scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            pairs = zip(batch, passages, strict=True)
            return self.score_pairs([(question.text, self._written(p)) for question, found in pairs for p in found])

        sizes = {"n_context": self.n_context, "progress": progress}
        scores = score_cells(self.name, questions, corpus, table, score_batch, **sizes)
        if looks_squashed(scores):
            message = f"all scores of {self.name!r} lie from 0 to 1, as behind a sigmoid: teach with its logits instead"
            warnings.warn(message, stacklevel=2)
        return scores

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " x"]:
        """Raw scores (x,) of (question, passage) texts, in their order."""
        if not pairs:
            return np.empty(0, dtype=np.float32)
        given = self.tokenizer(
            [question for question, _ in pairs],
            [passage for _, passage in pairs],
            truncation="longest_first",
            max_length=self.max_tokens,
            return_token_type_ids=getattr(_config(self.model), "type_vocab_size", 0) > 1,
        )
        rows, types = given["input_ids"], given.get("token_type_ids")
        scores = np.empty(len(rows), dtype=np.float32)
        with evaluation(self.model):
            for batch in _like_lengths(rows, self.batch_size):
                ids, mask = _padded([rows[i] for i in batch], self.tokenizer.pad_token_id, _device(self.model))
                kinds = None if types is None else _padded([types[i] for i in batch], 0, ids.device)[0]
                scores[batch] = self.model(ids, mask, kinds).float().cpu().numpy()
        return _finite(scores, "CrossEncoder")

    def _written(self, passage: Passage) -> str:
        return f"{passage.title} {passage.text}".strip() if self.titles else passage.text


@dataclass(frozen=True, eq=False)
class ExtractiveReader:
    """DPR's extractive reader: the teacher of RDR by its relevance logits, and a reader by its answer spans.

    The score is the logit of P_sel, the reader's choice among a question's passages (their softmax, at temperature 1,
    is that choice). One BERT pass a passage over "[CLS] question [SEP] title [SEP] text", no [SEP] at the end, cut at
    350 tokens, all of one token type; `batch_size` passages go together.
    Source: DPR (Karpukhin et al. 2020), section 6.1; RDR (Yang & Seo 2020); the 350 from DPR's released code.
    """

    model: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    n_context: int | None = None
    batch_size: int = 32
    max_tokens: int = 350
    name: ClassVar[str] = "relevance"

    def __post_init__(self) -> None:
        _check("ExtractiveReader", self.model, self.tokenizer, self.max_tokens, self.batch_size)

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        tokenizer: Any = None,
        **options: Any,
    ) -> ExtractiveReader:
        """The reader of a DPRReader checkpoint ("dpr-reader-nq", a folder, ...); see `CrossEncoder.from_pretrained`."""
        return _loaded(cls, load_extractive_reader, name_or_dir, device, dtype, tokenizer, options)

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Relevance logits (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""
        return self.read(questions, corpus, table, progress=progress).scores

    def read(
        self,
        questions: Sequence[Question],
        corpus: Mapping[str, Passage],
        table: ScoreTable,
        *,
        n_context: int | None = None,
        answer_tokens: int = 10,
        progress: bool = False,
    ) -> Reading:
        """The answers (by question id), and the relevance logits as `score` gives them.

        An answer is the best span, by start plus end logit and at most `answer_tokens` long, of the passage with the
        highest relevance logit, widened to whole words and copied from its text. "" for a question whose passages are
        none or have no words. `n_context` None is the field's.
        """
        answers = {question.id: "" for question in questions}

        def read_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            inputs = self._inputs([q.text for q in batch], passages)
            relevance, spans = self._run(inputs, answer_tokens)
            texts = [passage.text for found in passages for passage in found]
            start = 0
            for question, found in zip(batch, passages, strict=True):
                these = [i for i in range(start, start + len(found)) if spans[i] is not None]
                if these:
                    best = max(these, key=lambda i: relevance[i])
                    answers[question.id] = texts[best][slice(*spans[best])]
                start += len(found)
            return relevance

        context = self.n_context if n_context is None else n_context
        scores = score_cells(self.name, questions, corpus, table, read_batch, n_context=context, progress=progress)
        return Reading(answers, scores)

    def _inputs(self, questions: Sequence[str], passages: Sequence[Sequence[Passage]]) -> list[_Input]:
        pairs = [(question, p) for question, found in zip(questions, passages, strict=True) for p in found]
        cut = {"truncation": True, "max_length": self.max_tokens, "return_token_type_ids": False}
        heads = self.tokenizer([q for q, _ in pairs], [p.title for _, p in pairs], return_token_type_ids=False)
        texts = [p.text for _, p in pairs]
        bodies = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, **cut)
        return [
            _Input([*head, *body][: self.max_tokens], len(head), bodies["offset_mapping"][i], bodies.word_ids(i))
            for i, (head, body) in enumerate(zip(heads["input_ids"], bodies["input_ids"], strict=True))
        ]

    def _run(self, inputs: Sequence[_Input], answer_tokens: int) -> tuple[np.ndarray, list[tuple[int, int] | None]]:
        """The relevance logit (x,) and the best span, in characters of the text, of each input."""
        relevance = np.empty(len(inputs), dtype=np.float32)
        spans: list[tuple[int, int] | None] = [None] * len(inputs)
        with evaluation(self.model):
            for batch in _like_lengths([given.ids for given in inputs], self.batch_size):
                rows = [inputs[i].ids for i in batch]
                ids, mask = _padded(rows, self.tokenizer.pad_token_id, _device(self.model))
                out = self.model(input_ids=ids, attention_mask=mask)
                relevance[batch] = out.relevance_logits.float().cpu().numpy()
                starts, ends = out.start_logits.float().cpu(), out.end_logits.float().cpu()  # (x, t)
                for row, i in enumerate(batch):
                    text = slice(inputs[i].text_starts, len(inputs[i].ids))
                    if len(inputs[i].ids) > inputs[i].text_starts:
                        first, last = best_span(starts[row, text], ends[row, text], longest=answer_tokens)
                        spans[i] = inputs[i].characters(first, last)
        return _finite(relevance, "ExtractiveReader"), spans


class _Input(NamedTuple):
    """A question and a passage as token ids; where its text starts, and each text token's characters and word."""

    ids: list[int]
    text_starts: int
    offsets: list[tuple[int, int]]
    words: list[int]

    def characters(self, first: int, last: int) -> tuple[int, int]:
        """The characters of the text from token `first` to `last`, widened to whole words."""
        while first > 0 and self.words[first - 1] == self.words[first]:
            first -= 1
        while last + 1 < len(self.words) and self.words[last + 1] == self.words[last]:
            last += 1
        return self.offsets[first][0], self.offsets[last][1]


def best_span(start: Float[Tensor, " t"], end: Float[Tensor, " t"], *, longest: int = 10) -> tuple[int, int]:
    """First and last token of the span with the highest start plus end logit, at most `longest` tokens long.

    >>> best_span(torch.tensor([0.0, 5.0, 0.0, 0.0]), torch.tensor([9.0, 0.0, 1.0, 3.0]), longest=2)
    (0, 0)
    >>> best_span(torch.tensor([0.0, 5.0, 0.0, 0.0]), torch.tensor([4.0, 0.0, 1.0, 3.0]), longest=3)
    (1, 3)
    """
    if longest < 1:
        raise KitError("answer_tokens", "at least 1", longest)
    sums = start[:, None] + end[None, :]  # (t, t)
    allowed = torch.ones_like(sums, dtype=torch.bool).triu().tril(longest - 1)
    first, last = divmod(int(sums.masked_fill(~allowed, float("-inf")).argmax()), len(end))
    return first, last


def _like_lengths(rows: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Positions of the rows in batches, longest first: the first batch tells whether the memory suffices."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    return (order[start : start + size] for start in range(0, len(order), size))


def _padded(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
    values = torch.full((len(rows), max(map(len, rows))), pad)
    mask = torch.zeros(values.shape, dtype=torch.bool)
    for number, row in enumerate(rows):
        values[number, : len(row)], mask[number, : len(row)] = torch.tensor(row), True
    return values.to(device), mask.to(device)  # (x, t)


def _finite(scores: np.ndarray, where: str) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise KitError(where, "a model that gives finite scores", scores[~np.isfinite(scores)][0])
    return scores


def _check(where: str, model: nn.Module, tokenizer: Any, max_tokens: int, batch_size: int) -> None:
    """Nothing; `KitError` where the tokenizer or the lengths do not fit the model."""
    config = _config(model)
    if not tokenizer.is_fast:
        raise KitError(f"{where}: tokenizer", "one that tells where its tokens stand (a fast one)", "a slow one")
    if len(tokenizer) > config.vocab_size:
        raise KitError(f"{where}: tokenizer", f"at most the model's {config.vocab_size} tokens", len(tokenizer))
    if not 1 <= max_tokens <= config.max_position_embeddings:
        raise KitError(f"{where}: max_tokens", f"from 1 to the model's {config.max_position_embeddings}", max_tokens)
    if batch_size < 1:
        raise KitError(f"{where}: batch_size", "at least 1", batch_size)


def _config(model: nn.Module) -> Any:
    return model.config if hasattr(model, "config") else model.body.config


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _loaded(
    kind: type[Any],
    load: Callable[[Path], nn.Module],
    name_or_dir: str | Path,
    device: str,
    dtype: str,
    tokenizer: Any,
    options: dict[str, Any],
) -> Any:
    """A teacher of that class from a checkpoint."""
    folder = resolve(name_or_dir)
    place = pick_device(device)
    model = load(folder).to(device=place, dtype=pick_dtype("float32" if dtype == "auto" else dtype, place))
    if tokenizer is None or isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(folder if tokenizer is None else tokenizer)
    longest = min(kind.max_tokens, _config(model).max_position_embeddings)
    return kind(model, tokenizer, **{"max_tokens": longest, **options})
