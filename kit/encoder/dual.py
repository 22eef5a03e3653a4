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
from transformers import PreTrainedModel

from kit.arguments import list_of, whole_number
from kit.batches import length_buckets, padded, pass_overhead
from kit.checkpoints import load_tokenizer
from kit.checkpoints.own import check_vocabulary
from kit.checkpoints.towers import blank_tower, build_tower, position_limit
from kit.device import evaluation, pick_device, pick_dtype
from kit.encoder.families import Family, family_named
from kit.encoder.files import fill, find, save
from kit.types import KitError, Passage

SIDES = ("question", "passage")
AT_ONCE = 2048  # texts tokenized and sorted by length together
TRAINED_AT_ONCE = 32  # passages through a tower in training, for memory; of like length, so that little is padded
CHARACTERS_A_TOKEN = 200  # of the longest text that is looked at: a line of megabytes is cut before it is tokenized


class DualEncoder(nn.Module):
    """A bi-encoder: a question tower, a passage tower (the same one when shared), and how they are used (`family`).

    `tokenizer`: a transformers tokenizer, the name of one that is loaded when first needed, or None (ids only).
    """

    def __init__(
        self,
        question_tower: PreTrainedModel,
        passage_tower: PreTrainedModel | None = None,
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
        hidden: int = question_tower.config.hidden_size
        self.dimension: int = family.dimension or hidden
        if family.dimension is not None:
            self.projection, self.norm = nn.Linear(hidden, self.dimension), nn.LayerNorm(self.dimension)
        self._tokenizer = tokenizer
        if tokenizer is not None and not isinstance(tokenizer, str):
            check_vocabulary(tokenizer, question_tower.config.vocab_size)

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

        A folder, a .tar.gz, a toy ("toy-bert"), a name of `kit.checkpoints.RELEASES`, or one on the Hugging Face hub: a
        kit checkpoint, a FiD retriever, a DPR or RDR pair (the name of either tower; `passage_tower` if the names do
        not follow the rule), DistilBERT_Dot, Contriever, sentence-transformers, or any BERT, DistilBERT, ALBERT,
        RoBERTa, XLM-R or MPNet to begin from. `family`: a name of `kit.encoder.FAMILIES` or a `Family`; default: the
        one in the files, or one that is assumed with a warning. `dtype` auto: float32, which training needs; bfloat16
        halves the time and memory of embedding a large corpus. Raises `KitError` if a weight or a setting is missing or
        not understood.
        """
        place = pick_device(device)
        kind = pick_dtype("float32" if dtype == "auto" else dtype, place)
        source = find(name_or_dir, family=family, passage_tower=passage_tower, tokenizer=tokenizer)
        towers = [blank_tower(config, folder) for config, folder in zip(source.configs, source.folders, strict=True)]
        encoder = cls(*towers, family=source.family, tokenizer=source.tokenizer)
        fill(encoder, source)
        return encoder.to(device=place, dtype=kind).eval()

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
        save(directory, self.state_dict(), self.question_tower.config, self.family, self._tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def towers(self) -> tuple[PreTrainedModel, ...]:
        """The one shared tower, or the question's and the passage's."""
        return (self.question_tower,) if self.passage_tower is None else (self.question_tower, self.passage_tower)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer. Raises `KitError` if the checkpoint came without one."""
        if self._tokenizer is None:
            raise KitError("encoder", "a tokenizer (from_pretrained(..., tokenizer=...))", "a checkpoint without one")
        if isinstance(self._tokenizer, str):
            self._tokenizer = load_tokenizer(self._tokenizer)
            check_vocabulary(self._tokenizer, self.question_tower.config.vocab_size)
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
        *,
        batch_size: int | None = None,
    ) -> Float[Tensor, "x d"]:
        """Vectors (x, d) of tokenized texts; a text without any token gets zeros (the original: NaN).

        Texts of like length go through the tower together, at most `batch_size`, so that little padding is computed.
        Where the family does not apply the mask of a side, padding counts as text: pad to the family's length.
        """
        if side not in SIDES:
            raise KitError("side", "question or passage", repr(side))
        tower = self.towers[-1 if side == "passage" else 0]
        input_ids, mask = input_ids.to(self.device), attention_mask.to(self.device).bool()
        if not getattr(self.family, f"{side}_mask"):
            mask = torch.ones_like(mask)
        lengths = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)  # (x,)
        overhead = pass_overhead(tower.config.hidden_size, self.device)
        buckets = length_buckets(lengths.cpu(), overhead=overhead, most=batch_size)
        if not buckets:
            return next(self.parameters()).new_zeros(len(mask), self.dimension)
        vectors = []
        for bucket in buckets:
            rows, width = bucket.to(self.device), int(lengths[bucket[0]])
            vectors.append(self._pooled(input_ids[rows, :width], mask[rows, :width], side))
        joined = torch.cat(vectors)
        return joined.new_zeros(len(mask), self.dimension).index_copy(0, torch.cat(buckets).to(self.device), joined)

    def forward(
        self, questions: Sequence[str], passages: Sequence[Passage]
    ) -> tuple[Float[Tensor, "q d"], Float[Tensor, "x d"]]:
        """Vectors of questions (q, d) and of passages (x, d), with gradients and dropout: what a trainer calls."""
        vectors = self.embed(*self.tokenize_passages(passages), side="passage", batch_size=TRAINED_AT_ONCE)  # (x, d)
        return self.embed(*self.tokenize_questions(questions), side="question"), vectors

    def token_states(
        self, input_ids: Int[Tensor, "x t"], attention_mask: Bool[Tensor, "x t"], side: str = "question"
    ) -> Float[Tensor, "x t d"]:
        """The states (x, t, d) of texts' tokens, of which `embed` takes the mean or the first; at padding anything."""
        tower = self.towers[-1 if side == "passage" else 0]
        hidden = tower(input_ids=input_ids, attention_mask=attention_mask.long()).last_hidden_state  # (x, t, d)
        return hidden if self.family.dimension is None else self.norm(self.projection(hidden))

    def _pooled(self, ids: Int[Tensor, "x t"], mask: Bool[Tensor, "x t"], side: str) -> Float[Tensor, "x d"]:
        hidden = self.token_states(ids, mask, side)  # (x, t, d)
        if self.family.pooling == "cls":
            vectors = hidden[:, 0]  # (x, d)
        else:
            vectors = hidden.masked_fill(~mask[:, :, None], 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)  # (x, d)
        return nn.functional.normalize(vectors, dim=-1) if self.family.normalized else vectors

    def score(self, questions: Float[Tensor, "q d"], passages: Float[Tensor, "q k d"]) -> Float[Tensor, "q k"]:
        """Scores (q, k) of each question's own passages: dot product times `scale`, in float32 also under autocast.

        BERT_Dot's scores are near 100, where bfloat16 counts in halves.
        """
        with torch.autocast(questions.device.type, enabled=False):
            return torch.einsum("qd,qkd->qk", questions.float(), passages.float()) * self.scale

    def encode_questions(self, texts: Sequence[str], *, batch_size: int = 64, progress: bool = False) -> np.ndarray:
        """Vectors of questions, float32 (x, d), in their order; no gradient, no dropout."""
        return self._encode("question", list_of("encode_questions", texts, str, "questions"), batch_size, progress)

    def encode_passages(
        self, passages: Iterable[Passage], *, batch_size: int = 64, progress: bool = False
    ) -> np.ndarray:
        """Vectors of passages, float32 (x, d), in their order; no gradient, no dropout."""
        return self._encode("passage", list_of("encode_passages", passages, Passage, "passages"), batch_size, progress)

    def tokenize_questions(self, texts: Sequence[str]) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
        """Ids and mask (x, t) of questions as the family writes them, for `embed`; see `tokenize_passages`."""
        return self._tokenize("question", list_of("tokenize_questions", texts, str, "questions"))

    def tokenize_passages(self, passages: Sequence[Passage]) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
        """Ids and mask (x, t) of passages as the family writes them, for `embed`, on the encoder's device.

        Cut at the family's length, with [CLS] and [SEP]. Padded to the longest, or to the family's length where the
        family does not apply the mask.
        """
        return self._tokenize("passage", list_of("tokenize_passages", passages, Passage, "passages"))

    def _encode(self, side: str, items: list[Any], batch_size: int, progress: bool) -> np.ndarray:
        from tqdm.auto import tqdm

        batch_size = whole_number("encoder", "batch_size", batch_size)
        vectors = np.empty((len(items), self.dimension), dtype=np.float32)
        with evaluation(self), tqdm(total=len(items), unit=side, disable=not progress) as bar:
            for start in range(0, len(items), AT_ONCE):
                part = items[start : start + AT_ONCE]
                embedded = self.embed(*self._tokenize(side, part), side, batch_size=batch_size)  # (x, d)
                vectors[start : start + len(part)] = embedded.float().cpu().numpy()
                bar.update(len(part))
        if not np.isfinite(vectors).all():
            raise KitError("encoder", "finite vectors", f"NaN or infinity (computed in {self.question_tower.dtype})")
        return vectors

    def _tokenize(self, side: str, items: Sequence[Any]) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
        limit = min(getattr(self.family, f"{side}_length"), position_limit(self.question_tower.config))
        written = [getattr(self.family, f"write_{side}")(item) for item in items]
        rows: list[list[int]] = [[]] * len(written)
        options = {"truncation": True, "max_length": limit, "return_attention_mask": False}
        for pairs in (False, True):  # a tokenizer takes texts or pairs, not both
            places = [place for place, text in enumerate(written) if isinstance(text, tuple) == pairs]
            columns = zip(*(written[i] for i in places), strict=True) if pairs else [[written[i] for i in places]]
            if places:
                bounded = [[text[: limit * CHARACTERS_A_TOKEN] for text in column] for column in columns]
                encoded = self.tokenizer(*bounded, **options, return_token_type_ids=False)["input_ids"]
                for place, row in zip(places, encoded, strict=True):
                    rows[place] = row
        length = 0 if getattr(self.family, f"{side}_mask") else limit
        return padded(rows, self.tokenizer.pad_token_id, length=length, device=self.device)
