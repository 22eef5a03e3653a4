"""`kit quickstart`, `kit lab`, `kit doctor`, `kit bench`: a first look, the notebooks, and what this machine can do."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.cli.options import Device, JsonOut, Seed, named, own_device, say, show_table


def quickstart(
    folder: Annotated[Path, typer.Option(help="for the run's files: new, empty, or of an earlier run")] = Path(
        "runs/quickstart"
    ),
    seed: Seed = 0,
    as_json: JsonOut = False,
) -> None:
    """The whole loop at toy scale.

    Minutes on a CPU, nothing to download; a report to look at is in the folder. A stopped run goes on, a finished one
    is begun anew; files of another origin are never touched.

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


def lab(
    browser: Annotated[bool, typer.Option(help="open a browser window")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="port of the server")] = None,
    folder: Annotated[Path, typer.Option(help="your copies of the notebooks; what you changed stays")] = Path(
        "kit-course"
    ),
    more: Annotated[
        list[str] | None, typer.Argument(help="JupyterLab's own options, after --", show_default=False)
    ] = None,
) -> None:
    """Open the notebooks in JupyterLab, in a folder of your own.

    Copies the notebooks and their checkers there first. A newer kit renews the files that you did not change.

    \b
    Examples:
      kit lab --no-browser --port 8899
      kit lab -- --allow-root
    """
    from kit.course import copy_notebooks
    from kit.types import KitError

    if find_spec("jupyterlab") is None:
        raise KitError("kit lab", "JupyterLab (pip install jupyterlab)", "a Python without it")
    outcome = copy_notebooks(folder)
    for word in ("new", "renewed", "kept"):
        names = [name for name, result in outcome.items() if result == word]
        if names:
            say(f"{folder}: {word}: {', '.join(names) if word != 'new' else f'{len(names)} files'}")
    command = [sys.executable, "-m", "jupyterlab", str(folder)]
    command += [] if browser else ["--no-browser"]
    command += [] if port is None else ["--port", str(port)]
    command += more or []
    process = subprocess.Popen(command)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which asks before it ends
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    raise typer.Exit(code)


def doctor(as_json: JsonOut = False) -> None:
    """Look what stands in the way here.

    Python, packages, GPU, memory, threads; exit code 1 where something is wrong.

    \b
    Example:
      kit doctor
    """
    from dataclasses import asdict

    from kit.doctor import checks

    found = checks()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in found]))
    else:
        rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in found]
        show_table(("", "check", "found"), rows)
        for check in found:
            if check.advice:
                typer.echo(f"\n{check.name}: {check.advice}")
    raise typer.Exit(0 if all(check.ok for check in found) else 1)


def bench(
    size: Annotated[str, typer.Option(help="of the models: tiny, small, base or large")] = "small",
    passages: Annotated[int, typer.Option(min=1, help="passages a question that the reader reads")] = 10,
    corpus: Annotated[int, typer.Option(min=1, help="passages of the corpus to plan for")] = 21_015_324,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: JsonOut = False,
) -> None:
    """Measure this machine, and plan.

    Reader, encoder and search; and what a whole corpus (Wikipedia's 21 million passages) would take, which is an
    extrapolation. Models have random weights and those sizes (base: T5-base and BERT-base): nothing is downloaded. The
    default takes under a minute on two CPU cores.

    \b
    Example:
      kit bench --size tiny --passages 5
    """
    from kit.bench import SIZES, run_bench

    named("--size", size, SIZES)
    with redirect_stdout(sys.stderr):
        found = run_bench(size, n_context=passages, corpus=corpus, device=own_device(device), seed=seed, say=say)
    if as_json:
        typer.echo(json.dumps(without_nan(found.to_json())))
        return
    typer.echo(f"{found.machine}\n")
    show_table(
        ("measured", "value", "unit", "note"), [(m.name, f"{m.value:,.4g}", m.unit, m.note) for m in found.measures]
    )
    typer.echo("\nagainst the plain way, in this run (above 1: the kit's way is faster)")
    show_table(("ratio", "times", "of what"), [(r.name, f"{r.value:.2f}", r.note) for r in found.ratios])
    typer.echo("\nof the matmul peak, in this run")
    show_table(("share", "of peak", "for what"), [(one.name, f"{one.value:.0%}", one.note) for one in found.shares])
    typer.echo(f"\nextrapolated to {corpus:,} passages (a plan, not a measurement)")
    show_table(("plan", "value", "unit", "how"), [(m.name, f"{m.value:,.4g}", m.unit, m.note) for m in found.plan])


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


def without_nan(value: Any) -> Any:
    """The value with None in place of numbers that JSON does not have.

    >>> without_nan({"em": [0.5, float("nan")]})
    {'em': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
