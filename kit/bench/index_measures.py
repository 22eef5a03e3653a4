"""What kinds of index cost and find, measured on the vectors at hand: recall against exact search, time, memory.

A generator that tells each step, so that whoever goes through it can show progress and stop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from kit.bench.measures import seconds_of
from kit.index import VectorIndex, build_index
from kit.index.search import matrix_of
from kit.index.vectors import Vectors
from kit.retrieve.dense import exact_search
from kit.types import KitError

ALONE = 16  # questions that are searched one by one, for their mean time
TRAINED_ON = 39  # vectors a centroid, below which FAISS warns


@dataclass(frozen=True)
class Measured:
    """One kind of index at one setting, on `count` vectors of `dimension`."""

    spec: str
    option: str  # "nprobe", "ef_search", or "" where there is nothing to set
    setting: int | None
    recall: float  # share of the k best by exact search that it found, mean over questions
    milliseconds: float  # a question
    bytes: int
    build_seconds: float  # training and adding
    cells: int  # of an IVF index, else 0
    count: int
    dimension: int

    @property
    def name(self) -> str:
        """The spec and its setting, as "IVF64,Flat nprobe 4"."""
        return f"{self.spec} {'efSearch' if self.option == 'ef_search' else self.option} {self.setting or ''}".strip()


@dataclass(frozen=True)
class Step:
    """What is done (a share from 0 to 1), what comes next, and what was found or went wrong since the last step."""

    done: float
    coming: str
    measured: tuple[Measured, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Trial:
    """What is measured: the specs, how many passages are wanted, which settings are tried, how questions come."""

    specs: tuple[str, ...]
    k: int = 10
    nprobes: tuple[int, ...] = (1, 4, 16, 64)
    ef_searches: tuple[int, ...] = (16, 64, 256)
    together: bool = True  # all questions in one call (FAISS shares them out among its threads), or one by one
    seconds: float = 0.1  # of a measurement, at least

    def __post_init__(self) -> None:
        if not self.specs:
            raise KitError("specs", "factory strings of FAISS, as Flat or IVF64,Flat", "none")
        for name, numbers in (("nprobe", self.nprobes), ("efSearch", self.ef_searches), ("k", (self.k,))):
            wrong = [n for n in numbers if isinstance(n, bool) or not isinstance(n, int) or n < 1]
            if wrong or not numbers:
                raise KitError(name, "whole numbers of at least 1", repr(wrong[0]) if wrong else "none")


def usual_specs(count: int, dimension: int) -> tuple[str, ...]:
    """Kinds of index worth a look for `count` vectors of `dimension`, exact ones first.

    As many cells as can be trained without a warning, at most four times the root of `count`; codes of an eighth of a
    byte a dimension where it divides.

    >>> usual_specs(6_000, 128)
    ('Flat', 'SQfp16', 'SQ8', 'IVF128,Flat', 'IVF128,PQ32x4', 'HNSW32')
    >>> usual_specs(20, 9)
    ('Flat', 'SQfp16', 'SQ8', 'HNSW32')
    """
    specs = ["Flat", "SQfp16", "SQ8"]
    cells = 2 ** int(math.log2(max(1.0, min(count / TRAINED_ON, 4 * math.sqrt(count)))))
    if cells >= 2:
        specs.append(f"IVF{cells},Flat")
        if count >= 256 * TRAINED_ON and dimension % 8 == 0:
            specs.append(f"IVF{cells},PQ{dimension // 8}")
        elif count >= 16 * TRAINED_ON and dimension % 4 == 0:
            specs.append(f"IVF{cells},PQ{dimension // 4}x4")
    return (*specs, "HNSW32")


def measured_indexes(vectors: Any, questions: Any, trial: Trial, ids: Sequence[str] | None = None) -> Iterator[Step]:
    """Steps of measuring every spec of the trial; each Measured comes with the step after it.

    `vectors` (count, d) are an array or `Vectors` on disk, `questions` (x, d) an array. A spec that cannot be built is
    told as a problem, and the others go on.
    """
    vectors, asked = checked_vectors(vectors, questions, trial.k)
    if ids is None and not isinstance(vectors, Vectors):
        ids = [str(row) for row in range(len(vectors))]
    share = 1 / (1 + len(trial.specs))
    yield Step(0.0, "exact search")
    wanted = exact_ids(vectors, asked, trial.k, ids)
    step = Step(share, trial.specs[0])
    for number, spec in enumerate(trial.specs, start=1):
        yield step
        coming = trial.specs[number] if number < len(trial.specs) else ""
        try:
            found = tuple(measured_spec(spec, vectors, asked, wanted, trial, ids))
            step = Step((number + 1) * share, coming, found)
        except KitError as error:
            step = Step((number + 1) * share, coming, problem=str(error))
    yield step


def measured_spec(
    spec: str, vectors: Any, asked: Float[np.ndarray, "x d"], wanted: np.ndarray, trial: Trial, ids: Any
) -> Iterator[Measured]:
    """One spec, built once and searched at each of its settings; `wanted` are the ids (x, k) of exact search."""
    start = time.perf_counter()
    index = build_index(ids, vectors, spec)
    built = time.perf_counter() - start
    size, shape = index.bytes, (len(index), index.dimension)
    for setting in settings_of(index, trial):
        options: dict[str, Any] = {} if setting is None else {str(index.search_option): setting}
        found, _ = index.search(asked, trial.k, **options)
        ms = 1000 * _seconds(partial(_searched, index, asked, trial, options), asked, trial)
        recall = recall_of(found, wanted)
        yield Measured(spec, index.search_option or "", setting, recall, ms, size, built, index.cells, *shape)


def settings_of(index: VectorIndex, trial: Trial) -> list[int | None]:
    """The settings of the trial that this index has: nprobe up to its cells, efSearch, or none."""
    if index.search_option == "nprobe":
        return [*sorted({min(n, index.cells) for n in trial.nprobes})]
    return [*sorted(set(trial.ef_searches))] if index.search_option == "ef_search" else [None]


def exact_ids(vectors: Any, asked: Float[np.ndarray, "x d"], k: int, ids: Any) -> np.ndarray:
    """The ids (x, k) of the k nearest by exact search."""
    if isinstance(vectors, Vectors):
        return exact_search(asked, vectors, k)[0]
    return build_index(ids, vectors).search(asked, k)[0]


def recall_of(found: np.ndarray, wanted: np.ndarray) -> float:
    """The share of the ids in `wanted` (x, k) that stand in the same row of `found`, mean over rows.

    >>> recall_of(np.array([["a", "b"], ["c", ""]]), np.array([["b", "a"], ["c", "d"]]))
    0.75
    """
    pairs = zip(found.tolist(), wanted.tolist(), strict=True)
    return float(np.mean([len(set(row) & set(right)) / len(right) for row, right in pairs]))


def checked_vectors(vectors: Any, questions: Any, k: int) -> tuple[Any, Float[np.ndarray, "x d"]]:
    """The vectors, and the question vectors as float32 (x, d); `KitError` where they do not fit each other."""
    if not isinstance(vectors, Vectors):
        vectors = matrix_of(vectors, "vectors")
    asked = matrix_of(questions, "question_vectors")
    for what, matrix in (("vectors", vectors), ("question_vectors", asked)):
        if 0 in matrix.shape:
            raise KitError(what, "a matrix (x, d) with rows", f"an array of shape {tuple(matrix.shape)}")
    if asked.shape[1] != vectors.shape[1]:
        raise KitError("question_vectors", f"vectors of {vectors.shape[1]} numbers, as the passages'", asked.shape[1])
    if not 1 <= k <= len(vectors):
        raise KitError("k", f"from 1 to the {len(vectors)} vectors", k)
    return vectors, asked


def _searched(index: VectorIndex, asked: np.ndarray, trial: Trial, options: dict[str, Any]) -> None:
    for batch in [asked] if trial.together else asked[:ALONE, None]:
        index.search(batch, trial.k, **options)


def _seconds(work: Callable[[], None], asked: np.ndarray, trial: Trial) -> float:
    """Seconds a question: the median of several runs."""
    run = seconds_of(work, device=torch.device("cpu"), least=trial.seconds)[0]
    return run / (len(asked) if trial.together else min(ALONE, len(asked)))
