"""Training runs of the command line: where their checkpoints are, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kit.cli.running import Interrupted
from kit.processes import is_chief

if TYPE_CHECKING:
    from kit.train import TrainingHistory


def run_folder(out: Path, work: Path | None) -> Path:
    """The folder of a run's checkpoints: OUT.training without --work."""
    return out.with_name(f"{out.name}.training") if work is None else work


def finish(training: TrainingHistory, out: Path, work: Path | None, save: Callable[[Path], None]) -> None:
    """Save the trained model in `out` and its history in `out`.json; the run's checkpoints are taken away then.

    A run that was interrupted keeps its checkpoints and ends the command.
    """
    folder = run_folder(out, work)
    if training.interrupted:
        last = training.losses[-1]["step"] if training.losses else 0
        kept = (folder / "training.json").exists()
        how = f"the same command goes on from the last checkpoint in {folder}" if kept else "no checkpoint yet"
        raise Interrupted(f"at step {last:.0f}; {how}")
    if not is_chief():
        return
    from kit.files import write_json
    from kit.train import clear_checkpoints

    save(out)
    history = {"losses": training.losses, "evaluations": training.evaluations}
    write_json(out.with_name(f"{out.name}.json"), history, indent=None)
    clear_checkpoints(folder)
    typer.echo(f"{out} (loss {training.losses[-1]['loss']:.4f}; history in {out.name}.json)")
    for row in training.evaluations[-1:]:
        typer.echo("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
