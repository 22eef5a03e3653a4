"""Readers fine-tuned on few or many passages, each read with few or many: the measured rows that notebook 03 shows.

`python data/make/passages_read.py` makes data/toy/results/passages_read.json again; a stopped run goes on. Every
reader begins as the shipped T5 and sees as many passages a step. Knows nothing of notebooks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from kit.course import Course, load_course
from kit.files import read_json, write_json
from kit.metrics import exact_match
from kit.reader import FiDReader
from kit.toy import DATA
from kit.train import Optimisation, ReaderTraining, train_reader

RESULTS = DATA / "results" / "passages_read.json"


@dataclass(frozen=True)
class Sizes:
    """How much is trained and measured; the defaults are the file's."""

    train_n: tuple[int, ...] = (1, 2, 5, 10)
    test_n: tuple[int, ...] = (1, 2, 5, 10, 20)
    steps: int = 80
    passages: int = 30  # of a step: so many questions as fill it
    rate: float = 4e-4
    questions: int = 200  # measured, drawn from the test questions
    taught: int = 1000


def compare(
    path: str | Path, *, seeds: Sequence[int] = (0, 1, 2), sizes: Sizes = Sizes(), toy: Course | None = None
) -> list[dict[str, Any]]:
    """A row a reader: `trained_n` (None: not fine-tuned), `seed`, and `em`, {N read: right or wrong by question}.

    Rows are kept in `path`, and those that are there are not made again.
    """
    path, toy = Path(path), toy or load_course("toy")
    rows: list[dict[str, Any]] = read_json(path, list) if path.exists() else []
    for seed, n in [(seeds[0], None), *((seed, n) for seed in seeds for n in sizes.train_n)]:
        if any((row["seed"], row["trained_n"]) == (seed, n) for row in rows):
            continue
        reader = toy.new_reader() if n is None else _trained(toy, n, seed, sizes)
        rows.append(
            {"trained_n": n, "seed": seed, "steps": sizes.steps if n else 0, "em": _measured(toy, reader, sizes)}
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, rows, indent=None)
        print(
            f"trained at {n}, seed {seed}:",
            {m: float(np.mean(right)) for m, right in rows[-1]["em"].items()},
            flush=True,
        )
    return rows


def _trained(toy: Course, n: int, seed: int, sizes: Sizes) -> FiDReader:
    asked = random.Random(seed).sample(toy.train, min(sizes.taught, len(toy.train)))
    how = Optimisation(
        sizes.steps,
        learning_rate=sizes.rate,
        embedding_lr_multiplier=4,
        warmup_steps=max(1, sizes.steps // 10),
        seed=seed,
    )
    config = ReaderTraining(how, questions=max(1, sizes.passages // n), n_context=n)
    reader = toy.new_reader()
    train_reader(reader, asked, toy.corpus, toy.bm25.retrieve(asked, n), config, progress=False)
    return reader


def _measured(toy: Course, reader: FiDReader, sizes: Sizes) -> dict[str, list[int]]:
    questions = random.Random(0).sample(toy.test, min(sizes.questions, len(toy.test)))
    table = toy.bm25.retrieve(questions, max(sizes.test_n))
    right = {}
    for m in sizes.test_n:
        said = reader.read(questions, toy.corpus, table, n_context=m, batch_size=10, max_new_tokens=16).answers
        right[str(m)] = [int(exact_match(said[question.id], question.answers)) for question in questions]
    return right


def main(
    out: Annotated[Path, typer.Option(help="the file that the notebook reads; a stopped run goes on")] = RESULTS,
    seeds: Annotated[int, typer.Option(help="how many")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice")] = 0,
) -> None:
    """Train and measure every reader. Example: python data/make/passages_read.py --seeds 3"""
    if threads:
        torch.set_num_threads(threads)
    compare(out, seeds=range(seeds))


if __name__ == "__main__":
    typer.run(main)
