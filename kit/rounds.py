"""FiD-KD's loop: read, score, distil, index, retrieve, and again; the only thing in the kit that goes round.

Every stage writes its result into the round's folder and is left out where the result is there already, so a stopped
loop goes on. Source: FiD-KD (Izacard & Grave 2021), section 3.3.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kit.data import save_examples
from kit.files import read_json, write_json
from kit.metrics import answer_recall, exact_match_rate
from kit.retrieve import add_random_passages
from kit.teachers import FiDAttention
from kit.train import DISTILLATION, READER_TRAINING, Distillation, ReaderTraining, RunOptions, distil, train_reader
from kit.train.signatures import check_same_run, data_digest, model_digest
from kit.types import Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader


@dataclass(frozen=True)
class RoundsPlan:
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
    """What the loop needs of its first retriever; `kit.BM25` is one."""

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable: ...


def run_rounds(
    folder: str | Path,
    train: Sequence[Question],
    test: Sequence[Question],
    corpus: Mapping[str, Passage],
    retriever: Retriever,
    make_reader: Callable[[], FiDReader],
    encoder: DualEncoder,
    plan: RoundsPlan = RoundsPlan(),
    *,
    say: Callable[[str], None] = print,
    progress: bool = True,
) -> list[Round]:
    """Go round: the results of round 0 (the first retriever) and of each round of `plan`.

    In each round a reader from `make_reader` (begun anew, as in the paper) learns to answer from the retriever's
    passages and scores them; `encoder` (trained in place, and going on from round to round) learns the scores, and its
    index is the next retriever. The test questions' answers are used for measuring alone. Raises `KitError` for a
    folder that was begun with another plan (more rounds may be added), reader, encoder, retriever or other data.
    """
    loop = _Loop(Path(folder), train, test, corpus, plan, progress)
    loop.begin(make_reader, encoder, retriever)
    tables = loop.retrieve(0, retriever)
    results: list[Round] = []
    for number in range(1, plan.rounds + 1):
        say(f"round {number}: training the reader")
        reader = loop.train_reader(number, make_reader, tables["train"])
        if number == 1:
            results.append(loop.measure(0, reader, tables["test"]))
            say(_line(results[-1]))
        say(f"round {number}: scoring passages, distilling")
        scores = loop.score(number, reader, tables["train"])
        tables = loop.retrieve(number, loop.distil(number, encoder, scores))
        results.append(loop.measure(number, reader, tables["test"]))
        say(_line(results[-1]))
    return results


@dataclass(frozen=True)
class _Loop:
    """The stages of a loop; each leaves its result in the round's folder, and takes it from there if it is there."""

    folder: Path
    train: Sequence[Question]
    test: Sequence[Question]
    corpus: Mapping[str, Passage]
    plan: RoundsPlan
    progress: bool

    def begin(self, make_reader: Callable[[], FiDReader], encoder: DualEncoder, retriever: Retriever) -> None:
        """Write down what the loop's results depend on, or check that the folder was begun with the same."""
        signature = {
            **asdict(replace(self.plan, rounds=0)),
            "reader model": model_digest(make_reader()),
            "student model": model_digest(encoder),
            "retriever": type(retriever).__name__,
            "data": data_digest([*self.train, *self.test], self.corpus),
        }
        check_same_run(self.folder / "plan.json", signature)

    def retrieve(self, number: int, retriever: Retriever) -> dict[str, ScoreTable]:
        """The passages of the training and of the test questions."""
        tables = {}
        for split, questions in (("train", self.train), ("test", self.test)):
            path = self._round(number) / f"{split}.parquet"
            if not path.exists():
                retriever.retrieve(questions, self.plan.retrieved).save(path)
            tables[split] = ScoreTable.load(path)
        return tables

    def train_reader(self, number: int, make_reader: Callable[[], FiDReader], table: ScoreTable) -> FiDReader:
        """The round's reader."""
        from kit.reader import FiDReader

        here = self._round(number)
        if (here / "reader").exists():
            return FiDReader.from_pretrained(here / "reader")
        reader, run = make_reader(), RunOptions(folder=here / "reader-training", progress=self.progress)
        if train_reader(reader, self.train, self.corpus, table, self.plan.reader, **run).interrupted:
            raise KeyboardInterrupt
        reader.save_pretrained(here / "reader")
        return reader

    def score(self, number: int, reader: FiDReader, table: ScoreTable) -> ScoreTable:
        """The teacher's scores of the round's training questions: the best retrieved passages, and random ones."""
        path, plan = self._round(number) / "teacher.parquet", self.plan
        if not path.exists():
            questions = _share(self.train, plan.score_questions, number, plan.seed)
            cells = table.select([question.id for question in questions]).top(plan.scored)
            cells = add_random_passages(cells, self.corpus, plan.drawn, plan.seed)
            teacher = FiDAttention(reader, plan.aggregation)
            scores = teacher.score(questions, self.corpus, cells, progress=self.progress)
            save_examples(path.with_suffix(".jsonl"), questions, self.corpus, scores)
            scores.save(path)
        return ScoreTable.load(path)

    def distil(self, number: int, encoder: DualEncoder, scores: ScoreTable) -> Retriever:
        """The student's retriever; `encoder` has the trained weights afterwards."""
        from kit.encoder import DualEncoder
        from kit.index import build_index
        from kit.retrieve import DenseRetriever
        from kit.retrieve.dense import embed_corpus

        here = self._round(number)
        if (here / "retriever").exists():
            trained = DualEncoder.from_pretrained(here / "retriever", device=str(encoder.device))
            encoder.load_state_dict(trained.state_dict())
        else:
            questions = [question for question in self.train if question.id in scores.rows]
            run, plan = RunOptions(folder=here / "distillation", progress=self.progress), self.plan
            if distil(encoder, questions, self.corpus, scores, plan.loss, plan.student, **run).interrupted:
                raise KeyboardInterrupt
            encoder.save_pretrained(here / "retriever")
        index = build_index(None, embed_corpus(encoder, self.corpus, here / "vectors", batch_size=256))
        index.save(here / "index")
        return DenseRetriever(encoder, index, name=here.name)

    def measure(self, number: int, reader: FiDReader, table: ScoreTable) -> Round:
        """The round's results; the reader's answers and scores of (a draw of) the test questions are kept."""
        here, plan = self._round(number), self.plan
        answers, scores = here / "test.answers.json", here / "test.scores.parquet"
        questions = _sample(self.test, plan.read_questions, plan.seed)
        if not (answers.exists() and scores.exists()):
            reading = reader.read(
                questions, self.corpus, table,
                n_context=plan.read, batch_size=16, max_new_tokens=16, progress=self.progress,
            )  # fmt: skip
            reading.scores.save(scores)
            write_json(answers, reading.answers, indent=0)
        em = exact_match_rate(read_json(answers, dict), questions)
        done = Round(number, table.name, answer_recall(table, self.test, self.corpus, plan.ks), em, here)
        write_json(here / "round.json", {**asdict(done), "folder": here.name})
        return done

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number}"


def _line(done: Round) -> str:
    recall = "  ".join(f"R@{k} {value:.3f}" for k, value in done.recall.items())
    return f"round {done.number} ({done.retriever}): {recall}  EM {done.em:.3f}"


def _sample(questions: Sequence[Question], count: int | None, seed: int) -> list[Question]:
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
