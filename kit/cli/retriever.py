"""`kit retriever embed|index`: the vectors of a corpus, and an index of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import (
    Batch,
    Device,
    Dtype,
    Seed,
    Tokenizer,
    folder_to_write,
    named,
    own_device,
    refuse_overwriting,
)
from kit.cli.teaching import Family, Model, PassageModel, app, load_encoder
from kit.processes import in_every_process, is_chief, this_process


@app.command()
def embed(
    passages: Annotated[Path, typer.Argument(help="passages, .tsv or .jsonl (.gz too)")],
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the vectors; a stopped run goes on")],
    vectors: Annotated[str, typer.Option(help="float16 or float32, on disk")] = "float16",
    shard: Annotated[int, typer.Option(min=1, help="passages of a file")] = 100_000,
    part: Annotated[
        str | None,
        typer.Option(help="i/n: every n-th file alone, from the i-th (0/n ... n-1/n) [default: torchrun's processes]"),
    ] = None,
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
    share = this_process() if part is None else _part(part)
    folder_to_write(out, ("plan.json", "ids.parquet"), "vectors of the same passages")
    refuse_overwriting((out,), (passages, model))
    corpus = load_passages(passages)
    from kit.retrieve.dense import embed_corpus

    encoder = load_encoder(model, own_device(device), dtype, tokenizer, family, passage_model)
    options = {"batch_size": batch, "shard_size": shard, "dtype": vectors, "part": share}
    parts = in_every_process(lambda: embed_corpus(encoder, corpus, out, progress=sys.stderr.isatty(), **options))
    if is_chief():
        whole = next((part for part in parts if part is not None), None)
        done = "this part is done, others are missing" if whole is None else f"{whole.shape} {vectors}"
        typer.echo(f"{out}: {done}")


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

    folder_to_write(out, ("index.json", "index.faiss", "ids.parquet"), "index")
    refuse_overwriting((out,), (vectors,))
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
