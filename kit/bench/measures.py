"""Measuring: times in turns, the matmul peak, random models and inputs; a search beside the plain way.

Models have random weights (time does not depend on them) and inputs random tokens of lengths like those of Wikipedia's
100-word passages.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader

ANSWER_TOKENS = 8  # steps of a short answer, at most
LENGTHS = (150, 30, 200)  # tokens of question, title and 100 words: mean, standard deviation (a guess), FiD's limit


@dataclass(frozen=True)
class Size:
    """Sizes of a reader (T5) and an encoder (BERT), and how much is measured with them."""

    d_model: int
    d_ff: int
    layers: int
    heads: int
    vocabulary: int  # T5's, with which the output layer's cost goes
    passages: int  # encoded in one measurement
    vectors: int  # searched
    seconds: float  # of a measurement, at least


SIZES = {
    "tiny": Size(32, 64, 1, 2, 256, passages=32, vectors=2_000, seconds=0.0),
    "small": Size(256, 1024, 4, 4, 8_000, passages=64, vectors=50_000, seconds=0.5),
    "base": Size(768, 3072, 12, 12, 32_128, passages=64, vectors=50_000, seconds=1.0),
    "large": Size(1024, 4096, 24, 16, 32_128, passages=64, vectors=50_000, seconds=1.0),
}


@dataclass(frozen=True)
class Measure:
    """A measured or computed number. unit "times": a ratio, "of peak": a share of the matmul peak."""

    name: str
    value: float
    unit: str
    note: str = ""


def seconds_of(*works: Callable[[], object], device: torch.device, least: float = 0.5) -> list[float]:
    """The median time of each of `works`, of three runs at least and `least` seconds, after one that is not counted.

    They take turns, so that what else the machine does falls on all alike, and their ratios can be trusted more than
    the times themselves.
    """

    def timed(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for work in works:
        timed(work)
    times = [[timed(work) for work in works] for _ in range(3)]
    while sum(map(sum, times)) < least * len(works):
        times.append([timed(work) for work in works])
    return [statistics.median(column) for column in zip(*times, strict=True)]


def matmul(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """The product of two large matrices and its operations: what a model's own reach at best.

    To be timed in turns with the model, so that what else the machine does falls on both.
    """
    side = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: one @ other, 2.0 * side**3


def draw_lengths(count: int, seed: int, *, spread: float | None = None) -> Int[Tensor, " x"]:
    """Numbers of tokens (x,) of passages, from 20 to 200."""
    mean, deviation, most = LENGTHS
    drawn = np.random.default_rng(seed).normal(mean, deviation if spread is None else spread, count)
    return torch.tensor(drawn.clip(20, most).round(), dtype=torch.long)


def draw_tokens(
    lengths: Int[Tensor, " x"], vocabulary: int, seed: int
) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
    """Random ids and mask (x, t) of these lengths, padded with 0 to the longest."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (x, t)
    return torch.randint(3, vocabulary, mask.shape, generator=generator) * mask, mask


def random_encoder(size: Size, device: torch.device, seed: int) -> DualEncoder:
    """A FiD-KD retriever of this size with random weights."""
    from transformers import BertConfig

    from kit.encoder import DualEncoder

    config = BertConfig(
        vocab_size=max(size.vocabulary, 256),
        hidden_size=size.d_model,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.d_ff,
    )
    return DualEncoder.from_config(config, family="fid-kd", seed=seed, device=str(device))


def random_reader(size: Size, device: torch.device, seed: int) -> FiDReader:
    """A T5 1.0 of this size with random weights, as a reader without a tokenizer."""
    from transformers import T5Config, T5ForConditionalGeneration

    from kit.reader import FiDReader

    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=size.vocabulary,
        d_model=size.d_model,
        d_kv=size.d_model // size.heads,
        d_ff=size.d_ff,
        num_layers=size.layers,
        num_decoder_layers=size.layers,
        num_heads=size.heads,
    )
    config.decoder_start_token_id = 0
    return FiDReader(T5ForConditionalGeneration(config)).to(device).eval()


def measure_search(size: Size, seed: int, *, questions: int = 64, k: int = 100) -> list[Measure]:
    """Seconds of an exact search of vectors on disk (float16, shard by shard), against FAISS Flat in memory."""
    from kit.index import build_index
    from kit.index.vectors import read_vectors, write_vectors
    from kit.retrieve.dense import exact_search

    rng = np.random.default_rng(seed)
    ids = [str(number) for number in range(size.vectors)]
    vectors = rng.standard_normal((size.vectors, size.d_model), dtype=np.float32)
    asked = rng.standard_normal((questions, size.d_model), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(Path(folder) / "vectors", ids, vectors, shard_size=20_000)
        stored = read_vectors(Path(folder) / "vectors")
        start = time.perf_counter()
        index = build_index(None, stored)
        built = time.perf_counter() - start
        works = lambda: exact_search(asked, stored, k), lambda: index.search(asked, k)
        streamed, flat = seconds_of(*works, device=torch.device("cpu"), least=size.seconds)
    note = f"{size.vectors:,} vectors of {size.d_model}, {questions} questions together, on the CPU"
    return [
        Measure("search: exact, streamed", streamed, "s", note),
        Measure("search: FAISS Flat", flat, "s", f"after {built:.2g} s of building, all in memory as float32"),
        Measure("search: streamed", flat / streamed, "times", "FAISS Flat, without its building"),
    ]
