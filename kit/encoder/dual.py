"""Bi-encoders, the students of distillation: one vector for a question, one for a passage, a dot product for the score.

Composed of transformers' BERT or DistilBERT towers; what differs between families is data (`kit.encoder.families`), not
subclasses. Knows nothing of indexes, losses or teachers. Source: FiD-KD (2021), DPR (2020), Margin-MSE (2020).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kit.checkpoints import load_tokenizer
from kit.checkpoints.layouts import build_tower
from kit.device import evaluation, pick_device, pick_dtype
from kit.encoder.families import Family, family_named
from kit.encoder.files import load, save
from kit.types import KitError, Passage

TEXTS_AT_ONCE = 8192  # tokenized and sorted by length together


class DualEncoder(nn.Module):
    """A bi-encoder: a question tower, a passage tower (the same one when shared), and how they are used (`family`).

    `tokenizer`: a transformers tokenizer, the name of one that is loaded when first needed, or None (ids only).
    """

    def __init__(
        self,
        question_tower: nn.Module,
        passage_tower: nn.Module | None = None,
        *,
        family: Family,
        tokenizer: Any = None,
    ) -> None:
        super().__init__()
        if family.two_towers != (passage_tower is not None):
            wanted = "a passage tower" if family.two_towers else "one tower for both sides"
            raise KitError(f"family {family.name!r}", wanted, "none" if passage_tower is None else "two")
        self.family = family
        self.question_tower, self.passage_tower = question_tower, passage_tower
        hidden = question_tower.config.hidden_size
        self.dimension = family.dimension or hidden
        if family.dimension is not None:
            self.projection, self.norm = nn.Linear(hidden, self.dimension), nn.LayerNorm(self.dimension)
        self._tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        family: str | Family | None = None,
        passage_tower: str | Path | None = None,
        tokenizer: Any = None,
    ) -> DualEncoder:
        """The encoder of a checkpoint, in eval mode, with every weight from its files (see `kit.encoder.files.load`).

        A folder, a .tar.gz, a name of `kit.checkpoints.RELEASES`, or a name on the Hugging Face hub: a kit checkpoint,
        a FiD retriever, a DPR or RDR pair (the name of either tower; `passage_tower` where the names do not tell), a
        DistilBERT_Dot, Contriever, sentence-transformers, or any BERT or DistilBERT to begin from.
        `family`: a name of `kit.encoder.FAMILIES` or a `Family`; default: what the files tell.
        `device` auto: the GPU where there is one. `dtype` auto: float32, which training needs; bfloat16 halves the
        time and memory of embedding a large corpus. Errors: `KitError`.
        """
        encoder = load(cls, name_or_dir, family=family, passage_tower=passage_tower, tokenizer=tokenizer)
        place = pick_device(device)
        return encoder.to(device=place, dtype=pick_dtype("float32" if dtype == "auto" else dtype, place)).eval()

    @classmethod
    def from_config(
        cls, config: Any, tokenizer: Any = None, *, family: str | Family = "fid-kd", seed: int = 0, device: str = "cpu"
    ) -> DualEncoder:
        """A fresh encoder with random weights from a BertConfig or DistilBertConfig; the same `seed`, the same weights.

        >>> from transformers import BertConfig
        >>> small = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
        >>> DualEncoder.from_config(small).embed(torch.ones(3, 5, dtype=torch.long), torch.ones(3, 5)).shape
        torch.Size([3, 8])
        """
        family = family_named(family)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            towers = [build_tower(copy.deepcopy(config)) for _ in range(1 + family.two_towers)]
            encoder = cls(*towers, family=family, tokenizer=tokenizer)
        return encoder.to(pick_device(device)).eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write a kit checkpoint: config.json, model.safetensors, kit_encoder.json and the tokenizer.

        The folder appears whole or not at all. With one tower and no projection, transformers' AutoModel reads it too.
        """
        save(self, directory)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def towers(self) -> tuple[nn.Module, ...]:
        """The one shared tower, or the question's and the passage's."""
        return (self.question_tower,) if self.passage_tower is None else (self.question_tower, self.passage_tower)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer; `KitError` where the checkpoint came without one."""
        if self._tokenizer is None:
            raise KitError("encoder", "a tokenizer (from_pretrained(..., tokenizer=...))", "a checkpoint without one")
        if isinstance(self._tokenizer, str):
            self._tokenizer = load_tokenizer(self._tokenizer)
        words, known = len(self._tokenizer), self.question_tower.config.vocab_size
        if words > known:
            raise KitError("tokenizer", f"at most the encoder's {known} tokens", f"one of {words} tokens")
        return self._tokenizer

    @property
    def scale(self) -> float:
        """What a dot product is multiplied by to be a score: 1/sqrt(d) for FiD-KD, 1 for the others."""
        return self.dimension**-0.5 if self.family.scaled else 1.0

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the weights, the configuration and the family: whose vectors an index holds.

        Weights count as rounded to bfloat16, so an index that was embedded in bfloat16 serves the same encoder in
        float32. It is computed anew each time: about half a second for a BERT-base.
        """
        digest = hashlib.sha256(json.dumps(self.family.to_json(), sort_keys=True).encode())
        config = self.question_tower.config
        digest.update(f"{config.model_type} {config.num_attention_heads} {config.num_hidden_layers}".encode())
        for name, weight in sorted(self.state_dict().items()):
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().to(torch.bfloat16).cpu().contiguous().view(torch.int16).numpy())
        return digest.hexdigest()[:16]

    def embed(
        self,
        input_ids: Int[Tensor, "x t"],
        attention_mask: Bool[Tensor, "x t"] | Int[Tensor, "x t"],
        side: str = "question",
    ) -> Float[Tensor, "x d"]:
        """Vectors (x, d) of tokenized texts; a text without any token gets zeros (the original: NaN).

        Where the family does not apply the mask of a side, padding counts as text: pad to the family's length.
        """
        if side not in ("question", "passage"):
            raise KitError("side", "question or passage", repr(side))
        tower = self.question_tower if side == "question" or self.passage_tower is None else self.passage_tower
        applied = self.family.question_mask if side == "question" else self.family.passage_mask
        mask = attention_mask.bool() if applied else torch.ones_like(input_ids, dtype=torch.bool)
        empty = ~mask.any(dim=1)  # (x,)
        attended = mask.clone()
        attended[:, 0] |= empty  # attention over nothing is NaN
        hidden = tower(input_ids=input_ids, attention_mask=attended.long()).last_hidden_state  # (x, t, d)
        if self.family.dimension is not None:
            hidden = self.norm(self.projection(hidden))  # (x, t, d)
        if self.family.pooling == "cls":
            vectors = hidden[:, 0]  # (x, d)
        else:
            summed = hidden.masked_fill(~mask[:, :, None], 0.0).sum(dim=1)  # (x, t, d) -> (x, d)
            vectors = summed / mask.sum(dim=1, keepdim=True).clamp(min=1)
        vectors = vectors.masked_fill(empty[:, None], 0.0)
        return nn.functional.normalize(vectors, dim=-1) if self.family.normalized else vectors

    def score(self, questions: Float[Tensor, "q d"], passages: Float[Tensor, "q k d"]) -> Float[Tensor, "q k"]:
        """Scores (q, k) of each question's own passages: dot product times `scale`, in float32 also under autocast.

        BERT_Dot's scores are near 100, where bfloat16 counts in halves.
        """
        with torch.autocast(questions.device.type, enabled=False):
            return torch.einsum("qd,qkd->qk", questions.float(), passages.float()) * self.scale

    def encode_questions(self, texts: Sequence[str], *, batch_size: int = 64, progress: bool = False) -> np.ndarray:
        """Vectors of questions, float32 (x, d), in their order; no gradient, no dropout."""
        texts = list(texts)
        wrong = [text for text in texts if not isinstance(text, str)]
        if wrong:
            raise KitError("encode_questions", "texts of questions", repr(wrong[0]))
        written = [self.family.write_question(text) for text in texts]
        return self._encode(written, "question", batch_size, progress)

    def encode_passages(
        self, passages: Iterable[Passage], *, batch_size: int = 64, progress: bool = False
    ) -> np.ndarray:
        """Vectors of passages, float32 (x, d), in their order; batched by length, so that little is padded."""
        passages = list(passages)
        wrong = [passage for passage in passages if not isinstance(passage, Passage)]
        if wrong:
            raise KitError("encode_passages", "passages (a corpus gives them by `corpus.values()`)", repr(wrong[0]))
        written = [self.family.write_passage(passage) for passage in passages]
        return self._encode(written, "passage", batch_size, progress)

    def _encode(self, written: list[str | tuple[str, str]], side: str, batch_size: int, progress: bool) -> np.ndarray:
        from tqdm.auto import tqdm

        if batch_size < 1:
            raise KitError("batch_size", "at least 1", batch_size)
        vectors = np.empty((len(written), self.dimension), dtype=np.float32)
        with evaluation(self), tqdm(total=len(written), unit=side, disable=not progress) as bar:
            for start in range(0, len(written), TEXTS_AT_ONCE):
                ids = self.token_ids(written[start : start + TEXTS_AT_ONCE], side)
                order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
                for first in range(0, len(order), batch_size):
                    rows = order[first : first + batch_size]
                    batch = self.embed(*self.padded([ids[i] for i in rows], side), side=side)
                    vectors[[start + i for i in rows]] = batch.float().cpu().numpy()
                    bar.update(len(rows))
        return vectors

    def token_ids(self, written: Sequence[str | tuple[str, str]], side: str) -> list[list[int]]:
        """Ids of texts as `family` writes them, cut at its length, with [CLS] and [SEP]; pairs have one more [SEP]."""
        limit = self._length(side)
        ids: list[list[int]] = [[]] * len(written)
        for pairs in (False, True):
            rows = [row for row, text in enumerate(written) if isinstance(text, tuple) == pairs]
            if not rows:
                continue
            texts = zip(*(written[i] for i in rows), strict=True) if pairs else [[written[i] for i in rows]]
            options = {"return_attention_mask": False, "return_token_type_ids": False}
            found = self.tokenizer(*map(list, texts), truncation=True, max_length=limit, **options)["input_ids"]
            for row, tokens in zip(rows, found, strict=True):
                ids[row] = tokens
        return ids

    def padded(self, ids: Sequence[Sequence[int]], side: str) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
        """Ids and mask (x, t) on the encoder's device, padded to the longest, or to the full length without a mask."""
        applied = self.family.question_mask if side == "question" else self.family.passage_mask
        length = max(map(len, ids)) if applied else self._length(side)
        input_ids = torch.full((len(ids), length), self.tokenizer.pad_token_id)
        mask = torch.zeros(len(ids), length, dtype=torch.bool)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
        return input_ids.to(self.device), mask.to(self.device)

    def _length(self, side: str) -> int:
        asked = self.family.question_length if side == "question" else self.family.passage_length
        return min(asked, self.question_tower.config.max_position_embeddings)
