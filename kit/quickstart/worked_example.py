"""What a quickstart run leaves to look at: one question followed through, score distributions, samples, losses.

The report's figures are made from these files (notebooks/templates/report.ipynb); none is made here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from kit.attention import capture_cross_attention
from kit.data import Corpus
from kit.files import read_json, written_aside
from kit.metrics import exact_match
from kit.reader import FiDReader
from kit.teachers import EncoderScores
from kit.toy.world import ToyWorld
from kit.types import Passage, Question, ScoreTable


def worked_example(
    reader: FiDReader, world: ToyWorld, corpus: Corpus, scores: ScoreTable, predictions: Mapping[str, str],
    retrieved: Mapping[str, ScoreTable], students: Mapping[str, EncoderScores],
) -> dict[str, Any]:  # fmt: skip
    """One question through every stage: retrieved by BM25 below the top, read, attended to, retrieved by the student.

    `scores`: the reader's of the passages that it read. `retrieved` and `students` have "before" and "after",
    `retrieved` has "bm25" too.
    """
    question = _example_question(world, scores, predictions, retrieved)
    gold = set(world.gold[question.id])
    row, bm25 = scores.select([question.id]), retrieved["bm25"].select([question.id])
    bm25_scores = dict(zip(bm25.passage_ids[0].tolist(), bm25.values[0].tolist(), strict=True))
    passages = [corpus[name] for name in row.passages_of(question.id)]
    columns = {
        "gold": [passage.id in gold for passage in passages],
        "bm25": [bm25_scores.get(passage.id) for passage in passages],
        "score": row.values[0].tolist(),
        **{name: student.score([question], corpus, row).values[0].tolist() for name, student in students.items()},
    }
    return {
        "question": question.text, "answers": list(question.answers), "prediction": predictions[question.id],
        "passages": [
            {"id": passage.id, "title": passage.title, "text": passage.text, **attended}
            | {name: values[place] for name, values in columns.items()}
            for place, (passage, attended) in enumerate(
                zip(passages, attended_tokens(reader, question, passages, predictions[question.id]), strict=True)
            )
        ],
        "retrieved": {
            name: [{"id": i, "title": corpus[i].title, "gold": i in gold}
                   for i in table.select([question.id]).top(5).passages_of(question.id)]
            for name, table in retrieved.items()
        },
    }  # fmt: skip


def attended_tokens(
    reader: FiDReader, question: Question, passages: Sequence[Passage], prediction: str
) -> list[dict[str, Any]]:
    """Of each passage: its tokens, their attention probabilities and logits, and which of them are the prediction's.

    Attention is that of the first answer token, averaged over layers and heads; `share` is the sum of a passage's
    probabilities, and all of them sum to one.
    """
    ids, mask = reader.tokenize([question.text], [passages])
    record = capture_cross_attention(reader, ids, mask)
    logits, probabilities = (x[:, 0, :, 0].mean((0, 1)) for x in (record.logits, record.probabilities))  # (k, t)
    tokenizer = reader.require_tokenizer("attended_tokens")
    answer = tokenizer(prediction, add_special_tokens=False)["input_ids"]
    rows = []
    for place in range(len(passages)):
        kept = mask[0, place]
        tokens = ids[0, place][kept].tolist()
        starts = [n for n in range(len(tokens)) if answer and tokens[n : n + len(answer)] == answer]
        rows.append({
            "tokens": tokenizer.convert_ids_to_tokens(tokens),
            "probabilities": probabilities[place][kept].tolist(), "logits": logits[place][kept].tolist(),
            "share": float(probabilities[place][kept].sum()),
            "answer": [start + n for start in starts for n in range(len(answer))],
        })  # fmt: skip
    return rows


def _example_question(
    world: ToyWorld, scores: ScoreTable, predictions: Mapping[str, str], retrieved: Mapping[str, ScoreTable]
) -> Question:
    """A question about a real entity that the reader answers and for which BM25's first passage is not gold."""

    def merits(question: Question) -> tuple[bool, ...]:
        gold = set(world.gold[question.id])
        first = {name: table.passages_of(question.id)[0] in gold for name, table in retrieved.items()}
        real = world.entities[world.asks[question.id][0]].real
        right = exact_match(predictions[question.id], question.answers)
        return (right, real, not first["bm25"], first["after"], not first["before"])

    return max((question for question in world.questions["test"] if question.id in scores.rows), key=merits)


def write_distributions(
    path: Path, world: ToyWorld, corpus: Corpus, scores: ScoreTable, students: Mapping[str, EncoderScores], seed: int
) -> None:
    """Scores of reader and students for the same passages of 200 test questions, one row a passage of a question."""
    questions = [question for question in world.questions["test"] if question.id in scores.rows]
    questions = random.Random(seed).sample(questions, min(200, len(questions)))
    table = scores.select([question.id for question in questions])
    columns = {"teacher": table} | {name: one.score(questions, corpus, table) for name, one in students.items()}
    ids, width = table.passage_ids, table.passage_ids.shape[1]
    frame = pandas.DataFrame({"question_id": table.question_ids.repeat(width), "passage_id": ids.ravel()})
    frame["gold"] = [passage in world.gold[question] for question, passage in frame.itertuples(index=False)]
    for name, values in columns.items():
        frame[name] = values.values.ravel()
    with written_aside(path) as aside:
        frame[ids.ravel() != ""].to_parquet(aside)


def sample_passages(world: ToyWorld, seed: int) -> list[dict[str, Any]]:
    """Four passages about real entities, each with up to three questions that it answers."""
    about: dict[str, list[Question]] = {}
    for questions in world.questions.values():
        for question in questions:
            for name in world.gold[question.id]:
                about.setdefault(name, []).append(question)
    real = [name for name in about if world.entities[world.sources[name].entity].real]
    return [
        {
            "title": world.passages[name].title,
            "text": world.passages[name].text,
            "questions": [{"text": q.text, "answer": q.answers[0]} for q in about[name][:3]],
        }
        for name in random.Random(seed).sample(real, 4)
    ]


def training_losses(folder: Path) -> dict[str, Any]:
    """The losses of the first round's reader and of each round's student, step by step."""
    rounds = sorted(folder.glob("round-[1-9]*"), key=lambda path: int(path.name.split("-")[1]))
    losses = {
        part: [read_json(path / part / "training.json", dict)["losses"] for path in rounds]
        for part in ("reader-training", "distillation")
    }
    numbered = [{"number": number, "student": rows} for number, rows in enumerate(losses["distillation"], start=1)]
    return {"reader": losses["reader-training"][0], "rounds": numbered}
