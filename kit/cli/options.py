"""What commands share: options with one meaning everywhere, checks at the border, and plain tables.

Imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:<n>; auto: the GPU where there is one")]
Dtype = Annotated[
    str, typer.Option("--dtype", help="auto, float32 or bfloat16; auto: what the model is best computed in")
]
Tokenizer = Annotated[str | None, typer.Option("--tokenizer", help="folder or name, for checkpoints without one")]
Seed = Annotated[int, typer.Option("--seed", help="of the random numbers")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="how many go through the model together")]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="steps of the optimiser; the warm-up is scaled along")
]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", min=0.0, help="of the optimiser")]
Accumulate = Annotated[int | None, typer.Option("--accumulate", min=1, help="batches whose gradients make a step")]
Precision = Annotated[str | None, typer.Option("--precision", help="no or bf16 (mixed precision)")]
SaveEvery = Annotated[
    int | None, typer.Option("--save-every", min=1, help="steps between checkpoints [default: the scale's, or 50]")
]
Work = Annotated[
    Path | None,
    typer.Option("--work", help="folder for checkpoints of the run, to go on after a stop [default: OUT.training]"),
]
Aggregation = Annotated[
    str, typer.Option("--aggregation", help="how attention becomes a score: fid_kd, max_tokens, adist, ...")
]
JsonOut = Annotated[bool, typer.Option("--json", help="one JSON object alone on stdout, all else on stderr")]


def group(text: str) -> typer.Typer:
    """A group of commands, with the settings of the whole command line."""
    return typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


def named(option: str, given: str, names: Collection[str]) -> str:
    """What was given, which is one of the names; `KitError` else."""
    from kit.types import KitError

    if given not in names:
        raise KitError(option, f"one of {', '.join(names)}", repr(given))
    return given


def own_device(device: str) -> str:
    """The device of this process, checked: under `accelerate launch`, `auto` is its own GPU."""
    from kit.device import pick_device

    rank, chosen = os.environ.get("LOCAL_RANK"), pick_device(device)
    return f"cuda:{rank}" if device == "auto" and chosen.type == "cuda" and rank is not None else str(chosen)


def file_to_write(path: Path | None, endings: Sequence[str] = (".json", ".jsonl")) -> Path | None:
    """The path, whose name and place suit; looked at before the work begins."""
    from kit.data.records import file_format
    from kit.types import KitError

    if path is None:
        return None
    file_format(path, endings)
    if path.is_dir():
        raise KitError(str(path), "a file", "a folder")
    return path


def refuse_overwriting(outputs: Iterable[Path | None], inputs: Iterable[Path | str | None]) -> None:
    """Raises `KitError` if a file to be written is one that is read, or is written twice."""
    from kit.types import KitError

    read = [Path(path) for path in inputs if path is not None and Path(path).exists()]
    written: list[Path] = []
    for path in (path for path in outputs if path is not None):
        folders = [one.resolve() for one in read if one.is_dir()]
        if path.exists() and (
            any(path.samefile(one) for one in read) or any(path.resolve().is_relative_to(one) for one in folders)
        ):
            raise KitError(str(path), "another file than those that are read", "one of them")
        if path.resolve() in written:
            raise KitError(str(path), "a file for each output", "one file twice")
        written.append(path.resolve())


def folder_to_write(path: Path, marks: Collection[str], what: str) -> Path:
    """The folder, which is new, empty, or holds an earlier result (one of the files `marks`)."""
    from kit.files import contents
    from kit.types import KitError

    if path.exists() and not path.is_dir():
        raise KitError(str(path), f"a folder for {what}", "a file")
    if path.is_dir() and contents(path) and not any((path / mark).exists() for mark in marks):
        raise KitError(str(path), f"a new folder, or one with an earlier {what}", "a folder with other files")
    return path


def optimised(optimisation: Any, **changes: Any) -> Any:
    """A scale's optimisation with what was given on the command line (None: as it is).

    Checkpoints are always kept on the way, for trainings of minutes too: every 50 steps.
    """
    changes["save_every"] = changes.get("save_every") or optimisation.save_every or 50
    given = {name: value for name, value in changes.items() if value is not None}
    if "steps" in given:
        given["warmup_steps"] = round(optimisation.warmup_steps * given["steps"] / optimisation.steps)
    if given.get("precision") is not None:
        named("--precision", given["precision"], ("no", "bf16"))
    return replace(optimisation, **given)


def changed(settings: Any, **changes: Any) -> Any:
    """A frozen dataclass with what was given on the command line (None: as it is)."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def say(line: str) -> None:
    """A line about what goes on, on stderr."""
    print(line, file=sys.stderr, flush=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns; the last column is as long as it needs."""
    lines = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  ".join([*cells, line[-1]]).rstrip())
