"""`kit rounds`: FiD-KD's loop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import (
    Aggregation,
    Device,
    Seed,
    changed,
    named,
    optimised,
    own_device,
    say,
    show_table,
)


def rounds(
    folder: Annotated[Path, typer.Argument(help="everything is written here; a stopped loop goes on")],
    train: Annotated[Path, typer.Option(help="training questions with answers, .json or .jsonl")],
    test: Annotated[Path, typer.Option(help="questions to measure on, .json or .jsonl")],
    passages: Annotated[Path, typer.Option(help="the corpus, .tsv or .jsonl")],
    reader: Annotated[str, typer.Option(help="T5 that each round's reader begins from")] = "toy-t5",
    retriever: Annotated[str, typer.Option(help="BERT or retriever that the student begins from")] = "toy-bert",
    rounds: Annotated[int, typer.Option(min=1, help="how often to go round")] = 2,
    k: Annotated[int | None, typer.Option(min=2, help="passages retrieved for a question")] = None,
    n_context: Annotated[int | None, typer.Option(min=1, help="passages read where exact match is measured")] = None,
    scored: Annotated[int | None, typer.Option(min=2, help="passages scored for a question")] = None,
    loss: Annotated[str, typer.Option(help="kl, mse, margin_mse, ...")] = "kl",
    aggregation: Aggregation = "fid_kd",
    scale: Annotated[str, typer.Option(help="toy or full: how reader and student are trained")] = "toy",
    reader_steps: Annotated[int | None, typer.Option(min=1, help="steps of the reader's training")] = None,
    student_steps: Annotated[int | None, typer.Option(min=1, help="steps of the student's training")] = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Go round: read, score, distil, search.

    Round 0 is BM25; each round trains a reader anew, and goes on with the student.

    \b
    Example:
      kit rounds toy/rounds --train toy/train.jsonl --test toy/test.jsonl --passages toy/passages.tsv --rounds 1
    """
    from kit.data import load_passages, load_questions
    from kit.types import KitError

    asked = {"--train": load_questions(train), "--test": load_questions(test)}
    for option, questions in asked.items():
        if not questions or not all(question.answers for question in questions):
            raise KitError(option, "questions, each with an answer", "none" if not questions else "some without")
    corpus = load_passages(passages)
    from kit.attention import AGGREGATIONS
    from kit.encoder import DualEncoder
    from kit.losses import LOSSES
    from kit.reader import FiDReader
    from kit.retrieve import BM25
    from kit.rounds import RoundsPlan, run_rounds
    from kit.train import DISTILLATION, READER_TRAINING

    reading = READER_TRAINING[named("--scale", scale, DISTILLATION)]
    student = DISTILLATION[scale].for_loss(named("--loss", loss, LOSSES))
    plan = RoundsPlan(
        rounds=rounds,
        reader=changed(reading, optimisation=optimised(reading.optimisation, steps=reader_steps, seed=seed)),
        student=changed(student, optimisation=optimised(student.optimisation, steps=student_steps, seed=seed)),
        loss=loss,
        aggregation=named("--aggregation", aggregation, AGGREGATIONS),
        seed=seed,
    )
    plan = changed(plan, retrieved=k, read=n_context, scored=scored)
    plan = changed(plan, ks=tuple(k for k in (1, 5, 20, 100) if k <= plan.retrieved))
    place = own_device(device)
    encoder = DualEncoder.from_pretrained(retriever, device=place)
    done = run_rounds(
        folder, asked["--train"], asked["--test"], corpus, BM25(corpus),
        lambda: FiDReader.from_pretrained(reader, device=place, dtype="float32"), encoder, plan,
        say=say, progress=sys.stderr.isatty(),
    )  # fmt: skip
    columns = ("round", "retriever", *(f"R@{k}" for k in plan.ks), "EM")
    show_table(
        columns, [(r.number, r.retriever, *(f"{r.recall[k]:.3f}" for k in plan.ks), f"{r.em:.3f}") for r in done]
    )
