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
from kit.index import build_index
from kit.metrics import answer_recall, exact_match
from kit.quickstart.run_folder import RunFolder
from kit.quickstart.story import StudentScores, write_samples, write_story
from kit.reader import FiDReader
from kit.report import write_report
from kit.retrieve import BM25, DenseRetriever
from kit.rounds import Plan, run_rounds
from kit.shipped import DATA
from kit.toy.counterfactual import counterfactual_questions
from kit.toy.world import ToyWorld, build_world
from kit.types import Passage, Question, ScoreTable

PLAN = Plan(read_questions=700, score_questions=2500)
FEW = 3  # passages of the evidence experiment
SAMPLE = 300  # questions of the smaller measurements
REPORT = "report.html"


def run_quickstart(
    folder: str | Path = "runs/quickstart",
    *,
    seed: int = 0,
    plan: Plan = PLAN,
    world: ToyWorld | None = None,
    say: Callable[[str], None] = print,
    progress: bool = True,
) -> dict[str, Any]:
    """The figures of a run, also in `folder`/figures.json, with a report; a stopped run goes on where it stopped.

    A folder with a finished run is begun anew: its files are removed, and no others. Raises `KitError` if the folder
    holds other files and no run, or a run's files that were changed since. Takes under five minutes on two CPU cores.
    """
    plan = replace(plan, seed=seed)
    run = RunFolder.opened(folder, {"seed": seed, "plan": asdict(plan), "world": world and _digest(world)})
    folder = run.path
    run.claim("stages.json", "plan.json", *(f"round-{number}/" for number in range(plan.rounds + 1)))
    clock = _Clock(folder / "stages.json", say)
    with clock.stage("writing the encyclopaedia"):
        world = world or build_world(seed)
        corpus = Corpus(world.passages.values())
        splits = {f"questions.{split}.jsonl": questions for split, questions in world.questions.items()}
        with run.writing("passages.tsv", *splits) as missing:
            if missing:
                save_passages(folder / "passages.tsv", corpus)
                for name, questions in splits.items():
                    save_questions(folder / name, questions)
        bm25 = BM25(corpus)
    encoder = DualEncoder.from_pretrained(DATA / "bert", device="cpu")
    test = world.questions["test"]
    with clock.stage("the student and the reader before they learn"):
        with run.writing("before.parquet") as missing:
            if missing:
                _retrieve_before(encoder, corpus, test, plan).save(folder / "before.parquet")
        before = ScoreTable.load(folder / "before.parquet")
        t5 = FiDReader.from_pretrained(DATA / "t5", device="cpu")
        few = random.Random(seed).sample(test, min(SAMPLE, len(test)))
        untrained = _em(t5, few, corpus, bm25.retrieve(few, plan.read), plan.read)
        distributions = StudentScores(encoder, corpus)
    with clock.stage("the rounds"):
        rounds = run_rounds(
            folder, world.questions["train"], test, corpus, bm25,
            lambda: FiDReader.from_pretrained(DATA / "t5", device="cpu"), encoder, plan, say=say, progress=progress,
        )  # fmt: skip
    with clock.stage("looking at what was learned"):
        reader = FiDReader.from_pretrained(folder / "round-1" / "reader", device="cpu")
        found = ScoreTable.load(folder / "round-0" / "test.parquet")
        scores = ScoreTable.load(folder / "round-0" / "test.scores.parquet")
        answers = read_json(folder / "round-0" / "test.answers.json", dict)
        figures = {
            "corpus": _corpus_figures(world),
            "reader": reader_figures(reader, world, answers, untrained),
            "attention": {
                "gold_top1": gold_on_top(scores, world),
                "bm25_gold_top1": gold_on_top(found.top(plan.read), world),
            },
            "evidence_kept": FEW,
            "evidence": _evidence(
                reader, few, corpus, scores.select([q.id for q in test if q.id in scores.rows]), seed
            ),
            "bm25": {"recall": _keys(rounds[0].recall)},
            "before": {"recall": _keys(answer_recall(before, test, corpus, plan.ks))},
            "rounds": [{"number": r.number, "recall": _keys(r.recall), "em": r.em} for r in rounds[1:]],
        }
        run.claim("distributions.parquet", "story.json", "passages.json", "training.json", "figures.json", REPORT)
        distributions.write(folder, world, scores, encoder, seed)
        write_story(folder, reader, world, corpus, scores, answers, before, distributions, encoder)
        write_samples(folder, world, seed)
    figures |= {"seconds": clock.total, "stages": clock.stages, "peak_memory_mb": _peak_memory()}
    write_json(folder / "figures.json", figures)
    write_report(folder)
    run.finish()
    return figures


def _digest(world: ToyWorld) -> str:
    """Of a world that was given: a run goes on with the same one alone."""
    texts = [[passage.id, passage.title, passage.text] for passage in world.passages.values()]
    questions = {name: [[q.id, q.text, q.answers] for q in rows] for name, rows in world.questions.items()}
    return hashlib.sha256(json.dumps([texts, questions]).encode()).hexdigest()


def gold_on_top(table: ScoreTable, world: ToyWorld) -> float:
    """Of the questions that have a gold passage in their row, the share in which the highest-scored one is gold."""
    hits = []
    for question_id, ids, values in zip(
        table.question_ids.tolist(), table.passage_ids.tolist(), table.values, strict=True
    ):
        gold = set(world.gold[question_id])
        if gold & set(ids):
            hits.append(ids[int(np.nanargmax(values))] in gold)
    return float(np.mean(hits))


def reader_figures(reader: FiDReader, world: ToyWorld, answers: Mapping[str, str], untrained: float) -> dict[str, Any]:
    """Exact match on test questions, by kind of question and gold passage, and the controls.

    A question counts as `one fact` where every gold passage states one fact, as `with look-alikes` where every gold
    passage states a fact of another entity, or is about another entity.
    """
    asked = [question for question in world.questions["test"] if question.id in answers]
    groups: dict[str, list[bool]] = {}
    for question in asked:
        hit = exact_match(answers[question.id], question.answers)
        for name in ("all", *_kinds_of(question, world)):
            groups.setdefault(name, []).append(hit)
    em = {name: float(np.mean(hits)) for name, hits in sorted(groups.items())}
    questions, right, wrong = counterfactual_questions(300)
    passages = {name: Corpus(p for row in rows for p in row) for name, rows in (("right", right), ("wrong", wrong))}
    tables = {name: _table(questions, rows) for name, rows in (("right", right), ("wrong", wrong))}
    em["counterfactual"] = _em(reader, questions, passages["right"], tables["right"], 10)
    closed = _em(reader, questions, passages["wrong"], tables["wrong"], 10)
    return {"em": em, "em_closed_book": closed, "before": untrained, "questions": len(asked)}


def _kinds_of(question: Question, world: ToyWorld) -> tuple[str, str, str]:
    """The kinds of a question: by facts in its gold passages, by look-alikes in them, real or made entity."""
    entity, _ = world.asks[question.id]
    sources = [world.sources[name] for name in world.gold[question.id]]
    several = any(len(source.facts) > 1 for source in sources)
    alone = any(source.entity == entity and not source.lookalikes for source in sources)
    return (
        "several facts" if several else "one fact",
        "right entity only" if alone else "with look-alikes",
        "real" if world.entities[entity].real else "made",
    )


def _evidence(
    reader: FiDReader, questions: Sequence[Question], corpus: Mapping[str, Passage], scores: ScoreTable, seed: int
) -> dict[str, float]:
    """Exact match with all passages, and with the few that attention, BM25's order and chance would keep."""
    asked = [question for question in questions if question.id in scores.rows]
    read = scores.select([question.id for question in asked])
    order = -np.arange(read.values.shape[1], dtype=np.float32)
    rng = np.random.default_rng(seed)
    rankings = {
        "attention": read.values,
        "bm25": np.tile(order, (len(read), 1)),
        "random": rng.random(read.values.shape),
    }
    result = {"all": _em(reader, asked, corpus, read, read.values.shape[1])}
    for name, values in rankings.items():
        kept = ScoreTable(name, read.question_ids, read.passage_ids, np.where(read.mask, values, np.nan)).top(FEW)
        result[name] = _em(reader, asked, corpus, kept, FEW)
    return result


def _em(
    reader: FiDReader, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, n: int
) -> float:
    reading = reader.read(questions, corpus, table, n_context=n, batch_size=16, max_new_tokens=16)
    return float(np.mean([exact_match(reading.answers[q.id], q.answers) for q in questions]))


def _table(questions: Sequence[Question], rows: Sequence[Sequence[Passage]]) -> ScoreTable:
    """Passages in their order, with falling scores."""
    ids = [[passage.id for passage in row] for row in rows]
    return ScoreTable("given", [q.id for q in questions], ids, [[-float(n) for n in range(len(row))] for row in ids])


def _retrieve_before(encoder: DualEncoder, corpus: Corpus, test: Sequence[Question], plan: Plan) -> ScoreTable:
    vectors = encoder.encode_passages(corpus.values(), batch_size=256)
    return DenseRetriever(encoder, build_index(list(corpus), vectors), name="before").retrieve(test, plan.retrieved)


def _corpus_figures(world: ToyWorld) -> dict[str, Any]:
    real = sum(entity.real for entity in world.entities.values())
    return {
        "passages": len(world.passages),
        "questions": {split: len(items) for split, items in world.questions.items()},
        "entities": {"real": real, "made": len(world.entities) - real},
        "words": float(np.mean([len(passage.text.split()) for passage in world.passages.values()])),
    }


def _keys(recall: Mapping[int, float]) -> dict[str, float]:
    return {str(k): value for k, value in recall.items()}


def _peak_memory() -> float:
    """The largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class _Clock:
    """Seconds by stage, kept on disk, so that a run that was stopped and went on counts all of them."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.stages: list[dict[str, Any]] = read_json(path, list) if path.exists() else []

    @property
    def total(self) -> float:
        return sum(stage["seconds"] for stage in self.stages)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.say(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages.append({"name": name, "seconds": time.perf_counter() - start})
            write_json(self.path, self.stages)
