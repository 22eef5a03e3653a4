"""Every recipe trained at toy scale from one start and measured: the table of docs/recipes.md, written by
`python data/make/recipes_table.py`.

All learn from the same training questions and BM25's passages for them; the test questions' entities are new to all.
Knows nothing of how a recipe trains.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tables import Threads, markdown_table, measured_rows, recall_figures, run_command, write_between

from kit.course import Course, load_course
from kit.encoder import DualEncoder
from kit.files import write_json
from kit.metrics import answer_recall
from kit.recipes import NO_TEACHER, RECIPES, Recipe, student_of, train_recipe
from kit.retrieve import BM25, DenseRetriever, add_random_passages
from kit.shipped import DATA
from kit.teachers import READER_TEACHERS, Teacher, load_teacher
from kit.train import READER_TRAINING, ReaderTraining, train_reader
from kit.types import Question, ScoreTable

SHIPPED_TEACHERS = {"cross_encoder": "toy-bert-cat", "extractive_reader": "toy-dpr-reader"}
RECIPES_MARK, TOY_MARK = "recipes", "toy table"
WORK, PAGE, RESULTS = Path("runs/recipes"), Path("docs/recipes.md"), DATA / "results" / "recipes.json"


@dataclass(frozen=True)
class TableSizes:
    """How much is trained and measured; the defaults are the documentation's."""

    questions: int = 2000  # training questions
    test: int | None = None  # test questions; None: all
    listed: int = 8  # BM25's passages of a training question,
    drawn: int = 2  # and so many drawn from the whole corpus, for teachers to score
    steps: int | None = None  # of every recipe; None: its own
    reader: ReaderTraining = READER_TRAINING["toy"]
    ks: tuple[int, ...] = (1, 5, 20)


@dataclass(frozen=True)
class SharedData:
    """What all recipes share: where they start, what they learn from, and what they are measured on."""

    folder: Path
    toy: Course
    sizes: TableSizes
    train: Sequence[Question]
    test: Sequence[Question]
    retrieved: ScoreTable  # BM25's passages of the training questions
    cells: ScoreTable  # the same with passages drawn from the corpus: what the teachers score
    progress: bool


def toy_table(
    folder: str | Path = WORK,
    *,
    names: Sequence[str] = tuple(RECIPES),
    seeds: Sequence[int] = (0,),
    sizes: TableSizes = TableSizes(),
    toy: Course | None = None,
    log: Callable[[str], None] = print,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """A row for BM25, the start, and each recipe and seed: recall at each k on test questions, and CPU seconds.

    `teacher`: the share of training questions whose best passage, by the teacher's scores, holds the answer. The reader
    is trained once, with seed 0. Rows, reader and scores are kept in `folder`; a stopped table goes on there.
    """
    shared = prepare(Path(folder), sizes, toy or load_course("toy"), progress)
    tasks: dict[str, Callable[[], dict[str, Any]]] = {
        "BM25": lambda: _row(shared, "BM25", shared.toy.bm25, shared.retrieved),
        "start": lambda: _row(shared, "start", shared.toy.encoder),
    }
    tasks |= {f"{name}, seed {seed}": partial(measure, shared, RECIPES[name], seed) for seed in seeds for name in names}
    return measured_rows(shared.folder / "rows.json", tasks, _recalls, log)


def _recalls(row: Mapping[str, Any]) -> str:
    return "  ".join(f"R@{k} {value:.3f}" for k, value in row["recall"].items())


def prepare(folder: Path, sizes: TableSizes, toy: Course, progress: bool) -> SharedData:
    """The questions, and BM25's passages for them."""
    rng = random.Random(0)
    train = rng.sample(toy.train, min(sizes.questions, len(toy.train)))
    test = toy.test if sizes.test is None else rng.sample(toy.test, min(sizes.test, len(toy.test)))
    retrieved = toy.bm25.retrieve(train, sizes.listed)
    cells = add_random_passages(retrieved, toy.corpus, sizes.drawn, 0)
    return SharedData(folder, toy, sizes, train, test, retrieved, cells, progress)


def measure(shared: SharedData, recipe: Recipe, seed: int) -> dict[str, Any]:
    """A recipe's student, trained and measured; its seconds are the processor's, of training and a live teacher."""
    student = student_of(recipe, shared.toy.new_encoder())
    labels = recipe.teacher == NO_TEACHER
    table = shared.retrieved if labels else _scores(shared, recipe.teacher)
    second = _teacher(shared, recipe.teacher) if recipe.batches == "topic-balanced" else None
    begin = time.process_time()
    train_recipe(
        recipe, student, shared.train, shared.toy.corpus, table,
        second=second, steps=shared.sizes.steps, seed=seed, progress=shared.progress,
    )  # fmt: skip
    seconds = time.process_time() - begin
    return _row(shared, recipe.name, student, None if labels else table, seed, seconds)


def _row(
    shared: SharedData,
    name: str,
    ranker: BM25 | DualEncoder,
    scores: ScoreTable | None = None,
    seed: int = 0,
    seconds: float = 0.0,
) -> dict[str, Any]:
    corpus, ks = shared.toy.corpus, shared.sizes.ks
    retriever = ranker if isinstance(ranker, BM25) else DenseRetriever.over(ranker, corpus, batch_size=256)
    recall = recall_figures(retriever.retrieve(shared.test, max(ks)), shared.test, corpus, ks)
    first = None if scores is None else answer_recall(scores, shared.train, corpus, (1,))[1]
    return {"recipe": name, "seed": seed, "seconds": seconds, "teacher": first, "recall": recall}


def _scores(shared: SharedData, name: str) -> ScoreTable:
    """The teacher's scores for the training questions, from the folder if they are there."""
    path = shared.folder / "scores" / f"{name}.parquet"
    if not path.exists():
        teacher = _teacher(shared, name)
        teacher.score(shared.train, shared.toy.corpus, shared.cells, progress=shared.progress).save(path)
    return ScoreTable.load(path)


def _teacher(shared: SharedData, name: str) -> Teacher:
    """The teacher; the reader is trained where the folder does not hold it."""
    if name not in READER_TEACHERS:
        return load_teacher(name, SHIPPED_TEACHERS[name], device="cpu")
    place, toy = shared.folder / "reader", shared.toy
    if not (place / "config.json").exists():
        reader = toy.new_reader()
        train_reader(reader, shared.train, toy.corpus, shared.retrieved, shared.sizes.reader, progress=shared.progress)
        reader.save_pretrained(place)
    return load_teacher(name, place, device="cpu")


def recipes_markdown() -> str:
    """`RECIPES` as a table in Markdown."""
    rows = [
        (f"`{r.name}`", f"`{r.teacher}`", f"`{r.loss}`", f"`{r.family}`", r.batches, r.source) for r in RECIPES.values()
    ]
    return markdown_table(["recipe", "teacher", "loss", "student", "batches", "source"], rows)


def toy_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `toy_table` as a table in Markdown: the mean over seeds, and in brackets the lowest and highest."""
    ks, lines = list(rows[0]["recall"]), []
    for name in dict.fromkeys(row["recipe"] for row in rows):
        own = [row for row in rows if row["recipe"] == name]
        first = "" if own[0]["teacher"] is None else f"{own[0]['teacher']:.3f}"
        recall = [_spread([row["recall"][k] for row in own]) for k in ks]
        seconds = f"{np.mean([row['seconds'] for row in own]):.0f}" if name in RECIPES else ""
        seeds = ", ".join(str(row["seed"]) for row in own) if name in RECIPES else ""
        label = f"`{name}`" if name in RECIPES else name
        lines.append([label, first, *recall, seconds, seeds])
    header = ["recipe", "teacher's first", *(f"recall@{k}" for k in ks), "CPU seconds", "seeds"]
    return markdown_table(header, lines)


def _spread(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def main(
    folder: Annotated[Path, typer.Option(help="keeps reader, scores, rows; a stopped run goes on")] = WORK,
    page: Annotated[Path, typer.Option(help="the page whose tables are written")] = PAGE,
    results: Annotated[Path, typer.Option(help="the file of rows that notebook 10 shows")] = RESULTS,
    only: Annotated[list[str] | None, typer.Option(help="recipes to train [default: all]")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="of the students; several give mean and range")] = None,
    threads: Threads = 0,
) -> None:
    """Train and measure every recipe at toy scale. Example: python data/make/recipes_table.py --seed 0 --seed 1"""
    rows = toy_table(folder, names=only or tuple(RECIPES), seeds=seed or [0], progress=True)
    write_between(page, RECIPES_MARK, recipes_markdown())
    write_between(page, TOY_MARK, toy_markdown(rows))
    write_json(results, rows, indent=1)


if __name__ == "__main__":
    run_command(main)
