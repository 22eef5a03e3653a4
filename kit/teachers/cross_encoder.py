"""Cross-encoders: BERT_Cat and its kin, which read question and passage in one sequence.

Source: Hofstaetter et al. 2020 (Margin-MSE), section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from kit.batches import padded
from kit.checkpoints import load_cross_encoder
from kit.device import evaluation
from kit.teachers.pairs import PairTeacher, finite
from kit.teachers.scaling import looks_like_probabilities
from kit.teachers.scores import score_cells
from kit.types import Passage, Question, ScoreTable


@dataclass(frozen=True, eq=False)
class CrossEncoder(PairTeacher):
    """Raw scores of [CLS] question [SEP] passage [SEP]: BERT_Cat (Margin-MSE's teacher) and its kin.

    `model` gives one score (x,) for ids, mask and token types (x, t), as `kit.checkpoints.load_cross_encoder` loads it.
    No sigmoid is ever applied: only margins of scores mean something, and a sigmoid takes them away; a model that puts
    all scores between 0 and 1 by itself is warned about. One BERT pass a passage. A passage with a title is written
    "title text" (MS MARCO's have none) unless `titles` is off; a pair longer than `max_tokens` is cut in its longer
    text (BERT_Cat was trained on 30 + 200 tokens).
    """

    titles: bool = True
    name: str = "cross_encoder"
    load_model: ClassVar[Callable[[str | Path], Any]] = staticmethod(load_cross_encoder)

    def score(
        self, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, progress: bool = False
    ) -> ScoreTable:
        """Raw scores (q, k) in the cells of `table`, a row for each question; unscored cells are NaN."""

        def score_batch(batch: list[Question], passages: list[list[Passage]]) -> np.ndarray:
            rows = zip(batch, passages, strict=True)
            return self.score_pairs([(question.text, self._text(p)) for question, row in rows for p in row])

        scores = score_cells(
            self.name, questions, corpus, table, score_batch, n_context=self.n_context, progress=progress
        )
        if looks_like_probabilities(scores):
            message = f"all scores of {self.name!r} lie from 0 to 1, as behind a sigmoid: teach with its logits instead"
            warnings.warn(message, stacklevel=2)
        return scores

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " x"]:
        """Raw scores (x,) of (question, passage) texts, in their order."""
        if not pairs:
            return np.empty(0, dtype=np.float32)
        encoded = self.tokenizer(
            [question for question, _ in pairs],
            [passage for _, passage in pairs],
            truncation="longest_first",
            max_length=self.max_tokens,
            return_token_type_ids=getattr(self.model.config, "type_vocab_size", 0) > 1,
        )
        rows, types = encoded["input_ids"], encoded.get("token_type_ids")
        scores = np.empty(len(rows), dtype=np.float32)
        with evaluation(self.model):
            for batch, ids, mask in self.batches(rows):
                kinds = None if types is None else padded([types[i] for i in batch], 0, device=ids.device)[0]
                scores[batch] = self.model(ids, mask, kinds).float().cpu().numpy()
        return finite(scores, "CrossEncoder")

    def _text(self, passage: Passage) -> str:
        return f"{passage.title} {passage.text}".strip() if self.titles else passage.text
