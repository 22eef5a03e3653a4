"""`kit data`: toy data, downloads, a user's own texts, and a look at files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import Regex, Seed, as_options, command, group, say, show_table
from kit.types import KitError

app = group("Write toy data, download, prepare your own texts, and check files.")


@command(app)
def toy(
    folder: Annotated[Path, typer.Argument(help="where the files are written")],
    made: Annotated[int, typer.Option(min=0, help="made-up entities beside the real ones")] = 1000,
    seed: Seed = 0,
) -> None:
    """Write the toy encyclopaedia.

    Writes passages.tsv and the questions train.jsonl, dev.jsonl and test.jsonl. Files of these names are never replaced
    unless they are just as the kit wrote them.

    \b
    Example:
      kit data toy toy
    """
    from kit.toy.files import save_world
    from kit.toy.world import build_world

    world = build_world(seed, generated=made)
    save_world(world, folder)
    counts = ", ".join(f"{len(questions):,} {split}" for split, questions in world.questions.items())
    typer.echo(f"{folder}: {len(world.passages):,} passages, questions: {counts}")


@command(app)
def download(
    name: Annotated[str | None, typer.Argument(help="a name from --list, or a model on the Hugging Face hub")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder to put it in [default: data/NAME; a checkpoint: the cache, where commands find it]"),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="show the data sets and the released checkpoints")] = False,
) -> None:
    """Download a data set or a released checkpoint.

    Questions become .jsonl, as the other commands read them. The space needed on disk is printed first; a stopped
    download resumes.

    \b
    Example:
      kit data download --list
    """
    from kit.checkpoints.datasets import DATASETS, fetch_dataset
    from kit.checkpoints.downloads import RELEASES, fetch_checkpoint

    if listed:
        rows = [(name, "data", one.note) for name, one in DATASETS.items()]
        show_table(("name", "kind", "what"), rows + [(name, one.kind, one.note) for name, one in RELEASES.items()])
        return
    if name is None:
        names = ", ".join([*DATASETS, *RELEASES])
        raise KitError("NAME", f"one of {names}, or a model's name on the hub", "none (see --list)")
    is_data = name in DATASETS
    for path in (
        fetch_dataset(name, out or Path("data") / name, say=say) if is_data else fetch_checkpoint(name, out, say=say)
    ):
        typer.echo(str(path))


@command(app)
def prepare(
    texts: Annotated[
        list[Path], typer.Argument(help="files .txt, .md, .jsonl (text, title?, id?), or folders of them")
    ],
    out: Annotated[Path, typer.Option(help="passages to write: .tsv or .jsonl, also with .gz")],
    questions: Annotated[
        list[Path] | None,
        typer.Option(
            help="questions to convert: .csv, .tsv (question, answers, id?), .json, .jsonl; beside OUT as .jsonl"
        ),
    ] = None,
    words: Annotated[int, typer.Option(min=1, help="words per passage")] = 100,
) -> None:
    """Cut your own texts into passages.

    Also converts your questions to the kit's format.

    \b
    Example:
      kit data prepare notes --questions quiz.csv --out mine/passages.tsv
    """
    from kit.data import prepare as prepare_files

    with as_options():
        count, converted = prepare_files(texts, out, questions or (), words)
    typer.echo(f"{out}: {count:,} passages of at most {words} words")
    for target, items in converted.items():
        typer.echo(f"{target}: {len(items):,} questions, {sum(bool(item.answers) for item in items):,} with answers")


@command(app)
def validate(
    files: Annotated[list[Path], typer.Argument(help="examples or questions (.json, .jsonl) or passages (.tsv)")],
    regex: Regex = False,
) -> None:
    """Look for errors in files.

    Reports counts, errors and oddities with their lines, and how many questions can be answered.

    \b
    Example:
      kit data validate toy/passages.tsv toy/test.jsonl
    """
    from kit.data import validate as look

    reports = [look(path, regex=regex) for path in files]
    for report in reports:
        typer.echo(str(report))
    if errors := sum(len(report.errors) for report in reports):
        raise KitError("kit data validate", "files without errors", f"{errors:,} in the report above")
