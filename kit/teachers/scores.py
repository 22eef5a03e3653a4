"""What teachers have in common: the cells they score, the file they write, and scores brought to one scale.

A teacher is anything with `score(questions, corpus, table) -> ScoreTable`. Knows no models; those are in
`kit.teachers.fid` and `kit.teachers.cross_encoders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from kit.data.examples import Example, example_writer, numbered_examples
from kit.types import KitError, Passage, Question, ScoreTable

CELLS_AT_ONCE = 4096  # (question, passage) pairs that are tokenized, sorted by length and written together
FEWEST_FOR_A_VERDICT = 20  # fewer scores than this may lie in 0 ... 1 by chance

ScoreBatch = Callable[[list[Question], list[list[Passage]]], Sequence[float] | np.ndarray]
Part = tuple[list[Question], Mapping[str, Passage], ScoreTable]


class Teacher(Protocol):
    """What a teacher is. One that needs answers says so in `asks_for_answers` (a bool; absent: it does not)."""

    def score(
        self,
        questions: Sequence[Question],
        corpus: Mapping[str, Passage],
        table: ScoreTable,
        *,
        progress: bool = False,
    ) -> ScoreTable:
        """Scores (q, k) in the cells of `table`, a row for each of the questions; higher is better."""


def score_cells(
    name: str,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    score_batch: ScoreBatch,
    *,
    n_context: int | None = None,
    questions_at_once: int | None = None,
    progress: bool = False,
) -> ScoreTable:
    """A table (q, k) called `name` in the cells of `table`, filled batch by batch; what every teacher does.

    `score_batch(questions, passages of each)` gives their scores one after the other; questions without passages are
    not handed to it. A batch is so many questions, or, without that, some 4,000 passages. Of each question only the
    `n_context` passages that `table` scores highest are scored (all if None); the others keep their cell, with NaN.
    Errors: `KitError` for a question that the table, or a passage that the corpus, does not have; before any work.

    >>> found = ScoreTable("bm25", ["q"], [["a", "b"]], [[1.0, 2.0]])
    >>> corpus = {i: Passage(i, "", "so many words " * n) for i, n in (("a", 1), ("b", 2))}
    >>> lengths = lambda questions, passages: [len(p.text.split()) for row in passages for p in row]
    >>> score_cells("length", [Question("q", "why")], corpus, found, lengths).values.tolist()
    [[3.0, 6.0]]
    """
    found = table.select([question.id for question in questions])
    asked = asked_cells(found, n_context)
    check_passages(found, asked, corpus)
    values = np.full(found.values.shape, np.nan, dtype=np.float32)
    costs = asked.any(axis=1) if questions_at_once is not None else asked.sum(axis=1)
    most = questions_at_once if questions_at_once is not None else CELLS_AT_ONCE
    with tqdm(total=int(asked.sum()), desc=name, unit="passage", disable=not progress) as bar:
        for rows in runs(costs.tolist(), most):
            passages = [[corpus[i] for i in found.passage_ids[row][asked[row]].tolist()] for row in rows]
            block = values[rows]
            block[asked[rows]] = score_batch([questions[row] for row in rows], passages)
            values[rows] = block
            bar.update(sum(map(len, passages)))
    return ScoreTable(name, found.question_ids, found.passage_ids, values)


def asked_cells(table: ScoreTable, n_context: int | None) -> np.ndarray:
    """Which cells are among their question's `n_context` highest, bool (q, k); all that are not missing if None."""
    if n_context is None:
        return table.mask
    best = table.top(n_context).passage_ids
    kept = [np.isin(ids, top) for ids, top in zip(table.passage_ids, best, strict=True)]
    return np.array(kept, dtype=bool).reshape(table.mask.shape) & table.mask


def check_passages(table: ScoreTable, asked: np.ndarray, corpus: Mapping[str, Passage]) -> None:
    """Nothing; `KitError` where the corpus does not hold a passage of the asked cells."""
    for passage_id in np.unique(table.passage_ids[asked]).tolist():
        if passage_id not in corpus:
            raise KitError(f"score table {table.name!r}", "passages that are in the corpus", repr(passage_id))


def runs(costs: Iterable[int], most: int) -> Iterator[list[int]]:
    """Positions in runs that cost at most `most` together, or one that costs more by itself; cost 0 is in none.

    >>> list(runs([2, 2, 3, 0, 9], most=4))
    [[0, 1], [2], [4]]
    """
    if most < 1:
        raise KitError("batch size", "at least 1", most)
    run: list[int] = []
    total = 0
    for position, cost in enumerate(costs):
        if not cost:
            continue
        if run and total + cost > most:
            yield run
            run, total = [], 0
        run.append(position)
        total += cost
    if run:
        yield run


def answer_of(question: Question) -> str:
    """What the teachers that go by the answer make the reader say: the target, or the first answer without one.

    >>> answer_of(Question("1", "who", ("Ann", "Anna"))), answer_of(Question("2", "who", ("Ann",), target="Anna"))
    ('Ann', 'Anna')
    """
    answer = question.target if question.target is not None else next(iter(question.answers), None)
    if answer is None or not answer.strip():
        given = "none" if answer is None else repr(answer)
        raise KitError(f"question {question.id!r}", "a target or an answer, which this teacher goes by", given)
    return answer


def asks_for_answers(teacher: Teacher) -> bool:
    """Whether the teacher needs each question's answer."""
    return bool(getattr(teacher, "asks_for_answers", False))


def score_examples(
    teacher: Teacher,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    path: str | Path,
    *,
    progress: bool = False,
) -> None:
    """Write the examples of `table` with the teacher's scores as FiD's format, some 4,000 passages at a time.

    The scores are never held together: a teacher's file for all of Natural Questions (8 million cells) takes no more
    memory than `table`. Passages keep the table's order; one that was not scored has no `score`. The file appears,
    whole, at the end. Errors come before the work: unknown passages, and missing answers where the teacher needs them.
    """
    found = table.select([question.id for question in questions])
    check_passages(found, found.mask, corpus)
    if asks_for_answers(teacher):
        for question in questions:
            answer_of(question)
    costs = found.mask.sum(axis=1).clip(min=1).tolist()
    parts = (
        ([questions[row] for row in rows], corpus, found.select(found.question_ids[rows].tolist()))
        for rows in runs(costs, CELLS_AT_ONCE)
    )
    _write_parts(teacher, parts, path, len(questions), progress)


def score_file(teacher: Teacher, source: str | Path, path: str | Path, *, progress: bool = False) -> None:
    """Write the examples of the FiD file `source` to `path` with the teacher's scores in place of those there.

    Reads, scores and writes some 4,000 passages at a time: neither file is held, whatever its size (of the questions
    only the ids are). Errors: those of reading and scoring, as they are met; then no file is written.
    """
    _write_parts(teacher, _parts_of(source), path, None, progress)


def _write_parts(teacher: Teacher, parts: Iterable[Part], path: str | Path, total: int | None, progress: bool) -> None:
    with example_writer(path) as write, tqdm(total=total, desc="scoring", disable=not progress) as bar:
        for questions, corpus, part in parts:
            scores = teacher.score(questions, corpus, part).aligned_to(part)
            for row, question in enumerate(questions):
                there = scores.mask[row]
                passages = [corpus[i] for i in scores.passage_ids[row][there].tolist()]
                write(question, passages, scores.values[row][there])
                bar.update()


def _parts_of(source: str | Path) -> Iterator[Part]:
    """The examples of a file in parts; a question that stands there twice is an error."""
    seen: set[str] = set()
    batch: list[tuple[int, Example]] = []
    cells = 0
    for line, example in numbered_examples(source):
        if example.question.id in seen:
            raise KitError(f"{source}:{line}", "question ids that differ", f"{example.question.id!r} twice")
        seen.add(example.question.id)
        if batch and cells + len(example.passages) > CELLS_AT_ONCE:
            yield _part(source, batch)
            batch, cells = [], 0
        batch.append((line, example))
        cells += max(1, len(example.passages))
    if batch:
        yield _part(source, batch)


def _part(source: str | Path, batch: Sequence[tuple[int, Example]]) -> Part:
    passages: dict[str, Passage] = {}
    rows: dict[str, list[tuple[str, float]]] = {}
    for line, example in batch:
        for passage in example.passages:
            if passages.setdefault(passage.id, passage) != passage:
                wanted = f"passage {passage.id!r} as earlier in the file"
                raise KitError(f"{source}:{line}", wanted, f"{passage.text!r:.60}")
        ids = [passage.id for passage in example.passages]
        rows[example.question.id] = list(zip(ids, example.scores, strict=True))
    return [example.question for _, example in batch], passages, ScoreTable.from_rows(str(source), rows)


def standardised(table: ScoreTable, *, scale: float = 1.0) -> ScoreTable:
    """The table with each question's scores shifted and stretched to mean 0 and standard deviation `scale`.

    The kit's own choice, no paper's: raw attention scores can be so far apart that their softmax is one-hot (a standard
    deviation of 9.5 was seen on a toy reader), and different teachers have different scales. A temperature divides all
    questions by one number; this gives each its own, and so takes from a question whose passages are all alike its say
    in the matter. NaN and infinite scores stay as they are and do not count; where all scores are equal they become 0.

    >>> standardised(ScoreTable("g", ["q"], [["a", "b"]], [[10.0, 30.0]]), scale=2.0).values.tolist()
    [[-2.0, 2.0]]
    """
    if not 0 < scale < np.inf:
        raise KitError("standardised: scale", "a finite number above 0", scale)
    values = table.values.astype(np.float64)
    finite = np.isfinite(values)
    count = finite.sum(axis=1, keepdims=True).clip(min=1)  # (q, 1)
    known = np.where(finite, values, 0.0)
    centred = np.where(finite, known - known.sum(axis=1, keepdims=True) / count, 0.0)  # (q, k)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)  # (q, 1)
    stretched = scale * centred / np.where(deviation > 0, deviation, 1.0)
    return ScoreTable(table.name, table.question_ids, table.passage_ids, np.where(finite, stretched, values))


def looks_squashed(table: ScoreTable) -> bool:
    """Whether all scores (20 at least) lie from 0 to 1: what a sigmoid leaves of a cross-encoder's logits.

    Margins of such scores are at most 1, and nearly 0 between two good passages: Margin-MSE then teaches little
    (sentence-transformers issues 1004 and 3540). Probabilities can be turned back: log(p / (1 - p)).
    """
    scores = table.values[np.isfinite(table.values)]
    return scores.size >= FEWEST_FOR_A_VERDICT and bool(((scores >= 0) & (scores <= 1)).all())
