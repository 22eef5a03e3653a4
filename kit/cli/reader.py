"""`kit reader`: train a reader, measure its answers, and let it (or another teacher) score passages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.arguments import one_of
from kit.cli.options import (
    Aggregation,
    Batch,
    Device,
    Dtype,
    Questions,
    Regex,
    Seed,
    Tokenizer,
    Work,
    as_options,
    changes_of,
    command,
    file_to_write,
    group,
    options_of,
    own_device,
    run_folder,
    show_table,
    warn_of_unspaced,
    with_checkpoints,
)
from kit.cli.running import finish_training
from kit.files import refuse_strangers
from kit.optimisation import Optimisation
from kit.processes import is_chief
from kit.types import KitError

app = group("Train a reader, measure it, and let it score passages.")

Examples = Annotated[Path, typer.Argument(help="questions with passages, .json or .jsonl as FiD's (.gz too)")]
Model = Annotated[
    str, typer.Option("--model", help="folder, .tar.gz, released name, model on the hub, or toy-t5 to start from")
]
ClosedBook = Annotated[bool, typer.Option("--closed-book", help="allow questions without passages")]


@command(app)
@options_of(Optimisation, "optimisation")
def train(
    examples: Examples,
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the trained reader")],
    *,
    scale: Annotated[
        str, typer.Option(help="preset: toy, full (FiD's base) or full-large; options override it")
    ] = "toy",
    dev: Annotated[Path | None, typer.Option(help="examples to measure on; the best state is kept")] = None,
    batch: Questions = None,
    n_context: Annotated[int | None, typer.Option(min=1, help="best passages per question")] = None,
    tokenizer: Tokenizer = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="tokens of question and passage together")] = None,
    closed_book: ClosedBook = False,
    work: Work = None,
    device: Device = "auto",
    optimisation: dict[str, Any],
) -> None:
    """Train a reader on answers.

    The reader learns to answer each question from its best passages.

    The same command resumes a stopped run. Several GPUs: `accelerate launch -m kit.cli reader train ...`; two
    processes on a CPU: `torchrun --nproc-per-node 2 -m kit.cli reader train ...`.

    \b
    Example:
      kit reader train toy/train.bm25.jsonl --model toy-t5 --out toy/reader --steps 200
    """
    refuse_strangers(out, ("kit_reader.json",), "reader")
    questions, corpus, table = _examples(examples, closed_book)
    measured = None if dev is None else _examples(dev, closed_book)
    from kit.reader import FiDReader
    from kit.train import READER_TRAINING, RunOptions, exact_match_of, train_reader

    config = READER_TRAINING[one_of("--scale", scale, READER_TRAINING)]
    with as_options():
        changes = with_checkpoints(config.optimisation, optimisation)
        config = replace(config, **changes_of(questions=batch, n_context=n_context))
        config = replace(config, optimisation=config.optimisation.changed(**changes))
    reader = FiDReader.from_pretrained(
        model, device=own_device(device), dtype="float32", tokenizer=tokenizer, max_tokens=max_tokens
    )
    run = RunOptions(folder=run_folder(out, work))
    if measured is not None:
        run |= {"evaluate": exact_match_of(reader, measured, config.n_context), "best": "em"}
    history = train_reader(reader, questions, corpus, table, config, **run)
    finish_training(history, out, work, reader.save_pretrained)


@command(app)
def evaluate(
    examples: Examples,
    model: Model,
    n_context: Annotated[
        list[int] | None,
        typer.Option(min=1, help="best passages read; repeat it to compare several numbers [default: all]"),
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="answers to write, .jsonl")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="passages read, with attention scores, to write as FiD's .jsonl")
    ] = None,
    regex: Regex = False,
    closed_book: ClosedBook = False,
    max_answer: Annotated[int, typer.Option(min=1, help="most tokens of an answer")] = 50,
    aggregation: Aggregation = "fid_kd",
    batch: Batch = 8,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Let a reader answer questions, and measure.

    Exact match, F1, and the share of questions whose passages hold an answer, with 95% bootstrap intervals over
    questions.

    \b
    Example:
      kit reader evaluate toy/test.bm25.jsonl --model toy/reader --n-context 5 --predictions toy/answers.jsonl
    """
    from kit.data import save_examples, save_predictions

    file_to_write(predictions, (".jsonl",))
    file_to_write(scores)
    counts: Sequence[int | None] = n_context or [None]
    if len(counts) > 1 and (predictions or scores):
        raise KitError("--n-context", "one number where predictions or scores are written", f"{len(counts)} numbers")
    questions, corpus, table = _examples(examples, closed_book)
    from kit.attention import AGGREGATIONS
    from kit.metrics import answer_measures, bootstrap_interval
    from kit.reader import FiDReader, read_in_shares

    one_of("--aggregation", aggregation, AGGREGATIONS)
    reader = FiDReader.from_pretrained(model, device=own_device(device), dtype=dtype, tokenizer=tokenizer)
    rows = []
    for count in counts:
        reading = read_in_shares(
            reader, questions, corpus, table,
            n_context=count, max_new_tokens=max_answer, batch_size=batch, aggregation=aggregation,
            progress=sys.stderr.isatty(),
        )  # fmt: skip
        measures = answer_measures(reading.answers, questions, corpus, reading.scores, regex=regex)
        passages = count or reading.scores.values.shape[1]
        rows += [(passages, name, bootstrap_interval(each, seed=seed)) for name, each in measures.items()]
    if not is_chief():
        return
    if predictions:
        save_predictions(predictions, questions, reading.answers, regex=regex)
    if scores:
        save_examples(scores, questions, corpus, reading.scores)
    typer.echo(f"{len(questions):,} questions, {sum(bool(one.answers) for one in questions):,} with answers")
    if rows:
        warn_of_unspaced(questions)
        show_table(("passages", "measure", "mean [95% interval]"), rows)


@command(app)
def score(
    examples: Examples,
    model: Annotated[list[str], typer.Option("--model", help="the teacher's checkpoint; several are averaged")],
    out: Annotated[Path, typer.Option(help="the examples with the teacher's scores, .json or .jsonl (.gz too)")],
    teacher: Annotated[
        str,
        typer.Option(
            help="fid_kd, adist, pdist, answer_likelihood, loop, extractive_reader, cross_encoder, dual_encoder"
        ),
    ] = "fid_kd",
    aggregation: Annotated[
        str | None, typer.Option(help="how the attention of fid_kd becomes a score: fid_kd, max_tokens, ...")
    ] = None,
    n_context: Annotated[int | None, typer.Option(min=1, help="best passages per question [default: all]")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="questions (cross_encoder, extractive_reader: pairs) per batch")
    ] = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Score passages with a teacher.

    Writes scores for `kit retriever train`. The files are streamed.

    Teachers: a reader's attention (fid_kd, adist); its likelihood of the answer given one passage (pdist,
    answer_likelihood) or all but one (loop); DPR's extractive_reader (RDR); one cross_encoder or several (Margin-MSE);
    a retriever (dual_encoder).

    \b
    Example:
      kit reader score toy/train.bm25.jsonl --model toy/reader --out toy/train.scored.jsonl
    """
    from kit.data.records import reading

    file_to_write(out)
    with reading(examples):  # a file that is not there is an error before a model is loaded
        pass
    from kit.attention import AGGREGATIONS
    from kit.teachers import TEACHERS, Ensemble, load_teacher, score_file

    one_of("--teacher", teacher, TEACHERS)
    if aggregation is not None:
        if teacher != "fid_kd":
            raise KitError("--aggregation", "the teacher fid_kd", repr(teacher))
        one_of("--aggregation", aggregation, AGGREGATIONS)
    options = changes_of(n_context=n_context, batch_size=batch, aggregation=aggregation, tokenizer=tokenizer)
    place = own_device(device)
    teachers = [load_teacher(teacher, name, device=place, dtype=dtype, **options) for name in model]
    score_file(teachers[0] if len(teachers) == 1 else Ensemble(teachers), examples, out, progress=sys.stderr.isatty())
    if is_chief():
        typer.echo(str(out))


def _examples(path: Path, closed_book: bool) -> Any:
    """The examples of a file; without any passages they are for --closed-book alone."""
    from kit.data import load_examples

    questions, corpus, table = load_examples(path)
    if not len(corpus) and not closed_book:
        wanted = "passages for the questions (kit retriever search ... --out), or --closed-book"
        raise KitError(str(path), wanted, f"{len(questions):,} questions and no passage")
    return questions, corpus, table
