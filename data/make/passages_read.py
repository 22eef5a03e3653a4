"""Readers fine-tuned on few or many passages, each read with few or many: the measured rows that notebook 03 shows.

`python data/make/passages_read.py` makes data/toy/results/passages_read.json again; a stopped run goes on. Every
reader begins as the shipped T5 and sees as many passages a step. Knows nothing of notebooks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tables import Seeds, Threads, measured_rows, run_command

from kit.course import Course, load_course
from kit.files import write_json
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
    folder: str | Path, *, seeds: Sequence[int] = (0, 1, 2), sizes: Sizes = Sizes(), toy: Course | None = None
) -> list[dict[str, Any]]:
    """A row a reader: `trained_n` (None: not fine-tuned), `seed`, and `em`, {N read: right or wrong by question}.

    Rows are kept in `folder`, and those that are there are not measured again.
    """
    toy = toy or load_course("toy")
    runs = [(seeds[0], None), *((seed, n) for seed in seeds for n in sizes.train_n)]
    tasks = {f"trained at {n}, seed {seed}": partial(_row, toy, n, seed, sizes) for seed, n in runs}
    return measured_rows(Path(folder) / "rows.json", tasks, _exact_match)


def _exact_match(row: dict[str, Any]) -> str:
    return str({n: float(np.mean(hits)) for n, hits in row["em"].items()})


def _row(toy: Course, n: int | None, seed: int, sizes: Sizes) -> dict[str, Any]:
    reader = toy.new_reader() if n is None else _trained(toy, n, seed, sizes)
    return {"trained_n": n, "seed": seed, "steps": sizes.steps if n else 0, "em": _measured(toy, reader, sizes)}


def _trained(toy: Course, n: int, seed: int, sizes: Sizes) -> FiDReader:
    questions = random.Random(seed).sample(toy.train, min(sizes.taught, len(toy.train)))
    warmup = max(1, sizes.steps // 10)
    optimisation = Optimisation(
        sizes.steps, learning_rate=sizes.rate, embedding_lr_multiplier=4, warmup_steps=warmup, seed=seed
    )
    config = ReaderTraining(optimisation, questions=max(1, sizes.passages // n), n_context=n)
    reader = toy.new_reader()
    train_reader(reader, questions, toy.corpus, toy.bm25.retrieve(questions, n), config, progress=False)
    return reader


def _measured(toy: Course, reader: FiDReader, sizes: Sizes) -> dict[str, list[int]]:
    questions = random.Random(0).sample(toy.test, min(sizes.questions, len(toy.test)))
    table = toy.bm25.retrieve(questions, max(sizes.test_n))
    hits = {}
    for m in sizes.test_n:
        predictions = reader.read(questions, toy.corpus, table, n_context=m, batch_size=10, max_new_tokens=16).answers
        hits[str(m)] = [int(exact_match(predictions[question.id], question.answers)) for question in questions]
    return hits


def main(
    folder: Annotated[Path, typer.Option(help="keeps rows; a stopped run goes on")] = Path("runs/passages-read"),
    out: Annotated[Path, typer.Option(help="the file that the notebook reads")] = RESULTS,
    seeds: Seeds = 3,
    threads: Threads = 0,
) -> None:
    """Train and measure every reader. Example: python data/make/passages_read.py --seeds 3"""
    write_json(out, compare(folder, seeds=range(seeds)), indent=None)


if __name__ == "__main__":
    run_command(main)
