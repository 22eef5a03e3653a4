"""What a quickstart run measures on its test questions, beside the recall of its retrievers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kit.data import Corpus
from kit.metrics import bootstrap_interval, exact_match
from kit.reader import FiDReader
from kit.toy.counterfactual import counterfactual_questions
from kit.toy.world import ToyWorld
from kit.types import Passage, Question, ScoreTable

KEPT, EVIDENCE = 3, 200  # passages and questions of the evidence experiment
COUNTERFACTUAL = 300  # questions about an encyclopaedia that nobody has read


def corpus_figures(world: ToyWorld) -> dict[str, Any]:
    """Sizes of the encyclopaedia; `words` is the mean of a passage."""
    real = sum(entity.real for entity in world.entities.values())
    return {
        "passages": len(world.passages),
        "questions": {split: len(items) for split, items in world.questions.items()},
        "entities": {"real": real, "made": len(world.entities) - real},
        "words": float(np.mean([len(passage.text.split()) for passage in world.passages.values()])),
    }


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
    """Exact match on test questions, by kind of question and gold passage, with 95% intervals, and the controls.

    A question counts as `one fact` if every gold passage states one fact, as `with look-alikes` if every gold passage
    states a fact of another entity, or is about another entity.
    """
    questions = [question for question in world.questions["test"] if question.id in answers]
    groups: dict[str, list[bool]] = {}
    for question in questions:
        hit = exact_match(answers[question.id], question.answers)
        for name in ("all", *_kinds_of(question, world)):
            groups.setdefault(name, []).append(hit)
    imagined, right, wrong = counterfactual_questions(COUNTERFACTUAL)
    groups = dict(sorted(groups.items())) | {"counterfactual": _hits_of_rows(reader, imagined, right)}
    return {
        "em": {name: float(np.mean(hits)) for name, hits in groups.items()},
        "em_intervals": {name: interval(hits) for name, hits in groups.items()},
        "em_closed_book": float(np.mean(_hits_of_rows(reader, imagined, wrong))),
        "before": untrained,
        "questions": len(questions),
    }


def evidence_figures(
    reader: FiDReader, questions: Sequence[Question], corpus: Mapping[str, Passage], scores: ScoreTable, seed: int
) -> dict[str, Any]:
    """Exact match with all passages, and with the few that the reader's score, BM25's order and chance would keep."""
    questions = [question for question in questions if question.id in scores.rows]
    questions = random.Random(seed).sample(questions, min(EVIDENCE, len(questions)))
    read = scores.select([question.id for question in questions])
    order = -np.arange(read.values.shape[1], dtype=np.float32)
    rankings = {
        "attention": read.values,
        "bm25": np.tile(order, (len(read), 1)),
        "random": np.random.default_rng(seed).random(read.values.shape),
    }
    groups = {"all": exact_match_hits(reader, questions, corpus, read, read.values.shape[1])}
    for name, values in rankings.items():
        kept = ScoreTable(name, read.question_ids, read.passage_ids, np.where(read.mask, values, np.nan)).top(KEPT)
        groups[name] = exact_match_hits(reader, questions, corpus, kept, KEPT)
    return {
        "evidence_kept": KEPT,
        "evidence": {name: float(np.mean(hits)) for name, hits in groups.items()},
        "evidence_intervals": {name: interval(hits) for name, hits in groups.items()},
    }


def exact_match_hits(
    reader: FiDReader, questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, n_context: int
) -> list[bool]:
    """Whether the reader answers each question exactly, from its first `n_context` passages in the table."""
    reading = reader.read(questions, corpus, table, n_context=n_context, batch_size=16, max_new_tokens=16)
    return [exact_match(reading.answers[question.id], question.answers) for question in questions]


def interval(hits: Sequence[bool]) -> list[float]:
    """The lower and the upper bound of the mean, with 95% confidence.

    >>> interval([True, True])
    [1.0, 1.0]
    """
    bounds = bootstrap_interval(np.asarray(hits, dtype=float), samples=2000)
    return [bounds.low, bounds.high]


def _kinds_of(question: Question, world: ToyWorld) -> tuple[str, str, str]:
    """The kinds of a question: by facts in its gold passages, by look-alikes in them, real or invented entity."""
    entity, _ = world.asks[question.id]
    sources = [world.sources[name] for name in world.gold[question.id]]
    several = any(len(source.facts) > 1 for source in sources)
    alone = any(source.entity == entity and not source.lookalikes for source in sources)
    return (
        "several facts" if several else "one fact",
        "right entity only" if alone else "with look-alikes",
        "real" if world.entities[entity].real else "made",
    )


def _hits_of_rows(reader: FiDReader, questions: Sequence[Question], rows: Sequence[Sequence[Passage]]) -> list[bool]:
    """Exact match of each question with its row of passages, in their order."""
    cells = ([(passage.id, -float(place)) for place, passage in enumerate(row)] for row in rows)
    table = ScoreTable.from_rows("in order", dict(zip([question.id for question in questions], cells, strict=True)))
    return exact_match_hits(reader, questions, Corpus(one for row in rows for one in row), table, 10)
