"""`kit data`: toy data, downloads, a user's own texts, and a look at files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Seed, file_to_write, folder_to_write, group, refuse_overwriting, say, show_table

if TYPE_CHECKING:
    from kit.types import Passage

app = group("Toy data, downloads, your own texts, and checks of files.")


@app.command()
def toy(
    folder: Annotated[Path, typer.Argument(help="where the files are written")],
    made: Annotated[int, typer.Option(min=0, help="made-up entities beside the real ones")] = 1000,
    seed: Seed = 0,
) -> None:
    """Write the toy encyclopaedia.

    Its files: passages.tsv, and questions train.jsonl, dev.jsonl and test.jsonl.

    \b
    Example:
      kit data toy toy
    """
    from kit.data import save_passages, save_questions
    from kit.toy.world import build_world

    folder_to_write(folder, ("passages.tsv",), "toy data")
    world = build_world(seed, generated=made)
    for split, questions in world.questions.items():
        save_questions(folder / f"{split}.jsonl", questions)
    save_passages(folder / "passages.tsv", world.passages.values())
    counts = ", ".join(f"{len(questions):,} {split}" for split, questions in world.questions.items())
    typer.echo(f"{folder}: {len(world.passages):,} passages, questions: {counts}")


@app.command()
def download(
    name: Annotated[str | None, typer.Argument(help="a name of --list, or of a model on the Hugging Face hub")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder to put it in [default: data/NAME; a checkpoint: the cache, where commands find it]"),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="show the data sets and the released checkpoints")] = False,
) -> None:
    """Fetch a data set or a released checkpoint.

    Questions become .jsonl, as the other commands read them. What it takes on the disk is said first; a stopped
    download goes on.

    \b
    Example:
      kit data download --list
    """
    from kit.checkpoints import RELEASES
    from kit.checkpoints.datasets import DATASETS
    from kit.types import KitError

    if listed:
        rows = [(name, "data", one.note) for name, one in DATASETS.items()]
        show_table(("name", "kind", "what"), rows + [(name, one.kind, one.note) for name, one in RELEASES.items()])
        return
    if name is None:
        known = ", ".join([*DATASETS, *RELEASES])
        raise KitError("NAME", f"one of {known}, or a model's name on the hub", "none (see --list)")
    for path in _fetch_data(name, out or Path("data") / name) if name in DATASETS else _fetch(name, out):
        typer.echo(str(path))


def _fetch_data(name: str, out: Path) -> Iterator[Path]:
    """The files of a data set: passages as they came, questions as .jsonl, counted."""
    from kit.checkpoints.datasets import DATASETS, download_file_of
    from kit.data import load_questions, save_questions
    from kit.types import KitError

    for file in DATASETS[name].files:
        made = out / f"{file.name.partition('.')[0]}.jsonl"
        if ".qa." not in file.name:
            yield download_file_of(file, out, say=say)
        elif not made.exists():
            came = download_file_of(file, out, say=say)
            questions = load_questions(came)
            if len(questions) != file.records:
                raise KitError(file.address, f"{file.records:,} questions", f"{len(questions):,} (kept in {came})")
            save_questions(made, questions)
            came.unlink()
        if made.exists():
            yield made


def _fetch(name: str, out: Path | None) -> Iterator[Path]:
    """The folders of a checkpoint: two for a DPR or RDR pair."""
    from kit.checkpoints import RELEASES, resolve
    from kit.checkpoints.downloads import download as fetch
    from kit.checkpoints.downloads import fetch_from_hub
    from kit.encoder.files import names_of_pair

    pair = names_of_pair(name)
    if pair is not None:
        for tower in pair:
            yield fetch_from_hub(tower, None if out is None else out / tower.rpartition("/")[2], say=say)
    elif out is None:
        yield resolve(name)
    elif name in RELEASES:
        yield fetch(name, out, say=say)
    else:
        yield fetch_from_hub(name, out / name.rpartition("/")[2], say=say)


@app.command()
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
    words: Annotated[int, typer.Option(min=1, help="words of a passage")] = 100,
) -> None:
    """Cut your own texts into passages.

    And bring your questions into the kit's format.

    \b
    Example:
      kit data prepare notes --questions quiz.csv --out mine/passages.tsv
    """
    from kit.cli.own_texts import documents
    from kit.data import cut_passages, load_questions, save_passages, save_questions
    from kit.types import KitError

    file_to_write(out, (".tsv", ".jsonl"))
    refuse_overwriting((out,), (*texts, *(questions or ())))
    asked = {out.parent / f"{path.name.split('.')[0]}.jsonl": load_questions(path) for path in questions or ()}
    taken = [target for target in asked if target.exists() and any(target.samefile(path) for path in questions or ())]
    if taken or len(asked) < len(questions or ()) or out in asked:
        given = taken[0] if taken else "names that would be one file"
        raise KitError("--questions", f"files that can be written anew in {out.parent}", given)
    count = 0

    def counted() -> Iterator[Passage]:
        nonlocal count
        for passage in cut_passages(documents(texts), words):
            count += 1
            yield passage
        if not count:
            raise KitError(str(texts[0]), "texts with words", "none")

    save_passages(out, counted())
    typer.echo(f"{out}: {count:,} passages of at most {words} words")
    for target, items in asked.items():
        save_questions(target, items)
        typer.echo(f"{target}: {len(items):,} questions, {sum(bool(item.answers) for item in items):,} with answers")


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="examples or questions (.json, .jsonl) or passages (.tsv)")],
    regex: Annotated[bool, typer.Option("--regex", help="answers are regular expressions (CuratedTREC)")] = False,
) -> None:
    """Look for errors in files.

    Reports counts, errors with their lines, what looks odd, and how many questions can be answered.

    \b
    Example:
      kit data validate toy/passages.tsv toy/test.jsonl
    """
    from kit.data import validate as look
    from kit.types import KitError

    errors = 0
    for path in files:
        report = look(path, regex=regex)
        typer.echo(str(report))
        errors += len(report.errors)
    if errors:
        raise KitError("kit data validate", "files without errors", f"{errors:,} in the report above")
