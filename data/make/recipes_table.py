"""Every recipe trained at toy scale from one start and measured: the table of docs/recipes.md, made again by
`python data/make/recipes_table.py`.

All learn from the same training questions and BM25's passages for them; the test questions' entities are new to all.
Knows nothing of how a recipe trains.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tables import Threads, markdown_table, measured_rows, write_between

from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.files import write_json
from kit.metrics import answer_recall
from kit.reader import FiDReader
from kit.recipes import NO_TEACHER, RECIPES, Recipe, student_of, train_recipe
from kit.retrieve import BM25, DenseRetriever, add_random_passages
from kit.shipped import DATA
from kit.teachers import READER_TEACHERS, Teacher, load_teacher
from kit.toy.world import ToyWorld, build_world
from kit.train import READER_TRAINING, ReaderTraining, train_reader
from kit.types import Question, ScoreTable

SHIPPED_TEACHERS = {"cross_encoder": "toy-bert-cat", "extractive_reader": "toy-dpr-reader"}
RECIPES_MARK, TOY_MARK = "recipes", "toy table"


@dataclass(frozen=True)
class TableSizes:
    """What the table is made of; the defaults are the documentation's."""

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
    bert: Path
    t5: Path
    pair_teachers: Mapping[str, str | Path]
    corpus: Corpus
    train: Sequence[Question]
    retrieved: ScoreTable  # BM25's passages of the training questions
    cells: ScoreTable  # the same with passages drawn from the corpus: what the teachers score
    test: Sequence[Question]
    sizes: TableSizes


def toy_table(
    folder: str | Path = "runs/recipes",
    *,
    names: Sequence[str] = tuple(RECIPES),
    seeds: Sequence[int] = (0,),
    sizes: TableSizes = TableSizes(),
    world: ToyWorld | None = None,
    bert: str | Path = DATA / "bert",
    t5: str | Path = DATA / "t5",
    pair_teachers: Mapping[str, str | Path] = SHIPPED_TEACHERS,
    say: Callable[[str], None] = print,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """A row for BM25, the start, and each recipe and seed: recall at each k on test questions, and CPU seconds.

    `teacher`: the share of training questions whose best passage, by the teacher's scores, holds the answer. The reader
    is trained once, with seed 0; `pair_teachers` are checkpoints by teacher. Rows, reader and scores are kept
    in `folder`; a stopped table goes on there.
    """
    shared = prepare(Path(folder), sizes, world or build_world(), Path(bert), Path(t5), pair_teachers)
    tasks: dict[str, Callable[[], dict[str, Any]]] = {"BM25": lambda: _baselines(shared)[0]}
    tasks["start"] = lambda: _baselines(shared)[1]
    for seed in seeds:
        for name in names:
            tasks[f"{name}, seed {seed}"] = lambda name=name, seed=seed: measure(shared, RECIPES[name], seed, progress)
    return measured_rows(shared.folder / "rows.json", tasks, _recalls, say)


def _recalls(row: Mapping[str, Any]) -> str:
    return "  ".join(f"R@{k} {value:.3f}" for k, value in row["recall"].items())


def prepare(
    folder: Path, sizes: TableSizes, world: ToyWorld, bert: Path, t5: Path, pair_teachers: Mapping[str, str | Path]
) -> SharedData:
    """The questions, and BM25's passages for them."""
    corpus = Corpus(world.passages.values())
    rng = random.Random(0)
    train = rng.sample(world.questions["train"], min(sizes.questions, len(world.questions["train"])))
    test = list(world.questions["test"])
    test = test if sizes.test is None else rng.sample(test, min(sizes.test, len(test)))
    retrieved = BM25(corpus).retrieve(train, sizes.listed)
    cells = add_random_passages(retrieved, corpus, sizes.drawn, 0)
    return SharedData(folder, bert, t5, pair_teachers, corpus, train, retrieved, cells, test, sizes)


def measure(shared: SharedData, recipe: Recipe, seed: int, progress: bool) -> dict[str, Any]:
    """A recipe's student, trained and measured; its seconds are the processor's, of training and a live teacher."""
    student = student_of(recipe, _start(shared))
    labels = recipe.teacher == NO_TEACHER
    table = shared.retrieved if labels else _scores(shared, recipe.teacher, progress)
    second = _teacher(shared, recipe.teacher, progress) if recipe.batches == "topic-balanced" else None
    begin = time.process_time()
    train_recipe(
        recipe, student, shared.train, shared.corpus, table,
        second=second, steps=shared.sizes.steps, seed=seed, progress=progress,
    )  # fmt: skip
    seconds = time.process_time() - begin
    teacher = None if labels else answer_recall(table, shared.train, shared.corpus, (1,))[1]
    row = {"recipe": recipe.name, "seed": seed, "seconds": seconds, "teacher": teacher}
    return {**row, "recall": _recall(shared, student, recipe.name)}


def _start(shared: SharedData) -> DualEncoder:
    return DualEncoder.from_pretrained(shared.bert, device="cpu")


def _recall(shared: SharedData, encoder: DualEncoder, name: str) -> dict[str, float]:
    retriever = DenseRetriever.over(encoder, shared.corpus, name=name, batch_size=256)
    table = retriever.retrieve(shared.test, max(shared.sizes.ks))
    return _keys(answer_recall(table, shared.test, shared.corpus, shared.sizes.ks))


def _baselines(shared: SharedData) -> list[dict[str, Any]]:
    bm25 = BM25(shared.corpus).retrieve(shared.test, max(shared.sizes.ks))
    first = answer_recall(shared.retrieved, shared.train, shared.corpus, (1,))[1]
    row = {"seed": 0, "seconds": 0.0}
    recall = _keys(answer_recall(bm25, shared.test, shared.corpus, shared.sizes.ks))
    return [
        {"recipe": "BM25", **row, "teacher": first, "recall": recall},
        {"recipe": "start", **row, "teacher": None, "recall": _recall(shared, _start(shared), "start")},
    ]


def _scores(shared: SharedData, name: str, progress: bool) -> ScoreTable:
    """The teacher's scores for the training questions, from the folder if they are there."""
    path = shared.folder / "scores" / f"{name}.parquet"
    if not path.exists():
        teacher = _teacher(shared, name, progress)
        teacher.score(shared.train, shared.corpus, shared.cells, progress=progress).save(path)
    return ScoreTable.load(path)


def _teacher(shared: SharedData, name: str, progress: bool) -> Teacher:
    """The teacher; the reader is trained where the folder does not hold it."""
    if name not in READER_TEACHERS:
        return load_teacher(name, shared.pair_teachers[name], device="cpu")
    place = shared.folder / "reader"
    if not (place / "config.json").exists():
        reader = FiDReader.from_pretrained(shared.t5, device="cpu")
        train_reader(reader, shared.train, shared.corpus, shared.retrieved, shared.sizes.reader, progress=progress)
        reader.save_pretrained(place)
    return load_teacher(name, place, device="cpu")


def _keys(recall: Mapping[int, float]) -> dict[str, float]:
    return {str(k): value for k, value in recall.items()}


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
    folder: Annotated[
        Path, typer.Option(help="where the reader, scores and rows are kept; a stopped run goes on")
    ] = Path("runs/recipes"),
    page: Annotated[Path, typer.Option(help="the page whose tables are written")] = Path("docs/recipes.md"),
    results: Annotated[Path, typer.Option(help="the file of rows that notebook 10 shows")] = DATA
    / "results"
    / "recipes.json",
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
    typer.run(main)
