"""`kit retriever search`: questions to passages, by vectors or by words, and how often they hold an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import (
    Device,
    Dtype,
    Seed,
    Tokenizer,
    file_to_write,
    own_device,
    refuse_overwriting,
    say,
    show_table,
)
from kit.cli.retriever import Family, PassageModel, app, load_encoder

if TYPE_CHECKING:
    from kit.types import Question, ScoreTable

KS = (1, 5, 20, 100)


@app.command()
def search(
    questions: Annotated[Path, typer.Argument(help="questions: .json, .jsonl, or a table .tsv, .csv, .txt (.gz too)")],
    index: Annotated[
        Path | None, typer.Option(help="folder of an index, or of vectors (exact, shard by shard); needs --model")
    ] = None,
    model: Annotated[str | None, typer.Option(help="the encoder whose vectors the index holds")] = None,
    passages: Annotated[Path | None, typer.Option(help="the passages of the index, .tsv or .jsonl")] = None,
    bm25: Annotated[Path | None, typer.Option(help="passages, .tsv or .jsonl, to search by words instead")] = None,
    out: Annotated[Path | None, typer.Option(help="questions with passages, FiD's .json or .jsonl (.gz too)")] = None,
    run: Annotated[Path | None, typer.Option(help="TREC run to write")] = None,
    qrels: Annotated[Path | None, typer.Option(help="TREC judgements, for MRR, nDCG, MAP and recall")] = None,
    k: Annotated[int, typer.Option(min=1, help="passages of a question")] = 100,
    nprobe: Annotated[int | None, typer.Option(min=1, help="cells of an IVF index to look into")] = None,
    ef_search: Annotated[int | None, typer.Option(min=1, help="breadth of an HNSW search")] = None,
    regex: Annotated[bool, typer.Option("--regex", help="answers are regular expressions (CuratedTREC)")] = False,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Find passages for questions.

    Prints answer recall where the questions have answers.

    \b
    Examples:
      kit retriever search toy/train.jsonl --bm25 toy/passages.tsv --k 20 --out toy/train.bm25.jsonl
      kit retriever search toy/test.jsonl --index toy/index --model toy/retriever --passages toy/passages.tsv --k 20
    """
    place = _corpus_file(index, model, passages, bm25, out, bool(nprobe or ef_search))
    file_to_write(out)
    refuse_overwriting((out, run), (questions, index, passages, bm25, qrels))
    asked = _questions(questions)
    judgements = None if qrels is None else _judgements(qrels)
    corpus = None if place is None else _passages(place)
    if index is None:
        from kit.retrieve import BM25

        table = BM25(corpus).retrieve(asked, k)
    else:
        given = {"nprobe": nprobe, "ef_search": ef_search}
        options = {name: value for name, value in given.items() if value is not None}
        encoder = load_encoder(str(model), own_device(device), dtype, tokenizer, family, passage_model)
        table = _dense(encoder, index, asked, k, options)
    _write(table, asked, corpus, out, run)
    typer.echo(f"{len(asked):,} questions, {int(table.mask.sum()):,} passages found")
    if not table.mask.any():
        say("kit: warning: nothing was found for any question (another language, or other words?)")
    rows = [] if corpus is None else _recall(table, [one for one in asked if one.answers], corpus, regex, seed)
    rows += [] if judgements is None else _judged(table, judgements, corpus, seed)
    if rows:
        show_table(("measure", "mean [95% interval]"), rows)


def _corpus_file(
    index: Path | None, model: str | None, passages: Path | None, bm25: Path | None, out: Path | None, tuned: bool
) -> Path | None:
    """The file of the passages that are searched; `KitError` for options that do not go together."""
    from kit.types import KitError

    if (index is None) == (bm25 is None):
        raise KitError("--index, --bm25", "one of the two", "neither" if index is None else "both")
    if index is not None and model is None:
        raise KitError("--model", "the encoder whose vectors the index holds", "none")
    if bm25 is not None and tuned:
        raise KitError("--nprobe, --ef-search", "an --index", "--bm25")
    if out is not None and bm25 is None and passages is None:
        raise KitError("--passages", "the passages of the index, whose texts --out holds", "none")
    return bm25 or passages


def _passages(path: Path) -> Any:
    from kit.data import load_passages

    return load_passages(path)


def _write(table: ScoreTable, asked: Sequence[Question], corpus: Any, out: Path | None, run: Path | None) -> None:
    from kit.data import save_examples, write_run

    if out is not None:
        save_examples(out, asked, corpus, table)
    if run is not None:
        write_run(run, table)


def _questions(path: Path) -> list[Question]:
    from kit.data import load_questions

    return load_questions(path)


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    from kit.data import read_qrels

    return read_qrels(path)


def _dense(encoder: Any, folder: Path, asked: Sequence[Question], k: int, options: dict[str, Any]) -> ScoreTable:
    """What an index finds, or without one the vectors themselves."""
    from kit.index import VectorIndex
    from kit.index.vectors import read_vectors
    from kit.retrieve import DenseRetriever
    from kit.types import KitError

    if (folder / "plan.json").exists():
        if options:
            raise KitError("--nprobe, --ef-search", "an index", f"vectors, which are searched exactly ({folder})")
        return DenseRetriever(encoder, read_vectors(folder)).retrieve(asked, k, device=str(encoder.device))
    index = VectorIndex.load(folder)
    if index.cells and "nprobe" not in options:
        say(f"looks into {index.cells_searched} of {index.cells} cells (--nprobe for more)")
    return DenseRetriever(encoder, index).retrieve(asked, k, **options)


def _recall(table: ScoreTable, asked: Sequence[Question], corpus: Any, regex: bool, seed: int) -> list[tuple[str, str]]:
    from kit.metrics import answer_ranks, bootstrap_interval

    if not asked:
        return []
    ranks = answer_ranks(table, asked, corpus, regex=regex)
    ks = [k for k in KS if k <= table.values.shape[1]]
    return [(f"answer recall@{k}", str(bootstrap_interval(ranks <= k, seed=seed))) for k in ks]


def _judged(table: ScoreTable, judgements: Any, corpus: Any, seed: int) -> list[tuple[str, str]]:
    from kit.metrics import average_precision, bootstrap_interval, judged, ndcg, recall, reciprocal_rank
    from kit.types import KitError

    known = judged(table, judgements)
    if not len(known):
        raise KitError("--qrels", "judgements of these questions", "none of them")
    ids = {passage for question in known.question_ids.tolist() for passage in judgements[question]}
    pool = corpus if corpus is not None else set(table.passage_ids.ravel().tolist())
    there = [name for name in ids if name in pool]
    place = "in the corpus" if corpus is not None else "among those found"
    typer.echo(
        f"judged {len(known):,} of {len(table):,} questions, {len(there):,} of {len(ids):,} judged passages {place}"
    )
    if not there:
        raise KitError("--qrels", f"judged passages {place}", f"none of {len(ids):,} (ids of another corpus?)")
    width = table.values.shape[1]
    values = {
        "MRR@10": reciprocal_rank(known, judgements, 10),
        "nDCG@10": ndcg(known, judgements, 10),
        "MAP": average_precision(known, judgements),
        f"recall@{width}": recall(known, judgements, width),
    }
    return [(name, str(bootstrap_interval(each, seed=seed))) for name, each in values.items()]
