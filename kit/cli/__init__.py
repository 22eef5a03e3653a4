"""The command line: `kit --help`. Parses and calls; what it does is done by the library.

Commands import what they need when they run, so that `--help` is quick. A user's mistake is one line on stderr and exit
code 2, Ctrl-C is exit code 130; see `kit.cli.running`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from kit.cli import data, reader, retriever, start
from kit.cli.options import command
from kit.cli.running import run

app = typer.Typer(
    name="kit",
    help="Train a reader, see what it attends to, and teach a retriever from that.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for one in (start.quickstart, start.lab, start.doctor):
    command(app)(one)
app.add_typer(data.app, name="data")
app.add_typer(reader.app, name="reader")
app.add_typer(retriever.app, name="retriever")
for other in (start.rounds, start.bench, start.course):
    command(app)(other)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command, those of this process by default, and end the process with its exit code."""
    sys.exit(run(app, sys.argv[1:] if arguments is None else list(arguments)))
