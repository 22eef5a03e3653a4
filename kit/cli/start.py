"""`kit quickstart`, `rounds`, `lab`, `course`, `doctor`, `bench`: whole runs, the notebooks, and this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.arguments import one_of
from kit.cli.options import (
    Aggregation,
    Device,
    JsonOut,
    Seed,
    changes_of,
    own_device,
    say,
    show_table,
    with_checkpoints,
)
from kit.files import refuse_strangers, without_nan
from kit.types import KitError


def quickstart(
    folder: Annotated[Path, typer.Option(help="folder for the run's files: new, empty, or an earlier run's")] = Path(
        "runs/quickstart"
    ),
    seed: Seed = 0,
    as_json: JsonOut = False,
) -> None:
    """Run the whole loop at toy scale.

    Takes minutes on a CPU and downloads nothing; writes a report into the folder. A stopped run resumes, a finished
    one starts again; other files are never touched.

    \b
    Example:
      kit quickstart --folder runs/quickstart
    """
    from kit.quickstart import run_quickstart

    with redirect_stdout(sys.stderr):  # nothing but the result on stdout
        figures = run_quickstart(folder, seed=seed, log=say, progress=sys.stderr.isatty())
    page = folder / "report.html"
    report = {"report": str(page)} if page.exists() else {}
    if as_json:
        typer.echo(json.dumps(without_nan(figures) | report))
        return
    show_table(("figure", "value"), flat(figures))
    if report:
        typer.echo(f"\nreport: {page}")


def rounds(
    folder: Annotated[Path, typer.Argument(help="everything is written here; a stopped loop resumes")],
    train: Annotated[Path, typer.Option(help="training questions with answers, .json or .jsonl")],
    test: Annotated[Path, typer.Option(help="questions to measure on, .json or .jsonl")],
    passages: Annotated[Path, typer.Option(help="the corpus, .tsv or .jsonl")],
    reader: Annotated[str, typer.Option(help="T5 that each round's reader starts from")] = "toy-t5",
    retriever: Annotated[str, typer.Option(help="BERT or retriever that the student starts from")] = "toy-bert",
    rounds: Annotated[int, typer.Option(min=1, help="number of rounds")] = 2,
    k: Annotated[int | None, typer.Option(min=2, help="passages retrieved per question")] = None,
    n_context: Annotated[int | None, typer.Option(min=1, help="passages read to measure exact match")] = None,
    scored: Annotated[int | None, typer.Option(min=2, help="passages scored per question")] = None,
    loss: Annotated[str, typer.Option(help="kl, mse, margin_mse, ...")] = "kl",
    aggregation: Aggregation = "fid_kd",
    scale: Annotated[str, typer.Option(help="toy or full: how reader and student are trained")] = "toy",
    reader_steps: Annotated[int | None, typer.Option(min=1, help="steps of the reader's training")] = None,
    student_steps: Annotated[int | None, typer.Option(min=1, help="steps of the student's training")] = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Repeat: read, score, distil, search.

    Round 0 is BM25; each round trains a new reader, and continues with the student.

    \b
    Example:
      kit rounds toy/rounds --train toy/train.jsonl --test toy/test.jsonl --passages toy/passages.tsv --rounds 1
    """
    from kit.data import load_passages, load_questions

    refuse_strangers(folder, ("plan.json",), "loop of rounds")
    splits = {"--train": load_questions(train), "--test": load_questions(test)}
    for option, questions in splits.items():
        if not questions or not all(question.answers for question in questions):
            raise KitError(option, "questions, each with an answer", "none" if not questions else "some without")
    corpus = load_passages(passages)
    from kit.attention import AGGREGATIONS
    from kit.encoder import DualEncoder
    from kit.losses import LOSSES
    from kit.reader import FiDReader
    from kit.retrieve import BM25
    from kit.rounds import RoundsPlan, run_rounds
    from kit.train import DISTILLATION, READER_TRAINING

    configs: Any = {"reader": READER_TRAINING[one_of("--scale", scale, DISTILLATION)]}
    configs["student"] = DISTILLATION[scale].for_loss(one_of("--loss", loss, LOSSES))
    for name, steps in (("reader", reader_steps), ("student", student_steps)):
        how = configs[name].optimisation
        changes = with_checkpoints(how, changes_of(steps=steps, seed=seed))
        configs[name] = replace(configs[name], optimisation=how.changed(**changes))
    one_of("--aggregation", aggregation, AGGREGATIONS)
    plan = RoundsPlan(
        rounds=rounds, loss=loss, aggregation=aggregation, seed=seed, **configs,
        **changes_of(retrieved=k, read=n_context, scored=scored),
    )  # fmt: skip
    plan = replace(plan, ks=tuple(k for k in (1, 5, 20, 100) if k <= plan.retrieved))
    place = own_device(device)
    encoder = DualEncoder.from_pretrained(retriever, device=place)
    results = run_rounds(
        folder, splits["--train"], splits["--test"], corpus, BM25(corpus),
        lambda: FiDReader.from_pretrained(reader, device=place, dtype="float32"), encoder, plan,
        say=say, progress=sys.stderr.isatty(),
    )  # fmt: skip
    rows = [(one.number, one.retriever, *(f"{one.recall[k]:.3f}" for k in plan.ks), f"{one.em:.3f}") for one in results]
    show_table(("round", "retriever", *(f"R@{k}" for k in plan.ks), "EM"), rows)


def lab(
    browser: Annotated[bool, typer.Option(help="open a browser window")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="port of the server")] = None,
    folder: Annotated[Path, typer.Option(help="your copies of the notebooks; your changes are kept")] = Path(
        "kit-course"
    ),
    more: Annotated[
        list[str] | None, typer.Argument(help="JupyterLab's own options, after --", show_default=False)
    ] = None,
) -> None:
    """Open the notebooks in JupyterLab, in a folder of your own.

    Copies the notebooks and their checkers there first. A newer kit updates the files that you did not change.

    \b
    Examples:
      kit lab --no-browser --port 8899
      kit lab -- --allow-root
    """
    from kit.course import open_lab

    options = [] if browser else ["--no-browser"]
    options += [] if port is None else ["--port", str(port)]
    raise typer.Exit(open_lab(folder, [*options, *(more or [])], say=say))


def course(
    out: Annotated[Path, typer.Option(help="folder for the pages")] = Path("site"),
    notebooks: Annotated[Path | None, typer.Option("--folder", help="folder of notebooks [default: the kit's]")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="only notebooks whose names begin like this (07); may be repeated")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="notebooks run at once; with more than one, one thread each")] = 1,
    timeout: Annotated[int, typer.Option(min=1, help="seconds that one cell may take")] = 1200,
) -> None:
    """Render the course as HTML pages.

    Runs every notebook and writes a page of each, with figures, exported explorers and an index; the pages load nothing
    from the network. Takes as long as the notebooks do, about a minute each.

    \b
    Example:
      kit course --out site --only 00 --only 12
    """
    from kit.course.hosting import HOSTING, load_hosting
    from kit.course.site import find_notebooks, make_course
    from kit.shipped import NOTEBOOKS

    place = notebooks or NOTEBOOKS
    paths, hosting = find_notebooks(place, only or ()), load_hosting(place / HOSTING)
    typer.echo(str(make_course(out, paths, hosting, jobs=jobs, timeout=timeout, say=say)))


def doctor(as_json: JsonOut = False) -> None:
    """Check this installation and this machine.

    Python, packages, GPU, memory, threads; exit code 1 if something is wrong.

    \b
    Example:
      kit doctor
    """
    from kit.doctor import checks

    results = checks()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in results]))
    else:
        rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in results]
        show_table(("", "check", "found"), rows)
        for check in results:
            if check.advice:
                typer.echo(f"\n{check.name}: {check.advice}")
    raise typer.Exit(0 if all(check.ok for check in results) else 1)


def bench(
    size: Annotated[str, typer.Option(help="size of the models: tiny, small, base or large")] = "small",
    passages: Annotated[int, typer.Option(min=1, help="passages that the reader reads per question")] = 10,
    corpus: Annotated[int, typer.Option(min=1, help="passages of the corpus to plan for")] = 21_015_324,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: JsonOut = False,
) -> None:
    """Measure this machine, and extrapolate.

    Measures reader, encoder and search, and extrapolates to a whole corpus (Wikipedia's 21 million passages). Models
    have random weights and the given size (base: T5-base and BERT-base): nothing is downloaded. The default takes under
    a minute on two CPU cores.

    \b
    Example:
      kit bench --size tiny --passages 5
    """
    from kit.bench import SIZES, run_bench

    one_of("--size", size, SIZES)
    with redirect_stdout(sys.stderr):
        result = run_bench(size, n_context=passages, corpus=corpus, device=own_device(device), seed=seed, say=say)
    if as_json:
        typer.echo(json.dumps(without_nan(result.to_json())))
        return
    typer.echo(f"{result.machine}\n")
    columns = ("measured", "value", "unit", "note")
    show_table(columns, [(m.name, f"{m.value:,.4g}", m.unit, m.note) for m in result.measures])
    typer.echo("\nagainst the plain way, in this run (above 1: the kit's way is faster)")
    show_table(("ratio", "times", "of what"), [(r.name, f"{r.value:.2f}", r.note) for r in result.ratios])
    typer.echo("\nof the matmul peak, in this run")
    show_table(("share", "of peak", "for what"), [(one.name, f"{one.value:.0%}", one.note) for one in result.shares])
    typer.echo(f"\nextrapolated to {corpus:,} passages (a plan, not a measurement)")
    show_table(("plan", "value", "unit", "how"), [(m.name, f"{m.value:,.4g}", m.unit, m.note) for m in result.plan])


def flat(figures: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """(name, value) of each number or text in nested mappings; names joined by blanks, lists left out.

    >>> flat({"reader": {"em": 0.51234}, "losses": [3, 2]})
    [('reader em', '0.512')]
    """
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{before}{name} ")
        elif isinstance(value, float):
            rows.append((f"{before}{name}", f"{value:.3f}"))
        elif not isinstance(value, list | tuple):
            rows.append((f"{before}{name}", str(value)))
        elif value and all(isinstance(item, Mapping) and "number" in item for item in value):
            for item in value:
                rest = {key: part for key, part in item.items() if key != "number"}
                rows += flat(rest, f"{before}{name} {item['number']} ")
    return rows
