"""`kit reader`: train a reader, measure its answers, and let it (or another teacher) score passages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import (
    Accumulate,
    Aggregation,
    Batch,
    Device,
    Dtype,
    LearningRate,
    Precision,
    SaveEvery,
    Seed,
    Steps,
    Tokenizer,
    Work,
    changed,
    file_to_write,
    folder_to_write,
    group,
    named,
    optimised,
    own_device,
    refuse_overwriting,
    show_table,
)
from kit.processes import is_chief

if TYPE_CHECKING:
    from kit.reader import FiDReader
    from kit.types import Question, ScoreTable

app = group("Train a reader, measure it, and let it score passages.")

Examples = Annotated[Path, typer.Argument(help="questions with passages, .json or .jsonl as FiD's (.gz too)")]
Model = Annotated[
    str, typer.Option("--model", help="folder, .tar.gz, released name, model on the hub, or toy-t5 to begin from")
]
Context = Annotated[int | None, typer.Option("--n-context", min=1, help="best passages of a question [default: all]")]


@app.command()
def train(
    examples: Examples,
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the trained reader")],
    scale: Annotated[str, typer.Option(help="toy, full (FiD's base) or full-large")] = "toy",
    dev: Annotated[Path | None, typer.Option(help="examples to measure on; the best state is kept")] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=1, help="steps between measurements on --dev")] = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="questions of a batch")] = None,
    accumulate: Accumulate = None,
    n_context: Annotated[
        int | None, typer.Option(min=1, help="best passages of a question [default: the scale's]")
    ] = None,
    learning_rate: LearningRate = None,
    precision: Precision = None,
    tokenizer: Tokenizer = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="of question and passage together")] = None,
    closed_book: Annotated[bool, typer.Option("--closed-book", help="take questions without any passages")] = False,
    work: Work = None,
    save_every: SaveEvery = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a reader on answers.

    It learns to say each question's answer from its best passages.

    A stopped run goes on with the same command. Several GPUs: `accelerate launch -m kit.cli reader train ...`; two
    processes on a CPU: `torchrun --nproc-per-node 2 -m kit.cli reader train ...`.

    \b
    Example:
      kit reader train toy/train.bm25.jsonl --model toy-t5 --out toy/reader --steps 200
    """
    from kit.cli.runs import finish, run_folder

    folder_to_write(out, ("kit_reader.json",), "reader")
    refuse_overwriting((out,), (examples, dev))
    questions, corpus, table = _examples(examples, closed_book)
    measured = None if dev is None else _examples(dev, closed_book)
    from kit.train import READER_TRAINING, train_reader

    config = READER_TRAINING[named("--scale", scale, READER_TRAINING)]
    given = {
        "steps": steps,
        "learning_rate": learning_rate,
        "accumulate": accumulate,
        "precision": precision,
        "seed": seed,
    }
    given |= {"evaluate_every": evaluate_every, "save_every": save_every}
    config = changed(config, questions=batch, n_context=n_context)
    config = changed(config, optimisation=optimised(config.optimisation, **given))
    reader = _load(model, own_device(device), "float32", tokenizer, max_tokens)
    training = train_reader(
        reader, questions, corpus, table, config,
        folder=run_folder(out, work), evaluate=measured and _exact_match_on(reader, measured, config.n_context),
        best=measured and "em",
    )  # fmt: skip
    finish(training, out, work, reader.save_pretrained)


@app.command()
def evaluate(
    examples: Examples,
    model: Model,
    n_context: Annotated[
        list[int] | None,
        typer.Option(min=1, help="best passages read; give it several times to compare [default: all]"),
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="answers to write, .jsonl")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="passages read, with attention scores, to write as FiD's .jsonl")
    ] = None,
    regex: Annotated[bool, typer.Option("--regex", help="answers are regular expressions (CuratedTREC)")] = False,
    closed_book: Annotated[bool, typer.Option("--closed-book", help="take questions without any passages")] = False,
    max_answer: Annotated[int, typer.Option(min=1, help="tokens of an answer")] = 50,
    aggregation: Aggregation = "fid_kd",
    batch: Batch = 8,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Let a reader answer, and measure.

    Exact match, F1, and the share of questions whose passages hold an answer, with 95% bootstrap intervals over
    questions.

    \b
    Example:
      kit reader evaluate toy/test.bm25.jsonl --model toy/reader --n-context 5 --predictions toy/answers.jsonl
    """
    from kit.data import save_examples
    from kit.types import KitError

    file_to_write(predictions, (".jsonl",))
    file_to_write(scores)
    counts: list[int | None] = [*(n_context or [None])]
    if len(counts) > 1 and (predictions or scores):
        raise KitError("--n-context", "one number where predictions or scores are written", f"{len(counts)} numbers")
    refuse_overwriting((predictions, scores), (examples, model))
    questions, corpus, table = _examples(examples, closed_book)
    from kit.attention import AGGREGATIONS
    from kit.reader import read_in_shares

    named("--aggregation", aggregation, AGGREGATIONS)
    reader = _load(model, own_device(device), dtype, tokenizer)
    rows, asked = [], [question for question in questions if question.answers]
    for count in counts:
        reading = read_in_shares(
            reader, questions, corpus, table,
            n_context=count, max_new_tokens=max_answer, batch_size=batch, aggregation=aggregation,
            progress=sys.stderr.isatty(),
        )  # fmt: skip
        shown = count or reading.scores.values.shape[1]
        rows += [(shown, *row) for row in _figures(asked, reading.answers, reading.scores, corpus, regex, seed)]
    if not is_chief():
        return
    if predictions:
        _write_predictions(predictions, questions, reading.answers, regex)
    if scores:
        save_examples(scores, questions, corpus, reading.scores)
    typer.echo(f"{len(questions):,} questions, {len(asked):,} with answers")
    if rows:
        show_table(("passages", "measure", "mean [95% interval]"), rows)


@app.command()
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
    n_context: Context = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="questions (cross_encoder, extractive_reader: pairs) together")
    ] = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Score passages with a teacher.

    For `kit retriever train`. The files are streamed.

    Teachers: a reader's attention (fid_kd, adist), its likelihood of the answer given one passage (pdist,
    answer_likelihood) or all but one (loop), DPR's extractive_reader (RDR), a cross_encoder or several (Margin-MSE),
    a retriever itself (dual_encoder).

    \b
    Example:
      kit reader score toy/train.bm25.jsonl --model toy/reader --out toy/train.scored.jsonl
    """
    from kit.data.records import reading as opened
    from kit.types import KitError

    file_to_write(out)
    refuse_overwriting((out,), (examples, *model))
    with opened(examples):  # a file that is not there is told of before a model is loaded
        pass
    from kit.attention import AGGREGATIONS
    from kit.teachers import TEACHERS, Ensemble, load_teacher, score_file

    named("--teacher", teacher, TEACHERS)
    options: dict[str, Any] = {"n_context": n_context} | ({} if batch is None else {"batch_size": batch})
    if aggregation is not None:
        if teacher != "fid_kd":
            raise KitError("--aggregation", "the teacher fid_kd", repr(teacher))
        options["aggregation"] = named("--aggregation", aggregation, AGGREGATIONS)
    options |= {"device": own_device(device), "dtype": dtype, "tokenizer": tokenizer}
    teachers = [load_teacher(teacher, name, **options) for name in model]
    score_file(teachers[0] if len(teachers) == 1 else Ensemble(teachers), examples, out, progress=sys.stderr.isatty())
    if is_chief():
        typer.echo(str(out))


def _examples(path: Path, closed_book: bool = False) -> Any:
    """The examples of a file; without any passages they are for --closed-book alone."""
    from kit.data import load_examples
    from kit.types import KitError

    questions, corpus, table = load_examples(path)
    if not len(corpus) and not closed_book:
        wanted = "passages for the questions (kit retriever search ... --out), or --closed-book"
        raise KitError(str(path), wanted, f"{len(questions):,} questions and no passage")
    return questions, corpus, table


def _load(model: str, device: str, dtype: str, tokenizer: str | None, max_tokens: int | None = None) -> FiDReader:
    from kit.reader import FiDReader

    options: dict[str, Any] = {"tokenizer": tokenizer, "max_tokens": max_tokens}
    return FiDReader.from_pretrained(model, device=device, dtype=dtype, **options)


def _exact_match_on(reader: FiDReader, measured: Any, n_context: int) -> Callable[[], dict[str, float]]:
    """A function that measures the reader as it is then."""
    from kit.metrics import exact_match_rate

    questions, corpus, table = measured
    asked = [question for question in questions if question.answers]

    def em() -> dict[str, float]:
        answers = reader.read(asked, corpus, table, n_context=n_context).answers
        return {"em": exact_match_rate(answers, asked)}

    return em


def _figures(
    asked: list[Question], answers: dict[str, str], read: ScoreTable, corpus: Any, regex: bool, seed: int
) -> list[tuple[str, str]]:
    """(measure, mean with its interval) of each measure over the questions with answers."""
    from kit.metrics import answer_hits, bootstrap_interval, exact_matches, f1

    if not asked:
        return []
    values: dict[str, Any] = {
        "exact match": exact_matches(answers, asked, regex=regex),
        **({} if regex else {"F1": [f1(answers[one.id], one.answers) for one in asked]}),
        "answer in the passages": answer_hits(read, asked, corpus, regex=regex).any(axis=1),
    }
    return [(name, str(bootstrap_interval(each, seed=seed))) for name, each in values.items()]


def _write_predictions(path: Path, questions: list[Question], answers: dict[str, str], regex: bool) -> None:
    from kit.data.records import writing_records
    from kit.metrics import exact_match

    with writing_records(path) as write:
        for one in questions:
            record = {"id": one.id, "question": one.text, "prediction": answers[one.id], "answers": list(one.answers)}
            write(record | ({"em": exact_match(answers[one.id], one.answers, regex)} if one.answers else {}))
