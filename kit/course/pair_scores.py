"""What the toy's trained pair teachers say of some test questions' passages: the two small tables of notebook 10.

The teachers take many minutes to train, so the notebook trains them for a moment only and reads these tables. They are
made by `python -m kit.course.pair_scores --folder runs/recipes`, from the folder that `python -m kit.recipes.table`
leaves. Knows nothing of notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from kit.course.ground import Ground, ground
from kit.recipes import load_teacher
from kit.toy import DATA
from kit.types import Question, ScoreTable

RESULTS = DATA / "results"
TEACHERS = ("relevance", "cross_encoder")  # as `kit.recipes.load_teacher` names them
QUESTIONS, LISTED = 120, 8


def pair_cells(toy: Ground, count: int = QUESTIONS) -> tuple[Sequence[Question], ScoreTable]:
    """The first `count` test questions, and BM25's first passages of each, which the tables score."""
    asked = toy.test[:count]
    return asked, toy.bm25.retrieve(asked, LISTED)


def pair_table(name: str, folder: str | Path = RESULTS) -> ScoreTable:
    """The table of a pair teacher, "relevance" or "cross_encoder", as it was written."""
    return ScoreTable.load(Path(folder) / f"{name}.parquet")


def main(
    folder: Annotated[Path, typer.Option(help="what kit.recipes.table left: teachers/relevance, ...")] = Path(
        "runs/recipes"
    ),
    out: Annotated[Path, typer.Option(help="where the tables are written")] = RESULTS,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice")] = 0,
) -> None:
    """Score the questions with both teachers. Example: python -m kit.course.pair_scores --folder runs/recipes"""
    if threads:
        torch.set_num_threads(threads)
    toy = ground("toy")
    asked, cells = pair_cells(toy)
    for name in TEACHERS:
        teacher = load_teacher(name, folder / "teachers" / name, device="cpu")
        teacher.score(asked, toy.corpus, cells).save(out / f"{name}.parquet")
        print(f"{name}: {out / name}.parquet", flush=True)


if __name__ == "__main__":
    typer.run(main)
