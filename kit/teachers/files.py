"""A teacher's scores as a file of FiD's format, some 4,000 passages at a time: no file is held, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kit.data.examples import Example, example_writer, numbered_examples
from kit.processes import in_every_process, this_process
from kit.teachers.scores import CELLS_AT_ONCE, Teacher, batches_by_cost
from kit.types import KitError, Passage, Question, ScoreTable

Part = tuple[list[Question], Mapping[str, Passage], ScoreTable]


def score_file(teacher: Teacher, source: str | Path, path: str | Path, *, progress: bool = False) -> None:
    """Write the examples of the FiD file `source` to `path` with the teacher's scores in place of those there.

    Neither file is held, whatever its size (only the questions' ids are). Passages keep their order; one that was not
    scored has no `score`. The file appears, whole, at the end. Raises `KitError` as reading and scoring do, when they
    meet the mistake; no file is written then. Of several processes (`torchrun`), which all must call it, each scores
    every n-th part, and the first one writes the file.
    """
    number, count = this_process()
    batches = batches_by_cost(_distinct(source), _cost, CELLS_AT_ONCE)
    with (
        example_writer(path) if number == 0 else nullcontext() as write,
        tqdm(desc="scoring" if count == 1 else f"scoring, {count} processes", disable=not progress) as bar,
    ):
        while turn := list(islice(batches, count)):
            parts = [_part(source, batch) for batch in turn]
            own = parts[number] if number < len(parts) else None
            for part, values in zip(parts, in_every_process(partial(_scores, teacher, own)), strict=False):
                bar.update(len(part[0]))
                if write is not None and values is not None:
                    _write(write, part, values)


def _scores(teacher: Teacher, part: Part | None) -> np.ndarray | None:
    """The teacher's scores (q, k) of a part, in its cells."""
    if part is None:
        return None
    questions, corpus, table = part
    return teacher.score(questions, corpus, table).aligned_to(table).values


def _write(write: Callable[..., None], part: Part, values: np.ndarray) -> None:
    questions, corpus, table = part
    for row, question in enumerate(questions):
        cells = table.mask[row]
        write(question, [corpus[i] for i in table.passage_ids[row][cells].tolist()], values[row][cells])


def _distinct(source: str | Path) -> Iterator[tuple[int, Example]]:
    """The examples of a file with their lines; raises `KitError` if a question stands there twice."""
    ids: set[str] = set()
    for line, example in numbered_examples(source):
        if example.question.id in ids:
            raise KitError(f"{source}:{line}", "question ids that differ", f"{example.question.id!r} twice")
        ids.add(example.question.id)
        yield line, example


def _cost(numbered: tuple[int, Example]) -> int:
    return max(1, len(numbered[1].passages))


def _part(source: str | Path, batch: Sequence[tuple[int, Example]]) -> Part:
    """Some examples as questions, their passages by id, and their scores."""
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
