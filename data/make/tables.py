"""What the makers share: options of a long run, rows that are kept as they are measured, tables in a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from kit.files import read_json, write_json, written_aside
from kit.metrics import answer_recall
from kit.train import TrainingHistory
from kit.types import KitError, Passage, Question, ScoreTable


def _set_threads(count: int) -> int:
    if count:
        torch.set_num_threads(count)
    return count


Threads = Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice", callback=_set_threads)]
Seeds = Annotated[int, typer.Option(help="how many")]


def run_command(command: Callable[..., None]) -> None:
    """Runs a maker's command line; a user's mistake is one line, with exit code 2."""
    try:
        typer.run(command)
    except KitError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


def exit_if_interrupted(history: TrainingHistory, work: Path) -> None:
    """Ends the command after an interrupt, with a line that says how to go on."""
    if history.interrupted:
        typer.echo(f"stopped; run it again to go on from the last checkpoint in {work}", err=True)
        raise typer.Exit(130)


def measured_rows(
    path: Path,
    tasks: Mapping[str, Callable[[], dict[str, Any]]],
    summary: Callable[[dict[str, Any]], str],
    log: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """The row of each task, in order. Rows are kept in `path` by the task's key, and what is there is not measured."""
    rows: dict[str, dict[str, Any]] = read_json(path, dict) if path.exists() else {}
    for key, task in tasks.items():
        if key not in rows:
            rows[key] = task()
            write_json(path, rows, indent=1)
            log(f"{key}: {summary(rows[key])}")
    return [rows[key] for key in tasks]


def recall_figures(
    table: ScoreTable, questions: Sequence[Question], corpus: Mapping[str, Passage], ks: Sequence[int]
) -> dict[str, float]:
    """Answer recall at each k, under the names that JSON gives them."""
    return {str(k): value for k, value in answer_recall(table, questions, corpus, ks).items()}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    >>> print(markdown_table(["k", "recall"], [["1", ".65"]]))
    | k | recall |
    |---|---|
    | 1 | .65 |
    """
    return "\n".join([_line(header), "|" + "---|" * len(header), *(_line(row) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_between(path: str | Path, mark: str, text: str) -> None:
    """Put `text` between the lines `<!-- mark -->` and `<!-- end of mark -->` of a file."""
    path = Path(path)
    page = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise KitError(str(path), f"one line {begin.strip()} and after it one {end}", "none, or several")
    before, rest = page.split(begin)
    with written_aside(path) as aside:
        aside.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
