"""What commands share: options with one meaning everywhere, options made of a dataclass, checks of files, tables.

Imports nothing heavy.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from kit.arguments import one_of
from kit.files import refuse_overwriting
from kit.types import KitError

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:<n>; auto: the GPU if there is one")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32 or bfloat16; auto: the best for model and device")]
Tokenizer = Annotated[str | None, typer.Option("--tokenizer", help="folder or name, for checkpoints without one")]
Seed = Annotated[int, typer.Option("--seed", help="seed of the random numbers")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="how many go through the model at once")]
Questions = Annotated[int | None, typer.Option("--batch", min=1, help="questions per batch")]
Work = Annotated[
    Path | None,
    typer.Option("--work", help="folder for the run's checkpoints, to resume after a stop [default: OUT.training]"),
]
Aggregation = Annotated[
    str, typer.Option("--aggregation", help="how attention becomes a score: fid_kd, max_tokens, adist, ...")
]
EncoderModel = Annotated[
    str, typer.Option("--model", help="folder, .tar.gz, released name, model on the hub, or toy-bert to start from")
]
Family = Annotated[
    str | None,
    typer.Option("--family", help="fid-kd, dpr, bert-dot, ... for a plain BERT [default: read from its files]"),
]
PassageModel = Annotated[
    str | None, typer.Option("--passage-model", help="passage encoder of a DPR pair in two folders")
]
Regex = Annotated[bool, typer.Option("--regex", help="answers are regular expressions (CuratedTREC)")]
JsonOut = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout, all else on stderr")]
WRITTEN = ("out", "run", "predictions", "scores", "work", "folder")  # the parameters that name what is written
MODELS = ("model", "passage_model", "tokenizer", "reader", "retriever")  # those that name a model, or its folder


def group(text: str) -> typer.Typer:
    """A group of commands, with the settings of the whole command line."""
    return typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


def command(app: typer.Typer) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: a command of `app` that writes over nothing that it reads.

    Its parameters in `WRITTEN` are outputs; other paths are inputs, and so are models. A training (it has `work`) also
    writes its history and its checkpoints.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(function, eval_str=True).parameters
        paths = {name for name, one in parameters.items() if "Path" in str(one.annotation)}

        @wraps(function)
        def checked(**given: Any) -> None:
            outputs = [given[name] for name in WRITTEN if given.get(name) is not None]
            if "work" in given:
                outputs += [history_file(given["out"]), *([] if given["work"] else [run_folder(given["out"], None)])]
            inputs: list[Any] = []
            for name in (paths | set(MODELS)) - set(WRITTEN):
                inputs += value if isinstance(value := given.get(name), list) else [value]
            refuse_overwriting(outputs, filter(is_path, inputs))
            function(**given)

        return app.command()(checked)

    return register


def is_path(value: object) -> bool:
    """Whether a value names a file or folder that is there."""
    try:
        return isinstance(value, str | Path) and Path(value).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def history_file(out: Path) -> Path:
    """Where the history of a training is written that writes its model to `out`."""
    return out.with_name(f"{out.name}.json")


def run_folder(out: Path, work: Path | None) -> Path:
    """The folder of a training's checkpoints: OUT.training without --work."""
    return out.with_name(f"{out.name}.training") if work is None else work


def options_of(settings: type, parameter: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command gets an option for each field of a dataclass, with the comment beside it as help.

    What is given of them is passed as one mapping, the argument `parameter`.
    """
    helps = dict(re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(settings), flags=re.MULTILINE))
    kinds = get_type_hints(settings)
    names = [field.name for field in fields(settings)]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def gathered(**given: Any) -> None:
            changes = {name: value for name in names if (value := given.pop(name)) is not None}
            function(**given, **{parameter: changes})

        signature = inspect.signature(function, eval_str=True)
        own = [one for one in signature.parameters.values() if one.name != parameter]
        new = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kinds[name] | None, typer.Option(help=helps[name])],
            )
            for name in names
        ]
        gathered.__signature__ = signature.replace(parameters=[*own, *new])  # type: ignore[attr-defined]
        return gathered

    return decorate


@contextmanager
def as_options(**names: str) -> Iterator[None]:
    """An error about an argument of the library becomes one about an option: "recipe 'rdr', n_context" is --n-context.

    `names` {argument: option} are those that are called otherwise.
    """
    try:
        yield
    except KitError as error:
        argument = error.where.rpartition(", ")[2]
        if not argument.isidentifier():
            raise
        option = names.get(argument, f"--{argument.replace('_', '-')}")
        raise KitError(option, error.wanted, error.given) from None


def changes_of(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def with_checkpoints(optimisation: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes of a scale's optimisation, and checkpoints for trainings of minutes too: every 50 steps."""
    return {"save_every": optimisation.save_every or 50, **changes}


def file_to_write(path: Path | None, endings: Sequence[str] = (".json", ".jsonl")) -> None:
    """Raises `KitError` if a file of this name cannot be written; before the work begins."""
    from kit.data.records import file_format

    if path is not None:
        file_format(path, endings)
        if path.is_dir():
            raise KitError(str(path), "a file", "a folder")


def own_device(device: str) -> str:
    """The device of this process, checked: under `accelerate launch`, `auto` is its own GPU."""
    import os

    from kit.device import pick_device

    rank, chosen = os.environ.get("LOCAL_RANK"), pick_device(device)
    return f"cuda:{rank}" if device == "auto" and chosen.type == "cuda" and rank is not None else str(chosen)


def load_encoder(
    model: str, device: str, dtype: str, tokenizer: str | None, family: str | None, passage_model: str | None
) -> Any:
    """The bi-encoder of these options."""
    from kit.encoder import FAMILIES, DualEncoder

    if family is not None:
        one_of("--family", family, FAMILIES)
    options: Any = {"family": family, "passage_tower": passage_model, "tokenizer": tokenizer}
    return DualEncoder.from_pretrained(model, device=device, dtype=dtype, **options)


def part_of(given: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    >>> part_of("3/8")
    (3, 8)
    """
    first, _, last = given.partition("/")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise KitError("--part", "i/n with i from 0 to n - 1", repr(given))
    return int(first), int(last)


def say(line: str) -> None:
    """A line about what goes on, on stderr."""
    print(line, file=sys.stderr, flush=True)


def warn_of_unspaced(questions: Any) -> None:
    """Say on stderr how many questions have answers that text may hold and matching not find."""
    from kit.metrics import unspaced_answers

    if count := unspaced_answers(questions):
        scripts = "a script without blanks between words, and are matched only where they stand alone"
        say(f"kit: warning: the answers of {count:,} questions are in {scripts}")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns; the last column is as long as it needs."""
    lines = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  ".join([*cells, line[-1]]).rstrip())
