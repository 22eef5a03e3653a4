"""How a command ends: a user's mistake in one line and exit code 2, an interrupt in one line and 130.

An error of the kit itself keeps its traceback: it is no user's mistake.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kit.cli.options import history_file, run_folder
from kit.files import write_json
from kit.processes import is_chief
from kit.types import KitError

if TYPE_CHECKING:
    from kit.train import TrainingHistory

MISTAKE, INTERRUPTED, ENDED = 2, 130, 143


class Interrupted(Exception):
    """A command that Ctrl-C ended in good order; the text says what is kept."""


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """The exit code of one command."""
    from typer.main import get_command

    _prepare()
    warnings.showwarning = _show_warning
    try:
        code = get_command(app).main(args=list(arguments), prog_name="kit", standalone_mode=False)
        if code == INTERRUPTED:  # typer makes one of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Interrupted as stop:
        return _complain(f"kit: stopped: {stop}", INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("kit: stopped", INTERRUPTED)
    except BrokenPipeError:  # `kit ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = _mistake(error)
        if line is None:
            raise
        return _complain(line, MISTAKE)


def finish_training(history: TrainingHistory, out: Path, work: Path | None, save: Callable[[Path], None]) -> None:
    """Save the trained model in `out` and its history in `out`.json; the run's checkpoints are taken away then.

    A run that was interrupted keeps its checkpoints and ends the command.
    """
    from kit.train import clear_checkpoints

    folder = run_folder(out, work)
    if history.interrupted:
        last = history.losses[-1]["step"] if history.losses else 0
        kept = (folder / "training.json").exists()
        how = f"the same command goes on from the last checkpoint in {folder}" if kept else "no checkpoint yet"
        raise Interrupted(f"at step {last:.0f}; {how}")
    if not is_chief():
        return
    save(out)
    write_json(history_file(out), {"losses": history.losses, "evaluations": history.evaluations}, indent=None)
    clear_checkpoints(folder)
    typer.echo(f"{out} (loss {history.losses[-1]['loss']:.4f}; history in {out.name}.json)")
    for row in history.evaluations[-1:]:
        typer.echo("  ".join(f"{name} {value:.4g}" for name, value in row.items()))


def _prepare() -> None:
    """Progress that suits a log, a warning in one line, and a SIGTERM that lets files be cleaned up."""
    warnings.showwarning = lambda message, *_: print(_one_line(f"kit: warning: {message}"), file=sys.stderr)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "30")
    if hasattr(signal, "SIGTERM") and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))


def _show_warning(message: Any, category: type, *place: Any, **more: Any) -> None:
    """Show what is strange in a file as one line; another library's warning as Python does."""
    if category.__name__ == "DataWarning":
        print(f"kit: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)


def _mistake(error: Exception) -> str | None:
    """The line for an error that is the user's to mend; None for one of the kit."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return error.format_message()  # type: ignore[attr-defined]
    if isinstance(error, ModuleNotFoundError):
        from kit.extras import missing_extra

        error = missing_extra("this command", error)
    if isinstance(error, KitError):
        return f"kit: error: {error}"
    if hasattr(error, "format_message"):  # typer's, or click's for its older versions
        return _one_line(f"kit: error: {error.format_message()}{_where_help_is(error)}")
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return _one_line(f"kit: error: {name}{error.strerror or error}")
    if type(error).__name__ == "OutOfMemoryError":
        advice = "a smaller --batch or --n-context, or --device cpu"
        return _one_line(f"kit: error: --device: wanted memory enough ({advice}), given a GPU that is full")
    return None


def _where_help_is(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f" ({context.command_path} --help)" if context is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _complain(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code
