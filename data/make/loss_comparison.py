"""One student, one teacher's scores, different losses: the measured rows that notebook 07 shows.

`python data/make/loss_comparison.py` makes data/toy/results/losses.json again; a stopped run goes on. Every condition
begins with the same student and sees the same batches. Where it has several rates, the first seed is trained at each,
and the others at the one with the best recall on the dev questions. Knows nothing of notebooks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tables import Seeds, Threads, measured_rows, recall_figures, run_command

from kit.course import Course, load_course
from kit.encoder import DualEncoder
from kit.files import write_json
from kit.losses import LOSSES
from kit.metrics import answer_recall
from kit.reader import FiDReader
from kit.retrieve import BM25, DenseRetriever, add_random_passages
from kit.teachers import FiDAttention, standardised
from kit.toy import DATA
from kit.train import Distillation, Optimisation, distil
from kit.types import ScoreTable

RESULTS = DATA / "results" / "losses.json"
KS = (1, 2, 5, 10, 20, 50, 100)
RATE = 3e-4  # of `DISTILLATION["toy"]`
RATES = (RATE, 1e-3)  # for losses on the scores as they are, which may ask for long ways


@dataclass(frozen=True)
class Condition:
    """What is compared: a loss with its options, on the teacher's scores as they are or standardised."""

    loss: str
    options: Mapping[str, float] = field(default_factory=dict)
    scale: float | None = None  # standard deviation of the scores of a question after `standardised`; None: as they are
    noise: float = 0.0  # how much of its weights' own spread was added to the teacher as noise
    rates: tuple[float, ...] = (RATE,)


CONDITIONS: dict[str, Condition] = {
    "kl": Condition("kl", {"teacher_temperature": 1.0}, rates=RATES),
    "kl, teacher temperature 4": Condition("kl", {"teacher_temperature": 4.0}, rates=RATES),
    "mse": Condition("mse", rates=RATES),
    "mse, standardised": Condition("mse", scale=2.0),
    "margin_mse": Condition("margin_mse", rates=RATES),
    "margin_mse, standardised": Condition("margin_mse", scale=2.0),
    "max_margin, margin 1": Condition("max_margin", {"margin": 1.0}),
    "kl, standardised": Condition("kl", scale=2.0),
    "kl, standardised, noise 0.7": Condition("kl", scale=2.0, noise=0.7),
    "kl, standardised, noise 1": Condition("kl", scale=2.0, noise=1.0),
}


@dataclass(frozen=True)
class Sizes:
    """How much is trained and measured; the defaults are the file's."""

    questions: int = 800
    listed: int = 8  # BM25's passages of a question,
    drawn: int = 2  # and so many drawn from the corpus
    steps: int = 50
    batch: int = 12
    passages: int = 8
    test: int | None = None  # questions measured, test and dev; None: all


def noisy_reader(reader: FiDReader, noise: float, seed: int = 0) -> FiDReader:
    """A copy of the reader whose matrices, but not its embeddings, have noise of `noise` times their own spread."""
    worse = copy.deepcopy(reader)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in worse.named_parameters():
            if weight.ndim == 2 and "shared" not in name:
                drawn = torch.randn(weight.shape, generator=generator)  # on the CPU: the same on any device
                weight.add_(noise * weight.std() * drawn.to(weight))
    return worse


def compare(
    folder: str | Path,
    *,
    names: Sequence[str] = tuple(CONDITIONS),
    seeds: Sequence[int] = (0, 1, 2),
    sizes: Sizes = Sizes(),
    toy: Course | None = None,
) -> list[dict[str, Any]]:
    """The rows of all runs; they and the teachers' scores are kept in `folder` and not measured again."""
    folder = Path(folder)
    toy = toy or load_course("toy")
    start = {"seed": seeds[0], "rate": 0.0}
    measured = partial(measured_rows, folder / "rows.json", summary=lambda row: str(row["recall"]))
    baselines = {
        "BM25": lambda: {"condition": "BM25", **start, **_measured(toy, toy.bm25, sizes)},
        "start": lambda: {"condition": "start", **start, **_measured(toy, _dense(toy, toy.new_encoder()), sizes)},
    }
    rows = measured(baselines)
    for seed, name in product(seeds, names):
        first = [row for row in rows if row["condition"] == name and row["seed"] == seeds[0]]
        rates = CONDITIONS[name].rates if seed == seeds[0] else [max(first, key=lambda row: row["dev"]["5"])["rate"]]
        run = partial(_run, folder, toy, name, seed, sizes)
        rows += measured({f"{name}, seed {seed}, rate {rate}": partial(run, rate) for rate in rates})
    return rows


def _scores(folder: Path, toy: Course, noise: float, sizes: Sizes) -> ScoreTable:
    path = folder / f"scores-{noise}.parquet"
    if not path.exists():
        questions = toy.train[: sizes.questions]
        cells = add_random_passages(toy.bm25.retrieve(questions, sizes.listed), toy.corpus, sizes.drawn, seed=0)
        reader = toy.reader if noise == 0 else noisy_reader(toy.reader, noise)
        FiDAttention(reader).score(questions, toy.corpus, cells).save(path)
    return ScoreTable.load(path)


def _run(folder: Path, toy: Course, name: str, seed: int, sizes: Sizes, rate: float) -> dict[str, Any]:
    """One training and what came of it. `first`: how often the teacher's best passage holds the answer."""
    condition = CONDITIONS[name]
    scores = _scores(folder, toy, condition.noise, sizes)
    questions = toy.train[: sizes.questions]
    first = answer_recall(scores, questions, toy.corpus, [1])[1]
    table = scores if condition.scale is None else standardised(scores, scale=condition.scale)
    optimisation = Optimisation(
        sizes.steps, learning_rate=rate, embedding_lr_multiplier=60, warmup_steps=max(1, sizes.steps // 10), seed=seed
    )
    student = toy.new_encoder()
    begin = time.perf_counter()
    training = distil(
        student, questions, toy.corpus, table, partial(LOSSES[condition.loss], **condition.options),
        Distillation(optimisation, questions=sizes.batch, passages=sizes.passages), progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    return {
        "condition": name, "loss": condition.loss, "options": dict(condition.options), "scale": condition.scale,
        "noise": condition.noise, "first": first, "seed": seed, "rate": rate, "seconds": seconds,
        "losses": [round(training.losses[at]["loss"], 4) for at in (0, -1)],
        **_measured(toy, _dense(toy, student), sizes),
    }  # fmt: skip


def _dense(toy: Course, encoder: DualEncoder) -> DenseRetriever:
    return DenseRetriever.over(encoder, toy.corpus, batch_size=256)


def _measured(toy: Course, retriever: BM25 | DenseRetriever, sizes: Sizes) -> dict[str, Any]:
    """Answer recall on test ("recall") and dev questions, and how far a question's retrieved scores are apart."""
    figures: dict[str, Any] = {}
    for name, questions in (("dev", toy.dev[: sizes.test]), ("recall", toy.test[: sizes.test])):
        table = retriever.retrieve(questions, KS[-1])
        figures[name] = recall_figures(table, questions, toy.corpus, KS)
        figures["spread"] = float(np.nanmean(np.nanstd(table.values, axis=1)))
    return figures


def main(
    folder: Annotated[Path, typer.Option(help="keeps rows and scores; a stopped run goes on")] = Path("runs/losses"),
    out: Annotated[Path, typer.Option(help="the file that the notebook reads")] = RESULTS,
    seeds: Seeds = 3,
    threads: Threads = 0,
) -> None:
    """Train and measure every condition. Example: python data/make/loss_comparison.py --seeds 3"""
    rows = compare(folder, seeds=range(seeds))
    write_json(out, rows, indent=1)


if __name__ == "__main__":
    run_command(main)
