"""`kit retriever`: teach an encoder, make the vectors of a corpus, build an index of them, and search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kit.arguments import one_of
from kit.cli.options import (
    Batch,
    Device,
    Dtype,
    EncoderModel,
    Family,
    PassageModel,
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
    load_encoder,
    options_of,
    own_device,
    part_of,
    run_folder,
    say,
    show_table,
    warn_of_unspaced,
    with_checkpoints,
)
from kit.cli.running import finish_training
from kit.files import refuse_strangers
from kit.optimisation import Optimisation
from kit.processes import in_every_process, is_chief, this_process
from kit.types import KitError

app = group("Teach a retriever, embed, index and search.")


@command(app)
@options_of(Optimisation, "optimisation")
def train(
    examples: Annotated[
        Path, typer.Argument(help="examples with a teacher's scores, .json or .jsonl, or its triples, .tsv (.gz too)")
    ],
    model: EncoderModel,
    out: Annotated[Path, typer.Option(help="folder for the trained encoder")],
    *,
    recipe: Annotated[
        str, typer.Option(help="fid-kd, rdr, margin-mse, dpr, tas-b, atlas-pdist, ...; see docs/recipes.md")
    ] = "fid-kd",
    scale: Annotated[
        str, typer.Option(help="preset: toy, or full as published (student and settings); options override it")
    ] = "toy",
    teacher: Annotated[
        str | None,
        typer.Option(help="checkpoint of the recipe's teacher, which scores the passages anew [default: the file's]"),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="kl, mse, margin_mse, max_margin, ranknet, listnet, ... [default: the recipe's]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="of the student's scores (and the teacher's), for kl and similar losses")
    ] = None,
    teacher_temperature: Annotated[float | None, typer.Option(help="of the teacher's scores, if different")] = None,
    questions: Annotated[Path | None, typer.Option(help="the questions of triples, whose lines have only ids")] = None,
    passages: Annotated[Path | None, typer.Option(help="the passages of triples")] = None,
    dev: Annotated[
        Path | None, typer.Option(help="scored examples to measure agreement on; the best state is kept")
    ] = None,
    batch: Questions = None,
    n_context: Annotated[int | None, typer.Option(min=2, help="passages per question in a batch")] = None,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    work: Work = None,
    device: Device = "auto",
    optimisation: dict[str, Any],
) -> None:
    """Teach a bi-encoder by a recipe.

    A recipe is a teacher, a loss, a student and what a batch is made of. The teacher's scores are read from the file
    (`kit reader score` writes them), or computed with --teacher. `dpr` learns from answers and needs no teacher. The
    student is the recipe's, made from --model; with --family, or for a pair of encoders, it is the model itself. The
    same command resumes a stopped run. Several GPUs: `accelerate launch -m kit.cli retriever train ...`; two
    processes on a CPU: `torchrun --nproc-per-node 2 -m kit.cli retriever train ...`.

    \b
    Examples:
      kit retriever train toy/train.scored.jsonl --model toy-bert --out toy/retriever --steps 200
      kit retriever train toy/train.bm25.jsonl --model toy-bert --out toy/dpr --recipe dpr --steps 200
      kit retriever train toy/train.bm25.jsonl --model toy-bert --out toy/rdr --recipe rdr --teacher toy-dpr-reader
      kit retriever train kd.tsv --questions q.tsv --passages p.tsv --recipe margin-mse --model toy-bert --out kd
    """
    from kit.data import load_examples

    refuse_strangers(out, ("kit_encoder.json",), "encoder")
    triples = examples.name.removesuffix(".gz").endswith(".tsv")
    if triples != (questions is not None) or triples != (passages is not None):
        given = "none" if triples else "examples, which hold their own"
        raise KitError("--questions, --passages", "both with a teacher's triples (.tsv), and only then", given)
    measured = None if dev is None else load_examples(dev, name="teacher")
    loaded: Any = None if triples else load_examples(examples, name="teacher")
    from kit.recipes import RECIPES, SCALES, student_of, train_recipe
    from kit.teachers import load_teacher, load_triple_examples
    from kit.train import RunOptions, agreement_of

    if questions is not None and passages is not None:
        loaded = load_triple_examples(examples, questions, passages)
    chosen = RECIPES[one_of("--recipe", recipe, RECIPES)]
    one_of("--scale", scale, SCALES)
    with as_options(passages="--n-context"):
        chosen = chosen.changed(
            scale,
            loss=loss,
            loss_options=changes_of(temperature=temperature, teacher_temperature=teacher_temperature),
            questions=batch,
            passages=n_context,
            optimisation=with_checkpoints(chosen.config(scale).optimisation, optimisation),
        )
    if teacher is not None and chosen.batches == "in-batch":
        raise KitError("--teacher", f"none: {recipe} learns from answers", repr(teacher))
    if teacher is None and chosen.batches == "topic-balanced":
        raise KitError("--teacher", f"a checkpoint: {recipe} scores the passages of each batch", "none")
    place = own_device(device)
    encoder = load_encoder(model, place, "float32", tokenizer, family, passage_model)
    if family is None and not encoder.family.two_towers:
        encoder = student_of(chosen, encoder, scale)
    scorer = None if teacher is None else load_teacher(chosen.teacher, teacher, device=place)
    run = RunOptions(folder=run_folder(out, work))
    if measured is not None:
        run |= {"evaluate": agreement_of(encoder, measured), "best": "kendall"}
    items, corpus, table = loaded
    history = train_recipe(chosen, encoder, items, corpus, table, scorer, scale=scale, **run)
    finish_training(history, out, work, encoder.save_pretrained)


@command(app)
def embed(
    passages: Annotated[Path, typer.Argument(help="passages, .tsv or .jsonl (.gz too)")],
    model: EncoderModel,
    out: Annotated[Path, typer.Option(help="folder for the vectors; a stopped run resumes")],
    vectors: Annotated[str, typer.Option(help="float16 or float32, on disk")] = "float16",
    shard: Annotated[int, typer.Option(min=1, help="passages per file")] = 100_000,
    part: Annotated[
        str | None,
        typer.Option(help="i/n: only every n-th file, from the i-th (0/n ... n-1/n) [default: torchrun's processes]"),
    ] = None,
    batch: Batch = 64,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Embed a corpus: a vector for each passage.

    \b
    Example:
      kit retriever embed toy/passages.tsv --model toy/retriever --out toy/vectors
    """
    from kit.data import load_passages
    from kit.index.vectors import DTYPES

    one_of("--vectors", vectors, DTYPES)
    share = this_process() if part is None else part_of(part)
    refuse_strangers(out, ("plan.json", "ids.parquet"), "vectors of the same passages")
    corpus = load_passages(passages)
    from kit.retrieve.dense import embed_corpus

    encoder = load_encoder(model, own_device(device), dtype, tokenizer, family, passage_model)
    options: Any = {"batch_size": batch, "shard_size": shard, "dtype": vectors, "part": share}
    parts = in_every_process(lambda: embed_corpus(encoder, corpus, out, progress=sys.stderr.isatty(), **options))
    if is_chief():
        whole = next((part for part in parts if part is not None), None)
        done = "this part is done, others are missing" if whole is None else f"{whole.shape} {vectors}"
        typer.echo(f"{out}: {done}")


@command(app)
def index(
    vectors: Annotated[Path, typer.Argument(help="folder that `kit retriever embed` wrote")],
    out: Annotated[Path, typer.Option(help="folder for the index")],
    spec: Annotated[
        str, typer.Option(help="FAISS's factory string: Flat, SQfp16, IVF4096,Flat, IVF65536,PQ96, HNSW32")
    ] = "Flat",
    train_rows: Annotated[int | None, typer.Option(min=1, help="vectors that the index is trained on")] = None,
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

    refuse_strangers(out, ("index.json", "index.faiss", "ids.parquet"), "index")
    stored = read_vectors(vectors)
    try:
        built = build_index(None, stored, spec, device=device, seed=seed, train_rows=train_rows)
    except KitError as error:
        if error.where.startswith("build_index, spec"):
            raise KitError(f"--spec {spec}", error.wanted, error.given) from None
        raise
    built.save(out)
    typer.echo(f"{out}: {built!r}")


@command(app)
def search(
    questions: Annotated[Path, typer.Argument(help="questions: .json, .jsonl, or a table .tsv, .csv, .txt (.gz too)")],
    index: Annotated[
        Path | None, typer.Option(help="folder of an index, or of vectors (searched exactly, by shards); needs --model")
    ] = None,
    model: Annotated[str | None, typer.Option(help="the encoder whose vectors the index holds")] = None,
    passages: Annotated[Path | None, typer.Option(help="the passages of the index, .tsv or .jsonl")] = None,
    bm25: Annotated[Path | None, typer.Option(help="passages, .tsv or .jsonl, to search with BM25 instead")] = None,
    out: Annotated[Path | None, typer.Option(help="questions with passages, FiD's .json or .jsonl (.gz too)")] = None,
    run: Annotated[Path | None, typer.Option(help="TREC run to write")] = None,
    qrels: Annotated[Path | None, typer.Option(help="TREC judgements, for MRR, nDCG, MAP and recall")] = None,
    k: Annotated[int, typer.Option(min=1, help="passages per question")] = 100,
    nprobe: Annotated[int | None, typer.Option(min=1, help="cells of an IVF index to search")] = None,
    ef_search: Annotated[int | None, typer.Option(min=1, help="breadth of an HNSW search")] = None,
    regex: Regex = False,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Retrieve passages for questions.

    Prints answer recall if the questions have answers.

    \b
    Examples:
      kit retriever search toy/train.jsonl --bm25 toy/passages.tsv --k 20 --out toy/train.bm25.jsonl
      kit retriever search toy/test.jsonl --index toy/index --model toy/retriever --passages toy/passages.tsv --k 20
    """
    options: Any = changes_of(nprobe=nprobe, ef_search=ef_search)
    if (index is None) == (bm25 is None):
        raise KitError("--index, --bm25", "one of the two", "neither" if index is None else "both")
    if index is not None and model is None:
        raise KitError("--model", "the encoder whose vectors the index holds", "none")
    if bm25 is not None and options:
        raise KitError("--nprobe, --ef-search", "an --index", "--bm25")
    if out is not None and bm25 is None and passages is None:
        raise KitError("--passages", "the passages of the index, whose texts --out holds", "none")
    file_to_write(out)
    from kit.data import load_passages, load_questions, read_qrels, save_examples, write_run
    from kit.metrics import bootstrap_interval, judged_measures, recall_measures

    asked = load_questions(questions)
    judgements, texts = qrels and read_qrels(qrels), bm25 or passages
    corpus: Any = load_passages(texts) if texts else None
    from kit.retrieve import BM25, DenseRetriever

    if index is None:
        table = BM25(corpus).retrieve(asked, k)
    else:
        encoder = load_encoder(str(model), own_device(device), dtype, tokenizer, family, passage_model)
        retriever = DenseRetriever.load(encoder, index)
        cells = getattr(retriever.index, "cells", None)  # None: vectors, which are searched exactly
        if cells is None:
            if options:
                raise KitError("--nprobe, --ef-search", "an index", f"vectors, which are searched exactly ({index})")
            options = {"device": str(encoder.device)}
        elif cells and "nprobe" not in options:
            say(f"looks into {getattr(retriever.index, 'cells_searched', cells)} of {cells} cells (--nprobe for more)")
        table = retriever.retrieve(asked, k, **options)
    if out is not None:
        save_examples(out, asked, corpus, table)
    if run is not None:
        write_run(run, table)
    typer.echo(f"{len(asked):,} questions, {int(table.mask.sum()):,} passages found")
    if not table.mask.any():
        say("kit: warning: nothing was found for any question (another language, or other words?)")
    measures = recall_measures(table, asked, corpus, regex=regex) if corpus else {}
    if measures:
        warn_of_unspaced(asked)
    if judgements:
        with as_options(judgements="--qrels"):
            values, counts = judged_measures(table, judgements, corpus)
        typer.echo(counts)
        measures |= values
    if measures:
        rows = [(name, bootstrap_interval(each, seed=seed)) for name, each in measures.items()]
        show_table(("measure", "mean [95% interval]"), rows)
