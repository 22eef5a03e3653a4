"""What a quickstart run leaves to look at: one question followed through, score distributions, samples, losses.

The report's pictures are made from these files; none is made here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from kit.attention import capture_cross_attention
from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.files import read_json, write_json, written_aside
from kit.metrics import exact_match
from kit.reader import FiDReader
from kit.toy.world import ToyWorld
from kit.types import Question, ScoreTable


class StudentScores:
    """The student's scores over the passages that the reader read, before (kept as weights) and after."""

    def __init__(self, encoder: DualEncoder, corpus: Corpus) -> None:
        self.corpus = corpus
        self.start = {name: weight.clone() for name, weight in encoder.state_dict().items()}

    def student(self, encoder: DualEncoder, questions: Sequence[Question], table: ScoreTable) -> np.ndarray:
        """Scores (q, k) of the cells of `table`."""
        texts = [question.text for question in questions]
        ids = [name for row in table.passage_ids.tolist() for name in row]
        vectors = encoder.encode_passages([self.corpus[name] for name in ids], batch_size=256)
        asked = torch.from_numpy(encoder.encode_questions(texts))
        return encoder.score(asked, torch.from_numpy(vectors).view(*table.values.shape, -1)).numpy()

    def both(
        self, encoder: DualEncoder, questions: Sequence[Question], table: ScoreTable
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores (q, k) before and after; the encoder is left as it is."""
        after = self.student(encoder, questions, table)
        trained = {name: weight.clone() for name, weight in encoder.state_dict().items()}
        encoder.load_state_dict(self.start)
        try:
            return self.student(encoder, questions, table), after
        finally:
            encoder.load_state_dict(trained)

    def write(self, folder: Path, world: ToyWorld, scores: ScoreTable, encoder: DualEncoder, seed: int) -> None:
        import pandas

        asked = [question for question in world.questions["test"] if question.id in scores.rows]
        asked = random.Random(seed).sample(asked, min(200, len(asked)))
        table = scores.select([question.id for question in asked])
        before, after = self.both(encoder, asked, table)
        rows = [
            (question.id, name, name in world.gold[question.id], *cells)
            for question, ids, *values in zip(
                asked, table.passage_ids.tolist(), table.values, before, after, strict=True
            )
            for name, *cells in zip(ids, *values, strict=True)
        ]
        frame = pandas.DataFrame(rows, columns=["question_id", "passage_id", "gold", "teacher", "before", "after"])
        with written_aside(folder / "distributions.parquet") as aside:
            frame.to_parquet(aside)


def write_story(
    folder: Path, reader: FiDReader, world: ToyWorld, corpus: Corpus, scores: ScoreTable, answers: Mapping[str, str],
    before: ScoreTable, distributions: StudentScores, encoder: DualEncoder,
) -> None:  # fmt: skip
    """One question through every stage: found by BM25 below the top, read, seen, and found by the student."""
    final = sorted(folder.glob("round-*"))[-1]
    tables = {
        name: ScoreTable.load(path / "test.parquet") for name, path in (("bm25", folder / "round-0"), ("after", final))
    }
    tables["before"] = before
    question = _telling_question(world, scores, answers, tables)
    row = scores.select([question.id])
    passages = [corpus[name] for name in row.passages_of(question.id)]
    ids, mask = reader.tokenize([question.text], [passages])
    seen = capture_cross_attention(reader, ids, mask)
    logits, probabilities = (x[:, 0, :, 0].mean((0, 1)) for x in (seen.logits, seen.probabilities))  # (k, t)
    old, new = distributions.both(encoder, [question], row)
    gold, told = set(world.gold[question.id]), tables["bm25"].select([question.id])
    bm25 = dict(zip(told.passage_ids[0].tolist(), told.values[0].tolist(), strict=True))
    told = [
        {
            "id": passage.id, "title": passage.title, "text": passage.text, "gold": passage.id in gold,
            "bm25": bm25.get(passage.id), "attention": float(row.values[0, n]),
            "before": float(old[0, n]), "after": float(new[0, n]),
            "tokens": reader.require_tokenizer("story").convert_ids_to_tokens(ids[0, n][mask[0, n]].tolist()),
            "probabilities": probabilities[n][mask[0, n]].tolist(), "logits": logits[n][mask[0, n]].tolist(),
        }
        for n, passage in enumerate(passages)
    ]  # fmt: skip
    found = {
        name: [
            {"id": i, "title": corpus[i].title, "gold": i in gold}
            for i in table.select([question.id]).top(5).passages_of(question.id)
        ]
        for name, table in tables.items()
    }
    story = {"question": question.text, "answers": list(question.answers), "said": answers[question.id]}
    write_json(folder / "story.json", {**story, "passages": told, "found": found})


def _telling_question(
    world: ToyWorld, scores: ScoreTable, answers: Mapping[str, str], tables: Mapping[str, ScoreTable]
) -> Question:
    """A question about a real entity that the reader answers and of which BM25's first passage is not gold."""
    asked = [question for question in world.questions["test"] if question.id in scores.rows]

    def telling(question: Question) -> tuple[bool, ...]:
        gold = set(world.gold[question.id])
        first = {name: table.passages_of(question.id)[0] in gold for name, table in tables.items()}
        real = world.entities[world.asks[question.id][0]].real
        right = exact_match(answers[question.id], question.answers)
        return (right, real, not first["bm25"], first["after"], not first["before"])

    return max(asked, key=telling)


def write_samples(folder: Path, world: ToyWorld, seed: int) -> None:
    rng = random.Random(seed)
    about: dict[str, list[Question]] = {}
    for questions in world.questions.values():
        for question in questions:
            for name in world.gold[question.id]:
                about.setdefault(name, []).append(question)
    names = rng.sample([name for name in about if world.entities[world.sources[name].entity].real], 4)
    samples = [
        {
            "title": world.passages[name].title,
            "text": world.passages[name].text,
            "questions": [{"text": q.text, "answer": q.answers[0]} for q in about[name][:3]],
        }
        for name in names
    ]
    write_json(folder / "passages.json", samples)
    training = {"rounds": []}
    for here in sorted(folder.glob("round-[1-9]*")):
        reader, student = (
            read_json(here / part / "training.json", dict) for part in ("reader-training", "distillation")
        )
        training.setdefault("reader", reader["losses"])
        training["rounds"].append({"number": int(here.name.split("-")[1]), "student": student["losses"]})
    write_json(folder / "training.json", training)
