"""Times of an encoder, a reader and a search, each beside the plain way of doing the same. Knows nothing of plans.

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

ANSWER_TOKENS = 5  # of a short answer, </s> included
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
    """A measured or computed number."""

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
        decoder_start_token_id=0,
    )
    return FiDReader(T5ForConditionalGeneration(config)).to(device).eval()


def measure_encoder(size: Size, device: torch.device, seed: int) -> list[Measure]:
    """Passages and tokens a second of an encoder in batches of like length, against batches in any order."""
    encoder = random_encoder(size, device, seed)
    lengths = draw_lengths(size.passages, seed)
    ids, mask = draw_tokens(lengths, size.vocabulary, seed)
    sorted_rows = lengths.argsort(descending=True)

    def encode(rows: Tensor, *, trimmed: bool) -> None:
        with torch.inference_mode():
            for batch in rows.split(16):
                width = int(lengths[batch].max()) if trimmed else ids.shape[1]
                encoder.embed(ids[batch, :width].to(device), mask[batch, :width].to(device), side="passage")

    ours, plain = seconds_of(
        lambda: encode(sorted_rows, trimmed=True),
        lambda: encode(torch.arange(len(ids)), trimmed=False),
        device=device,
        least=size.seconds,
    )
    tokens = int(lengths.sum())
    return [
        Measure("embedding passages", size.passages / ours, "passages/s", "batches of like length, float32, tokenized"),
        Measure("embedding tokens", tokens / ours, "tokens/s", f"{tokens / size.passages:.0f} tokens a passage"),
        Measure("encoder: like lengths together", plain / ours, "times", "all padded to the longest passage"),
    ]


def measure_reader(size: Size, n_context: int, device: torch.device, seed: int) -> list[Measure]:
    """Seconds of a reader for a question: training, reading, scoring; against padding and generating."""
    from kit.attention import cross_attention_scores

    reader = random_reader(size, device, seed)
    ids, mask = draw_tokens(draw_lengths(n_context, seed), size.vocabulary, seed)
    ids, mask = ids[None].to(device), mask[None].to(device)  # (1, k, t)
    trained = _training_seconds(reader, ids, mask, size.seconds)
    precision = "float32"
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        reader, precision = reader.to(torch.bfloat16), "bfloat16"

    def padded() -> None:
        reader.t5.encoder(input_ids=ids[0], attention_mask=mask[0])

    def said() -> Tensor:
        return reader.generate(ids, mask, max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS)

    with torch.no_grad():
        works = lambda: reader.encode(ids, mask), padded, said, lambda: cross_attention_scores(reader, ids, mask)
        encoded, plain, read, scored = seconds_of(*works, device=device, least=size.seconds)
    note = f"{n_context} passages, {precision}"
    return [
        Measure("reader: train step", trained, "s/question", f"{n_context} passages, forward, backward and AdamW"),
        Measure("reader: read", read, "s/question", f"{note}, {ANSWER_TOKENS} answer tokens"),
        Measure("reader: score", scored, "s/question", f"{note}, attention of one decoder step"),
        Measure("reader: like lengths together", plain / encoded, "times", "all padded to the longest passage"),
        Measure("reader: score in one step", read / scored, "times", f"scores after {ANSWER_TOKENS} generated tokens"),
    ]


def _training_seconds(reader: FiDReader, ids: Tensor, mask: Tensor, least: float) -> float:
    """Seconds of a training step with one question; bfloat16 where a GPU computes in it."""
    labels = torch.randint(3, ids.max().item(), (1, ANSWER_TOKENS))
    optimizer = torch.optim.AdamW(reader.parameters(), fused=True)
    mixed = ids.device.type == "cuda"

    def step() -> None:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=mixed):
            loss = reader(ids, mask, labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    reader.train()
    try:
        return seconds_of(step, device=ids.device, least=least)[0]
    finally:
        reader.eval()


def measure_search(size: Size, seed: int, *, questions: int = 64, k: int = 100) -> list[Measure]:
    """Seconds of an exact search of vectors on disk (float16, shard by shard), against FAISS Flat in memory."""
    from kit.index import build_index
    from kit.index.vectors import write_vectors
    from kit.retrieve.dense import exact_search

    rng = np.random.default_rng(seed)
    ids = [str(number) for number in range(size.vectors)]
    vectors = rng.standard_normal((size.vectors, size.d_model), dtype=np.float32)
    asked = rng.standard_normal((questions, size.d_model), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        stored = write_vectors(Path(folder) / "vectors", ids, vectors, shard_size=20_000)
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
