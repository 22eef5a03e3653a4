"""Retrieval: questions to a ScoreTable of each one's best passages, by words (BM25) or by vectors (dense).

Ties keep the order of the corpus, so the same call gives the same table. What is not found is a missing cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kit.arguments import instance_of, list_of, whole_number
from kit.files import restored
from kit.index import VectorIndex, build_index
from kit.index.search import MOST_K
from kit.index.vectors import PLAN, Vectors, ids_of_rows, read_vectors, write_vectors
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder

ROWS_AT_ONCE = 65_536


def embed_corpus(
    encoder: DualEncoder,
    corpus: Mapping[str, Passage],
    directory: str | Path,
    *,
    batch_size: int = 64,
    shard_size: int = 100_000,
    dtype: str = "float16",
    part: tuple[int, int] = (0, 1),
    progress: bool = False,
) -> Vectors | None:
    """The vectors of a corpus on disk, with the encoder's fingerprint; a stopped run goes on where it stopped.

    `part` (i, n): this process makes every n-th shard, and None comes back until the last is made
    (`kit.index.vectors.write_vectors`). In float16 a passage of 768 numbers takes 1.5 kB: 32 GB for psgs_w100.
    """

    def encode(ids: list[str]) -> np.ndarray:
        return encoder.encode_passages([corpus[name] for name in ids], batch_size=batch_size, progress=progress)

    return write_vectors(
        directory, list(corpus), encode,
        shard_size=shard_size, dtype=dtype, fingerprint=encoder.fingerprint, part=part,
    )  # fmt: skip


class DenseRetriever:
    """Retrieval by the vectors of an encoder, from an index or, without one, from vectors on disk (exact).

    The scores are the encoder's own: inner products times its scale. `KitError` when the index holds the vectors of
    another encoder or dimension.
    """

    def __init__(self, encoder: DualEncoder, index: VectorIndex | Vectors, *, name: str = "dense") -> None:
        dimension = index.shape[1] if isinstance(index, Vectors) else index.dimension
        if dimension != encoder.dimension:
            raise KitError("DenseRetriever", f"vectors of the encoder's dimension {encoder.dimension}", dimension)
        if index.fingerprint and index.fingerprint != encoder.fingerprint:
            wanted = f"vectors of this encoder ({encoder.fingerprint}); embed the passages anew"
            raise KitError("DenseRetriever", wanted, f"those of another ({index.fingerprint})")
        self.encoder, self.index, self.name = encoder, index, name

    @classmethod
    def over(
        cls, encoder: DualEncoder, corpus: Mapping[str, Passage], *, name: str = "dense", batch_size: int = 64
    ) -> DenseRetriever:
        """A retriever over an exact index of the corpus, all of whose passages are encoded now, in memory."""
        passages = list(instance_of("DenseRetriever.over", corpus, Mapping, "a corpus").values())
        if not passages:
            raise KitError("DenseRetriever.over", "a corpus with passages", "none")
        vectors = encoder.encode_passages(passages, batch_size=batch_size)  # (x, d)
        return cls(encoder, build_index(list(corpus), vectors, fingerprint=encoder.fingerprint), name=name)

    @classmethod
    def load(cls, encoder: DualEncoder, directory: str | Path, *, name: str = "dense") -> DenseRetriever:
        """A retriever over an index that was saved, or over vectors on disk, which are searched exactly."""
        vectors = restored(directory).joinpath(PLAN).exists()
        return cls(encoder, read_vectors(directory) if vectors else VectorIndex.load(directory), name=name)

    def retrieve(self, questions: Sequence[Question], k: int, **options: Any) -> ScoreTable:
        """The `k` best passages of each question, best first; `options` go to the search (nprobe, device ...)."""
        questions = list_of("retrieve", questions, Question, "questions")
        vectors = self.encoder.encode_questions([question.text for question in questions])
        if isinstance(self.index, Vectors):
            ids, scores = exact_search(vectors, self.index, k, **options)
        else:
            ids, scores = self.index.search(vectors, k, **options)
        question_ids = np.array([question.id for question in questions])
        return ScoreTable(self.name, question_ids, ids, scores * np.float32(self.encoder.scale))


def exact_search(
    questions: Float[np.ndarray, "x d"], vectors: Vectors, k: int, *, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (x, k) and inner products (x, k) float32 of the k best of all vectors on disk, read once and shard by shard.

    No index is built and one block of vectors is in memory at a time, so 21 million passages need little memory and
    one pass over the disk for all questions together. Missing ("" and NaN) where there are fewer than k.
    """
    k = whole_number("exact_search", "k", k, most=MOST_K)
    asked = torch.as_tensor(np.asarray(questions, dtype=np.float32), device=device)
    if asked.ndim != 2 or asked.shape[1] != vectors.shape[1]:
        raise KitError("exact_search", f"question vectors (x, {vectors.shape[1]})", tuple(asked.shape))
    best = torch.empty(len(asked), 0, device=device)
    rows = torch.empty(len(asked), 0, dtype=torch.long, device=device)
    for first, shard in vectors.shards():
        for start in range(0, len(shard), ROWS_AT_ONCE):
            block = torch.as_tensor(np.array(shard[start : start + ROWS_AT_ONCE], dtype=np.float32), device=device)
            found, at = stable_top(asked @ block.T, k)  # (x, d) @ (d, rows) -> (x, k)
            best, rows = torch.cat([best, found], dim=1), torch.cat([rows, at + first + start], dim=1)  # (x, <= 2k)
            best, kept = stable_top(best, k)
            rows = rows.gather(1, kept)
    missing = k - best.shape[1]
    scores = np.pad(best.cpu().numpy(), ((0, 0), (0, max(missing, 0))), constant_values=np.nan)
    padded = np.pad(rows.cpu().numpy(), ((0, 0), (0, max(missing, 0))), constant_values=-1)
    return ids_of_rows(vectors.ids, padded), scores


def stable_top(scores: Float[Tensor, "x n"], k: int) -> tuple[Float[Tensor, "x k"], Int[Tensor, "x k"]]:
    """Values and columns of the k highest of each row, highest first; equal ones in the order of the columns.

    torch.topk leaves open which of equal values it takes: the rows where that matters are gone over again.

    >>> stable_top(torch.tensor([[1.0, 3.0, 3.0, 3.0]]), 2)[1].tolist()
    [[1, 2]]
    """
    k = min(k, scores.shape[1])
    if k == 0:
        return scores[:, :0], torch.empty(len(scores), 0, dtype=torch.long, device=scores.device)
    values, columns = scores.topk(k, dim=1)  # (x, k)
    last = values[:, -1:]
    open_rows = ((scores == last).sum(dim=1) > (values == last).sum(dim=1)).nonzero().flatten()
    for row in open_rows.tolist():
        equal = values[row] == last[row]
        columns[row, equal] = (scores[row] == last[row]).nonzero().flatten()[: int(equal.sum())]
    columns = columns.sort(dim=1).values
    order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return order.values, columns.gather(1, order.indices)
