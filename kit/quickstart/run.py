"""The whole loop at toy scale: encyclopaedia, reader, attention scores, student, index, and round again, with figures.

Leaves in a folder all files that the figures and the report are made from, and the report.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kit.data import Corpus, save_passages, save_questions
from kit.encoder import DualEncoder
from kit.files import read_json, write_json
from kit.metrics import answer_recall
from kit.quickstart.measures import (
    corpus_figures,
    evidence_figures,
    exact_match_hits,
    gold_on_top,
    reader_figures,
)
from kit.quickstart.report import NOTEBOOK, PAGE, can_report, write_report
from kit.quickstart.run_folder import RunFolder
from kit.quickstart.worked_example import sample_passages, training_losses, worked_example, write_distributions
from kit.reader import FiDReader
from kit.retrieve import BM25, DenseRetriever
from kit.rounds import RoundsPlan, run_rounds
from kit.teachers import EncoderScores
from kit.toy.world import ToyWorld, build_world
from kit.types import Question, ScoreTable

PLAN = RoundsPlan(read_questions=700, score_questions=2500)
SAMPLE = 300  # questions of the smaller measurements
FILES = (
    "distributions.parquet", "worked_example.json", "passages.json", "training.json", "figures.json", NOTEBOOK, PAGE,
)  # fmt: skip


def run_quickstart(
    folder: str | Path = "runs/quickstart",
    *,
    seed: int = 0,
    plan: RoundsPlan = PLAN,
    world: ToyWorld | None = None,
    log: Callable[[str], None] = print,
    progress: bool = True,
) -> dict[str, Any]:
    """The figures of a run, also in `folder`/figures.json, with a report; a stopped run goes on where it stopped.

    `log` gets a line for each stage. A folder with a finished run is begun anew: its files are removed, and no others.
    Raises `KitError` if the folder holds other files and no run, or a run's files that were changed since. Takes about
    six minutes on two CPU cores.
    """
    plan = replace(plan, seed=seed)
    settings = {"seed": seed, "plan": asdict(plan), "world": world and _digest(world)}
    with RunFolder.opened(folder, settings) as run:
        return _run(run, plan, world or build_world(seed), log, progress)


def _run(
    run: RunFolder, plan: RoundsPlan, world: ToyWorld, log: Callable[[str], None], progress: bool
) -> dict[str, Any]:
    folder, seed = run.path, plan.seed
    run.claim("stages.json", "plan.json", *(f"round-{number}/" for number in range(plan.rounds + 1)))
    clock = _Clock(folder / "stages.json", log)
    with clock.stage("writing the encyclopaedia"):
        corpus = Corpus(world.passages.values())
        splits = {f"questions.{split}.jsonl": questions for split, questions in world.questions.items()}
        with run.writing("passages.tsv", *splits) as missing:
            if missing:
                save_passages(folder / "passages.tsv", corpus)
                for name, questions in splits.items():
                    save_questions(folder / name, questions)
        bm25 = BM25(corpus)
    encoder = DualEncoder.from_pretrained("toy-bert", device="cpu")
    test = world.questions["test"]
    with clock.stage("the student and the reader before they learn"):
        with run.writing("before.parquet") as missing:
            if missing:
                _retrieve_before(encoder, corpus, test, plan).save(folder / "before.parquet")
        before = ScoreTable.load(folder / "before.parquet")
        t5 = FiDReader.from_pretrained("toy-t5", device="cpu")
        few = random.Random(seed).sample(test, min(SAMPLE, len(test)))
        hits = exact_match_hits(t5, few, corpus, bm25.retrieve(few, plan.read), plan.read)
    with clock.stage("the rounds"):
        rounds = run_rounds(
            folder, world.questions["train"], test, corpus, bm25,
            lambda: FiDReader.from_pretrained("toy-t5", device="cpu"), encoder, plan, say=log, progress=progress,
        )  # fmt: skip
    with clock.stage("looking at what was learned"):
        reader = FiDReader.from_pretrained(folder / "round-1" / "reader", device="cpu")
        retrieved = {"bm25": ScoreTable.load(folder / "round-0" / "test.parquet"), "before": before}
        retrieved["after"] = ScoreTable.load(folder / f"round-{plan.rounds}" / "test.parquet")
        scores = ScoreTable.load(folder / "round-0" / "test.scores.parquet")
        predictions = read_json(folder / "round-0" / "test.answers.json", dict)
        figures = {
            "corpus": corpus_figures(world),
            "reader": reader_figures(reader, world, predictions, float(np.mean(hits))),
            "attention": {
                "gold_top1": gold_on_top(scores, world),
                "bm25_gold_top1": gold_on_top(retrieved["bm25"].top(plan.read), world),
            },
            **evidence_figures(reader, world.questions["test"], corpus, scores, seed),
            "bm25": {"recall": _keys(rounds[0].recall)},
            "before": {"recall": _keys(answer_recall(before, test, corpus, plan.ks))},
            "rounds": [{"number": r.number, "recall": _keys(r.recall), "em": r.em} for r in rounds[1:]],
        }
        run.claim(*FILES)
        start = DualEncoder.from_pretrained("toy-bert", device="cpu")
        students = {"before": EncoderScores(start), "after": EncoderScores(encoder)}
        write_distributions(folder / "distributions.parquet", world, corpus, scores, students, seed)
        example = worked_example(reader, world, corpus, scores, predictions, retrieved, students)
        write_json(folder / "worked_example.json", example)
        write_json(folder / "passages.json", sample_passages(world, seed))
        write_json(folder / "training.json", training_losses(folder))
    figures |= {"seconds": clock.total, "stages": clock.stages, "peak_memory_mb": _peak_memory()}
    write_json(folder / "figures.json", figures)
    if can_report():
        log("writing the report")
        write_report(folder)
    else:
        log(f"no report: it needs pip install 'kit[course]'; the figures are in {folder / 'figures.json'}")
    run.finish()
    return figures


def _digest(world: ToyWorld) -> str:
    """Of a world that was given: a run goes on with the same one alone."""
    texts = [[passage.id, passage.title, passage.text] for passage in world.passages.values()]
    questions = {name: [[q.id, q.text, q.answers] for q in rows] for name, rows in world.questions.items()}
    return hashlib.sha256(json.dumps([texts, questions]).encode()).hexdigest()


def _retrieve_before(encoder: DualEncoder, corpus: Corpus, test: Sequence[Question], plan: RoundsPlan) -> ScoreTable:
    return DenseRetriever.over(encoder, corpus, name="before", batch_size=256).retrieve(test, plan.retrieved)


def _keys(recall: Mapping[int, float]) -> dict[str, float]:
    return {str(k): value for k, value in recall.items()}


def _peak_memory() -> float:
    """The largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class _Clock:
    """Seconds by stage, kept on disk, so that a run that was stopped and went on counts all of them."""

    def __init__(self, path: Path, log: Callable[[str], None]) -> None:
        self.path, self.log = path, log
        self.stages: list[dict[str, Any]] = read_json(path, list) if path.exists() else []

    @property
    def total(self) -> float:
        return sum(stage["seconds"] for stage in self.stages)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.log(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages.append({"name": name, "seconds": time.perf_counter() - start})
            write_json(self.path, self.stages)
