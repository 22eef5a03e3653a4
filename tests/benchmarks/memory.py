"""Peak memory of scoring, embedding, searching and evaluating at 1, 10 and 100 times the size.

`python tests/benchmarks/memory.py`, by hand; nothing is asserted. Every cell is a process of its own, less what one
takes that does the same with next to nothing; mapped files are not counted. Models are tiny and random: what grows
with the data is the question.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from transformers import BertConfig, T5Config, T5ForConditionalGeneration

from kit.data import load_examples, load_passages
from kit.encoder import DualEncoder
from kit.index.vectors import read_vectors, write_vectors
from kit.reader import FiDReader
from kit.reader.shares import read_in_shares
from kit.retrieve import DenseRetriever
from kit.retrieve.dense import embed_corpus
from kit.shipped import DATA
from kit.teachers import score_file
from kit.types import Question, ScoreTable

WORDS = "the river runs past old towns and many bridges to a sea that nobody here has crossed ".split()
TINY = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
PASSAGES = 10  # of an example


class Lengths:
    """A teacher that counts letters: it costs nothing, so what is measured is the way of the data."""

    def score(self, questions, corpus, table, *, progress=False):
        lengths = [[len(corpus[i].text) if i else np.nan for i in row] for row in table.passage_ids.tolist()]
        return ScoreTable("lengths", table.question_ids, table.passage_ids, np.array(lengths))


def text(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, 100))


def examples(path: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            contexts = [
                {"id": f"{number}-{i}", "title": "t", "text": text(rng), "score": float(-i)} for i in range(PASSAGES)
            ]
            record = {"id": str(number), "question": "where?", "answers": ["sea"], "ctxs": contexts}
            file.write(json.dumps(record) + "\n")
    return path


def passages(path: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{number}\t{text(rng)}\tt\n" for number in range(1, count + 1))
    return path


def encoder() -> DualEncoder:
    tokenizer = DualEncoder.from_pretrained(DATA / "bert", device="cpu").tokenizer
    return DualEncoder.from_config(BertConfig(vocab_size=len(tokenizer), **TINY), tokenizer)


def score(source: Path, folder: Path) -> None:
    score_file(Lengths(), source, folder / "scored.jsonl")


def embed(source: Path, folder: Path) -> None:
    embed_corpus(encoder(), load_passages(source), folder / "vectors", shard_size=1000)


def search(source: Path, folder: Path) -> None:
    vectors = read_vectors(source)
    DenseRetriever(encoder(), vectors).retrieve([Question(str(i), "where?") for i in range(10)], 10)


def evaluate(source: Path, folder: Path) -> None:
    questions, corpus, table = load_examples(source)
    tokenizer = FiDReader.from_pretrained("toy-t5", device="cpu").tokenizer
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    reader = FiDReader(T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes)), tokenizer).eval()
    read_in_shares(reader, questions, corpus, table, n_context=1, max_new_tokens=1, batch_size=64)


def vectors(path: Path, count: int) -> Path:
    draw = np.random.default_rng(0)
    ids = [str(number) for number in range(count)]
    write_vectors(path, ids, lambda some: draw.standard_normal((len(some), 32)), shard_size=10_000)
    return path


WORKS = {  # what is done, what is written for it beforehand, and how much at once
    "score, examples": (score, examples, 400),
    "embed, passages": (embed, passages, 1000),
    "search, vectors": (search, vectors, 20_000),
    "evaluate, examples": (evaluate, examples, 100),
}


def child(name: str, source: Path, folder: Path, queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    peaks, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peaks.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    WORKS[name][0](source, folder)
    done.set()
    watcher.join()
    queue.put(max(peaks))


def anonymous() -> float:
    """Megabytes of this process that are not pages of a file, which the system can drop (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 1024


def peak(name: str, count: int) -> float:
    """Megabytes that a process held at most."""
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        source = WORKS[name][1](
            Path(folder) / "source.tsv" if "passages" in name else Path(folder) / "source.jsonl", count
        )
        queue = processes.Queue()
        process = processes.Process(target=child, args=(name, source, Path(folder), queue))
        process.start()
        value = queue.get()
        process.join()
    return value


def main(only: Annotated[list[str] | None, typer.Option(help="score, embed, search, evaluate")] = None) -> None:
    """Print megabytes beyond those of the smallest work. Example: python tests/benchmarks/memory.py --only score"""
    for name, (_, _, count) in WORKS.items():
        if only and name.partition(",")[0] not in only:
            continue
        base = peak(name, 10)
        for times in (1, 10, 100):
            print(f"{name:20} {count * times:9,}: {peak(name, count * times) - base:7.1f} MB more", flush=True)


if __name__ == "__main__":
    typer.run(main)
