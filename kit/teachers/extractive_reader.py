"""DPR's extractive reader: the teacher of RDR by its relevance logits, and a reader by its answer spans.

Source: Karpukhin et al. 2020 (DPR), section 6; Yang & Seo 2020 (RDR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.checkpoints import load_extractive_reader
from kit.device import evaluation
from kit.reader import Reading
from kit.teachers.pairs import PairTeacher, finite
from kit.teachers.scores import score_cells
from kit.types import KitError, Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class ExtractiveReader(PairTeacher):
    """DPR's extractive reader: the teacher of RDR by its relevance logits, and a reader by its answer spans.

    The score is the logit of P_sel, the reader's choice among a question's passages (their softmax, at temperature 1,
    is that choice). One BERT pass a passage over "[CLS] question [SEP] title [SEP] text", no [SEP] at the end, cut at
    350 tokens (as DPR's released code does), all of one token type.
    """

    batch_size: int = 32
    max_tokens: int = 350
    name: ClassVar[str] = "extractive_reader"
    load_model: ClassVar[Callable[[str | Path], Any]] = staticmethod(load_extractive_reader)

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
        highest relevance logit, widened to whole words and copied from its text. It is "" for a question without a
        passage that has words. `n_context` None is the field's.
        """
        answers = {question.id: "" for question in questions}

        def read_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            pairs = [(question, p) for question, row in zip(batch, passages, strict=True) for p in row]
            relevance, spans = self._run(self.inputs(pairs), answer_tokens)
            highest: dict[str, float] = {}
            for (question, passage), logit, span in zip(pairs, relevance.tolist(), spans, strict=True):
                if span is not None and logit > highest.get(question.id, -np.inf):
                    highest[question.id], answers[question.id] = logit, passage.text[slice(*span)]
            return relevance

        context = self.n_context if n_context is None else n_context
        scores = score_cells(self.name, questions, corpus, table, read_batch, n_context=context, progress=progress)
        return Reading(answers, scores)

    def inputs(self, pairs: Sequence[tuple[Question, Passage]]) -> list[ReaderInput]:
        """Token ids of each pair, with where the text's tokens stand in the text."""
        cut = {"truncation": True, "max_length": self.max_tokens, "return_token_type_ids": False}
        questions, titles = [question.text for question, _ in pairs], [passage.title for _, passage in pairs]
        heads = self.tokenizer(questions, titles, return_token_type_ids=False)["input_ids"]
        texts = [passage.text for _, passage in pairs]
        bodies = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, **cut)
        return [
            ReaderInput([*head, *body][: self.max_tokens], len(head), bodies["offset_mapping"][i], bodies.word_ids(i))
            for i, (head, body) in enumerate(zip(heads, bodies["input_ids"], strict=True))
        ]

    def _run(self, inputs: list[ReaderInput], answer_tokens: int) -> tuple[np.ndarray, list[tuple[int, int] | None]]:
        """The relevance logit (x,) and the best span, in characters of the text, of each input."""
        relevance = np.empty(len(inputs), dtype=np.float32)
        spans: list[tuple[int, int] | None] = [None] * len(inputs)
        with evaluation(self.model):
            for batch, ids, mask in self.batches([one.ids for one in inputs]):
                out = self.model(input_ids=ids, attention_mask=mask)
                relevance[batch] = out.relevance_logits.float().cpu().numpy()
                starts, ends = out.start_logits.float().cpu(), out.end_logits.float().cpu()  # (x, t)
                for row, i in enumerate(batch):
                    text = slice(inputs[i].text_starts, len(inputs[i].ids))
                    if len(inputs[i].ids) > inputs[i].text_starts:
                        first, last = best_span(starts[row, text], ends[row, text], longest=answer_tokens)
                        spans[i] = inputs[i].characters(first, last)
        return finite(relevance, "ExtractiveReader"), spans


class ReaderInput(NamedTuple):
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
