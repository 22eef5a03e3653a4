"""`kit retriever`: teach an encoder from scores, embed passages, index the vectors, search."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import (
    Accumulate,
    Batch,
    Device,
    Dtype,
    Precision,
    Rate,
    SaveEvery,
    Seed,
    Steps,
    Tokenizer,
    Work,
    changed,
    checkpoint,
    folder_to_write,
    group,
    named,
    optimised,
    own_device,
)

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.types import ScoreTable

app = group("Teach a retriever from scores, embed passages, index the vectors, and search.")

Model = Annotated[
    str, typer.Option("--model", help="folder, .tar.gz, released name, model on the hub, or toy-bert to begin from")
]
Family = Annotated[
    str | None,
    typer.Option("--family", help="fid-kd, dpr, bert-dot, ... for a plain BERT [default: what its files tell]"),
]
PassageModel = Annotated[
    str | None, typer.Option("--passage-model", help="passage encoder of a DPR pair in two folders")
]


@app.command()
def train(
    examples: Annotated[Path, typer.Argument(help="examples with a teacher's scores, .json or .jsonl (.gz too)")],
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the trained encoder")],
    loss: Annotated[str, typer.Option(help="kl, mse, margin_mse, max_margin, ranknet, listnet, ...")] = "kl",
    temperature: Annotated[
        float | None, typer.Option(help="of the student's scores (and the teacher's), for kl and kin")
    ] = None,
    teacher_temperature: Annotated[float | None, typer.Option(help="of the teacher's scores, if another")] = None,
    preset: Annotated[str, typer.Option(help="quick (toy) or fid-kd")] = "quick",
    dev: Annotated[
        Path | None, typer.Option(help="scored examples to measure agreement on; the best state is kept")
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=1, help="steps between measurements on --dev")] = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="questions of a batch")] = None,
    accumulate: Accumulate = None,
    n_context: Annotated[int | None, typer.Option(min=2, help="passages of a question in a batch")] = None,
    rate: Rate = None,
    precision: Precision = None,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    work: Work = None,
    save_every: SaveEvery = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Distil a teacher's scores into a bi-encoder.

    A stopped run goes on with the same command. Several GPUs: `accelerate launch -m kit.cli retriever train ...`.

    \b
    Example:
      kit retriever train toy/train.scored.jsonl --model toy-bert --out toy/retriever --steps 200
    """
    from kit.cli.runs import finish, run_folder
    from kit.data import load_examples

    folder_to_write(out, ("kit_encoder.json",), "encoder")
    questions, corpus, table = load_examples(examples, name="teacher")
    measured = None if dev is None else load_examples(dev, name="teacher")
    from kit.train import DISTILLATION, distil

    options = _loss_options(loss, temperature, teacher_temperature)
    config = DISTILLATION[named("--preset", preset, DISTILLATION)]
    given = {"steps": steps, "rate": rate, "accumulate": accumulate, "precision": precision, "seed": seed}
    given |= {"evaluate_every": evaluate_every, "save_every": save_every}
    config = changed(config, questions=batch, passages=n_context, loss_options={**config.loss_options, **options})
    config = changed(config, optimisation=optimised(config.optimisation, **given))
    encoder = load_encoder(model, own_device(device), "float32", tokenizer, family, passage_model)
    training = distil(
        encoder, questions, corpus, table, loss, config,
        folder=run_folder(out, work), evaluate=measured and _agreement_on(encoder, measured),
        best=measured and "kendall",
    )  # fmt: skip
    finish(training, out, work, encoder.save_pretrained)


@app.command()
def embed(
    passages: Annotated[Path, typer.Argument(help="passages, .tsv or .jsonl (.gz too)")],
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the vectors; a stopped run goes on")],
    vectors: Annotated[str, typer.Option(help="float16 or float32, on disk")] = "float16",
    shard: Annotated[int, typer.Option(min=1, help="passages of a file")] = 100_000,
    part: Annotated[
        str, typer.Option(help="i/n: this process makes every n-th file, from the i-th (0/n ... n-1/n)")
    ] = "0/1",
    batch: Batch = 64,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Make the vectors of a corpus.

    \b
    Example:
      kit retriever embed toy/passages.tsv --model toy/retriever --out toy/vectors
    """
    from kit.data import load_passages
    from kit.index.vectors import DTYPES

    named("--vectors", vectors, DTYPES)
    share = _part(part)
    folder_to_write(out, ("plan.json",), "vectors of the same passages")
    corpus = load_passages(passages)
    from kit.retrieve.dense import embed_corpus

    encoder = load_encoder(model, own_device(device), dtype, tokenizer, family, passage_model)
    options = {"batch_size": batch, "shard_size": shard, "dtype": vectors, "part": share}
    made = embed_corpus(encoder, corpus, out, progress=sys.stderr.isatty(), **options)
    typer.echo(f"{out}: " + ("this part is done, others are missing" if made is None else f"{made.shape} {vectors}"))


@app.command()
def index(
    vectors: Annotated[Path, typer.Argument(help="folder that `kit retriever embed` made")],
    out: Annotated[Path, typer.Option(help="folder for the index")],
    spec: Annotated[
        str, typer.Option(help="FAISS's factory string: Flat, SQfp16, IVF4096,Flat, IVF65536,PQ96, HNSW32")
    ] = "Flat",
    train_rows: Annotated[int | None, typer.Option(min=1, help="vectors that a spec is trained on")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:<n> (faiss-gpu)")] = "cpu",
    seed: Seed = 0,
) -> None:
    """Build a FAISS index of vectors.

    \b
    Example:
      kit retriever index toy/vectors --out toy/index --spec Flat
    """
    from kit.index import build_index
    from kit.index.vectors import read_vectors
    from kit.types import KitError

    folder_to_write(out, ("index.json", "index.faiss"), "index")
    found = read_vectors(vectors)
    try:
        built = build_index(None, found, spec, device=device, seed=seed, train_rows=train_rows)
    except KitError as error:
        if error.where.startswith("build_index, spec"):
            raise KitError(f"--spec {spec}", error.wanted, error.given) from None
        raise
    built.save(out)
    typer.echo(f"{out}: {built!r}")


def _part(given: str) -> tuple[int, int]:
    """(i, n) of "i/n".

    >>> _part("3/8")
    (3, 8)
    """
    from kit.types import KitError

    first, _, last = given.partition("/")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise KitError("--part", "i/n with i from 0 to n - 1", repr(given))
    return int(first), int(last)


def load_encoder(
    model: str, device: str, dtype: str, tokenizer: str | None, family: str | None, passage_model: str | None
) -> DualEncoder:
    """An encoder as `DualEncoder.from_pretrained` loads it, or one of the toy models."""
    from kit.encoder import FAMILIES, DualEncoder

    if family is not None:
        named("--family", family, FAMILIES)
    options = {"family": family, "passage_tower": passage_model, "tokenizer": tokenizer}
    return DualEncoder.from_pretrained(checkpoint(model), device=device, dtype=dtype, **options)


def _loss_options(loss: str, temperature: float | None, teacher_temperature: float | None) -> dict[str, float]:
    """The temperatures that were given, for a loss that has them."""
    from kit.losses import LOSSES
    from kit.types import KitError

    known = inspect.signature(LOSSES[named("--loss", loss, LOSSES)]).parameters
    given = {"temperature": temperature, "teacher_temperature": teacher_temperature}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name not in known:
            raise KitError(option, "a loss with a temperature (kl, reverse_kl, js, ...)", repr(loss))
        if value <= 0:
            raise KitError(option, "a number above 0", value)
    return given


def _agreement_on(encoder: DualEncoder, measured: Any) -> Callable[[], dict[str, float]]:
    """A function that measures how far the encoder's scores, as they are then, agree with the teacher's."""
    from kit.metrics import agreement

    questions, corpus, table = measured

    def means() -> dict[str, float]:
        found = agreement(table, candidate_scores(encoder, questions, corpus, table)).means
        return {name: found[name] for name in ("kendall", "spearman", "overlap")}

    return means


def candidate_scores(encoder: DualEncoder, questions: Any, corpus: Any, table: ScoreTable) -> ScoreTable:
    """The encoder's scores (q, k) of the passages in a table's cells."""
    import numpy as np

    from kit.types import ScoreTable

    names = [name for name in np.unique(table.passage_ids).tolist() if name]
    rows = {name: row for row, name in enumerate(names)}
    passages = encoder.encode_passages([corpus[name] for name in names])  # (x, d)
    asked = encoder.encode_questions([question.text for question in questions])  # (q, d)
    values = np.full(table.values.shape, np.nan, dtype=np.float32)
    for number, question in enumerate(questions):
        row = table.row_of(question.id)
        there = table.mask[row]
        chosen = [rows[name] for name in table.passage_ids[row][there].tolist()]
        values[row, there] = passages[chosen] @ asked[number] * encoder.scale  # (k, d) @ (d,) -> (k,)
    return ScoreTable("student", table.question_ids, table.passage_ids, values)
