"""The toy's results over several seeds, the tables of docs/toy-results.md, written by
`python data/make/rounds_table.py runs/seed-*`.

Reads what `kit quickstart --seed N --folder runs/seed-N` left; recall is computed again from the tables there. The
figures of each round are written as well, for the notebook about rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tables import markdown_table, run_command, write_between

from kit.data import load_passages, load_questions
from kit.files import read_json, write_json
from kit.metrics import answer_ranks, bootstrap_interval, paired_test
from kit.metrics.statistics import PairedTest
from kit.shipped import DATA
from kit.types import KitError, ScoreTable

MARK = "toy results"
KS = (1, 5, 20)


def ranks_by_retriever(folder: Path) -> dict[str, np.ndarray]:
    """The rank (q,) of each test question's first passage with an answer, by retriever, in the order of the loop."""
    corpus, test = load_passages(folder / "passages.tsv"), load_questions(folder / "questions.test.jsonl")
    paths = {"BM25": folder / "round-0" / "test.parquet", "student before": folder / "before.parquet"}
    paths |= {here.name.replace("-", " "): here / "test.parquet" for here in sorted(folder.glob("round-[1-9]*"))}
    return {name: answer_ranks(ScoreTable.load(path), test, corpus) for name, path in paths.items()}


def results_table(folders: Sequence[Path]) -> str:
    """Markdown: recall by retriever and seed with 95% intervals, what changed from round to round, the reader."""
    figures = [_figures_of(folder) for folder in folders]
    ranks = [ranks_by_retriever(folder) for folder in folders]
    names = [folder.name for folder in folders]
    return "\n\n".join(
        [
            "## Answer recall on the test questions, whole corpus (95% bootstrap interval over questions)",
            markdown_table(["retriever", "k", *names, "mean"], _recall_rows(ranks)),
            "## Differences in recall, in points (95% bootstrap interval over questions; p of a randomisation test)",
            markdown_table(["from", "to", "k", *names], _difference_rows(ranks)),
            "## The reader, its attention, the evidence experiment",
            markdown_table(["figure", *names, "mean"], _figure_rows(figures)),
        ]
    )


def rounds_figures(folders: Sequence[Path]) -> dict[str, Any]:
    """{"runs": one a folder, with its `rounds`: retriever, recall at each k with its 95% interval, exact match}.

    The exact match beside BM25 is that of round 1's reader; the student before its first round was not read.
    """
    runs = []
    for folder in folders:
        figures, rounds = _figures_of(folder), []
        read = {"BM25": figures["reader"]["em"]["all"]}
        read |= {f"round {number}": one["em"] for number, one in enumerate(figures["rounds"], start=1)}
        for name, ranks in ranks_by_retriever(folder).items():
            intervals = {str(k): bootstrap_interval(ranks <= k, samples=2000) for k in KS}
            recall = {k: {"mean": i.mean, "low": i.low, "high": i.high} for k, i in intervals.items()}
            rounds.append({"retriever": name, "recall": recall, "em": read.get(name)})
        runs.append({"run": folder.name, "questions": len(ranks), "rounds": rounds})
    return {"made_by": "python data/make/rounds_table.py RUNS", "runs": runs}


def _figures_of(folder: Path) -> dict[str, Any]:
    if not (folder / "figures.json").exists():
        raise KitError(str(folder), "a finished run of kit quickstart", "no figures.json")
    return read_json(folder / "figures.json", dict)


def _recall_rows(ranks: Sequence[dict[str, np.ndarray]]) -> Any:
    for name in ranks[0]:
        for k in KS:
            hits = [run[name] <= k for run in ranks]
            intervals = [bootstrap_interval(h, samples=2000) for h in hits]
            cells = [f"{100 * i.mean:.1f} ({100 * i.low:.1f} to {100 * i.high:.1f})" for i in intervals]
            yield [name, str(k), *cells, f"{100 * np.mean([h.mean() for h in hits]):.1f}"]


def _difference_rows(ranks: Sequence[dict[str, np.ndarray]]) -> Any:
    rounds = [name for name in ranks[0] if name.startswith("round")]
    for start, end in [("BM25", rounds[-1]), *pairwise(rounds)]:
        for k in KS:
            tests = [paired_test(run[start] <= k, run[end] <= k, samples=2000) for run in ranks]
            cells = [_difference(test) for test in tests]
            yield [start, end, str(k), *cells]


def _difference(test: PairedTest) -> str:
    low, high = 100 * test.interval.low, 100 * test.interval.high
    return f"{100 * test.difference:+.1f} ({low:+.1f} to {high:+.1f}, {test.p_value:.3f})"


def _figure_rows(figures: Sequence[dict[str, Any]]) -> Any:
    paths: dict[str, tuple[Any, ...]] = {
        f"exact match, {name}": ("reader", "em", name) for name in figures[0]["reader"]["em"]
    }
    paths |= {
        "exact match before fine-tuning": ("reader", "before"),
        "exact match, closed book": ("reader", "em_closed_book"),
        "gold passage on top by attention": ("attention", "gold_top1"),
        "gold passage on top by BM25": ("attention", "bm25_gold_top1"),
        **{f"exact match, passages kept by: {name}": ("evidence", name) for name in figures[0]["evidence"]},
        **{f"exact match, round {n + 1}'s passages": ("rounds", n, "em") for n in range(len(figures[0]["rounds"]))},
    }
    for name, path in paths.items():
        values = [reduce(getitem, path, run) for run in figures]
        yield [name, *(f"{100 * value:.1f}" for value in values), f"{100 * np.mean(values):.1f}"]
    for name, key in (("seconds", "seconds"), ("peak memory, MB", "peak_memory_mb")):
        values = [run[key] for run in figures]
        yield [name, *(f"{value:.0f}" for value in values), f"{np.mean(values):.0f}"]


def main(
    folders: Annotated[list[Path], typer.Argument(help="folders of kit quickstart, one a seed")],
    page: Annotated[Path, typer.Option(help="the page whose tables are written")] = Path("docs/toy-results.md"),
    rounds: Annotated[Path, typer.Option(help="the file that the notebook reads")] = DATA / "results" / "rounds.json",
) -> None:
    """Write the tables. Example: python data/make/rounds_table.py runs/seed-0 runs/seed-1 runs/seed-2"""
    write_between(page, MARK, results_table(folders))
    write_json(rounds, rounds_figures(folders), indent=1)


if __name__ == "__main__":
    run_command(main)
