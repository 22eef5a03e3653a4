"""FiD-KD's loop: read, score, distil, index, retrieve, and again; the only thing in the kit that goes round.

Every stage writes its result into the round's folder and is left out where the result is there already, so a stopped
loop goes on. Source: FiD-KD (Izacard & Grave 2021), section 3.3.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kit.data import save_examples
from kit.files import read_json, write_json, written_aside
from kit.metrics import answer_recall, exact_match_rate
from kit.retrieve import add_random_passages
from kit.teachers import FiDAttention
from kit.train import DISTILLATION, READER_TRAINING, Distillation, ReaderTraining, distil, train_reader
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader


@dataclass(frozen=True)
class Plan:
    """What a loop does. The defaults are the toy's; at full scale `retrieved` and `scored` are 100."""

    rounds: int = 2
    reader: ReaderTraining = READER_TRAINING["toy"]
    student: Distillation = DISTILLATION["toy"]
    loss: str = "kl"
    aggregation: str = "fid_kd"
    retrieved: int = 20  # passages kept of each question
    read: int = 10  # passages read where exact match is measured
    scored: int = 8  # passages that the teacher scores for each training question: the best retrieved ones,
    drawn: int = 2  # and so many drawn from the whole corpus: without them a student forgets what is far off
    score_questions: int | None = None  # training questions scored in a round, others in the next; None: all
    read_questions: int | None = None  # test questions read in a round; None: all
    ks: tuple[int, ...] = (1, 5, 20)
    seed: int = 0


@dataclass(frozen=True)
class Round:
    """One round's results: answer recall of its retriever on the test questions, and its reader's exact match on them.

    Round 0 is the first retriever alone; its exact match is that of round 1's reader on the first retriever's passages.
    """

    number: int
    retriever: str
    recall: dict[int, float]
    em: float
    folder: Path


class Retriever(Protocol):
    """What the loop asks of its first retriever; `kit.BM25` is one."""

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable: ...


def run_rounds(
    folder: str | Path,
    train: Sequence[Question],
    test: Sequence[Question],
    corpus: Mapping[str, Passage],
    retriever: Retriever,
    make_reader: Callable[[], FiDReader],
    encoder: DualEncoder,
    plan: Plan = Plan(),
    *,
    say: Callable[[str], None] = print,
    progress: bool = True,
) -> list[Round]:
    """Go round: the results of round 0 (the first retriever) and of each round of `plan`.

    In each round a reader from `make_reader` (begun anew, as in the paper) learns to answer from the retriever's
    passages and scores them; `encoder` (trained in place, and going on from round to round) learns the scores, and its
    index is the next retriever. The test questions' answers are used for measuring alone.
    """
    folder = Path(folder)
    _same_plan(folder, plan)
    tables = _retrieve(folder / "round-0", retriever, train, test, plan)
    results: list[Round] = []
    for number in range(1, plan.rounds + 1):
        here = folder / f"round-{number}"
        say(f"round {number}: training the reader")
        reader = _trained_reader(here, make_reader, train, corpus, tables["train"], plan, progress)
        if number == 1:
            em = measure(folder / "round-0" / "test", reader, test, corpus, tables["test"], plan, progress)
            results.append(_round(0, folder / "round-0", tables["test"], test, corpus, em, plan))
            say(_line(results[-1]))
        say(f"round {number}: scoring passages, distilling")
        scores = _teacher_scores(number, here, reader, train, corpus, tables["train"], plan, progress)
        dense = _distilled(here, encoder, train, corpus, scores, plan, progress)
        tables = _retrieve(here, dense, train, test, plan)
        em = measure(here / "test", reader, test, corpus, tables["test"], plan, progress)
        results.append(_round(number, here, tables["test"], test, corpus, em, plan))
        say(_line(results[-1]))
    return results


def measure(
    path: Path,
    reader: FiDReader,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    plan: Plan,
    progress: bool = True,
) -> float:
    """The reader's exact match on (a draw of) the questions; its answers and scores are kept beside `path`."""
    answers_path, scores_path = path.with_suffix(".answers.json"), path.with_suffix(".scores.parquet")
    asked = _some(questions, plan.read_questions, plan.seed)
    if not (answers_path.exists() and scores_path.exists()):
        reading = reader.read(
            asked, corpus, table, n_context=plan.read, batch_size=16, max_new_tokens=16, progress=progress
        )
        reading.scores.save(scores_path)
        write_json(answers_path, reading.answers, indent=0)
    answers = read_json(answers_path, dict)
    return exact_match_rate(answers, asked)


def _same_plan(folder: Path, plan: Plan) -> None:
    """Refuse a folder of another plan: its files would be taken for this one's (more rounds may be added)."""
    path, wanted = folder / "plan.json", json.dumps(asdict(replace(plan, rounds=0)), indent=2)
    if path.exists() and path.read_text(encoding="utf-8") != wanted:
        raise KitError(str(path), "the plan that this folder was begun with, or another folder", "a different plan")
    with written_aside(path) as aside:
        aside.write_text(wanted, encoding="utf-8")


def _retrieve(
    here: Path, retriever: Retriever, train: Sequence[Question], test: Sequence[Question], plan: Plan
) -> dict[str, ScoreTable]:
    tables = {}
    for split, questions in (("train", train), ("test", test)):
        path = here / f"{split}.parquet"
        if not path.exists():
            retriever.retrieve(questions, plan.retrieved).save(path)
        tables[split] = ScoreTable.load(path)
    return tables


def _trained_reader(
    here: Path,
    make_reader: Callable[[], FiDReader],
    train: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    plan: Plan,
    progress: bool,
) -> FiDReader:
    from kit.reader import FiDReader

    if (here / "reader").exists():
        return FiDReader.from_pretrained(here / "reader")
    reader = make_reader()
    training = train_reader(
        reader, train, corpus, table, plan.reader, folder=here / "reader-training", progress=progress
    )
    if training.interrupted:
        raise KeyboardInterrupt
    reader.save_pretrained(here / "reader")
    return reader


def _teacher_scores(
    number: int,
    here: Path,
    reader: FiDReader,
    train: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    plan: Plan,
    progress: bool,
) -> ScoreTable:
    path = here / "teacher.parquet"
    if not path.exists():
        asked = _share(train, plan.score_questions, number, plan.seed)
        found = table.select([question.id for question in asked]).top(plan.scored)
        found = add_random_passages(found, corpus, plan.drawn, plan.seed)
        scores = FiDAttention(reader, plan.aggregation).score(asked, corpus, found, progress=progress)
        save_examples(here / "teacher.jsonl", asked, corpus, scores)
        scores.save(path)
    return ScoreTable.load(path)


def _distilled(
    here: Path,
    encoder: DualEncoder,
    train: Sequence[Question],
    corpus: Mapping[str, Passage],
    scores: ScoreTable,
    plan: Plan,
    progress: bool,
) -> Retriever:
    """The student's retriever; `encoder` has the trained weights afterwards."""
    from kit.encoder import DualEncoder
    from kit.index import build_index
    from kit.retrieve import DenseRetriever
    from kit.retrieve.dense import embed_corpus

    if (here / "retriever").exists():
        trained = DualEncoder.from_pretrained(here / "retriever", device=str(encoder.device))
        encoder.load_state_dict(trained.state_dict())
    else:
        asked = [question for question in train if question.id in scores.rows]
        training = distil(
            encoder, asked, corpus, scores, plan.loss, plan.student, folder=here / "distillation", progress=progress
        )
        if training.interrupted:
            raise KeyboardInterrupt
        encoder.save_pretrained(here / "retriever")
    vectors = embed_corpus(encoder, corpus, here / "vectors", batch_size=256)
    index = build_index(None, vectors)
    index.save(here / "index")
    return DenseRetriever(encoder, index, name=here.name)


def _round(
    number: int,
    here: Path,
    table: ScoreTable,
    test: Sequence[Question],
    corpus: Mapping[str, Passage],
    em: float,
    plan: Plan,
) -> Round:
    done = Round(number, table.name, answer_recall(table, test, corpus, plan.ks), em, here)
    write_json(here / "round.json", {**asdict(done), "folder": here.name})
    return done


def _line(done: Round) -> str:
    recall = "  ".join(f"R@{k} {value:.3f}" for k, value in done.recall.items())
    return f"round {done.number} ({done.retriever}): {recall}  EM {done.em:.3f}"


def _some(questions: Sequence[Question], count: int | None, seed: int) -> list[Question]:
    if count is None or count >= len(questions):
        return list(questions)
    return random.Random(f"some-{seed}").sample(list(questions), count)


def _share(questions: Sequence[Question], count: int | None, number: int, seed: int) -> list[Question]:
    """The questions of round `number` (from 1): the next `count` of them in an order drawn once, over and over."""
    if count is None or count >= len(questions):
        return list(questions)
    order = random.Random(f"share-{seed}").sample(list(questions), len(questions))
    start = (number - 1) * count
    return [order[place % len(order)] for place in range(start, start + count)]
