"""What indexes of a whole corpus would take: memory computed, time extrapolated from indexes that were measured.

Pure. The sizes are `kit.bench.plan.index_sizes`'s; the times are extrapolations and say from what, by which rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kit.bench.index_measures import Measured
from kit.bench.plan import index_sizes
from kit.types import KitError

# The first that fits tells the kind; the order of the rules matters.
FAMILIES = {
    "IVF, codes": r"(OPQ\w+,)?IVF\d+,PQ\w+$",
    "IVF": r"IVF\d+,Flat$",
    "graph": r"HNSW\d+(,Flat)?$",
    "half precision": r"SQfp16$",
    "exact": r"Flat$",
}
RULES = {
    "IVF, codes": "the same share of cells looked into, and all centroids",
    "IVF": "the same share of cells looked into, and all centroids",
    "graph": "the logarithm of the count, at the same efSearch",
    "half precision": "the count",
    "exact": "the count",
}


@dataclass(frozen=True)
class Planned:
    """One kind of index for a whole corpus; `milliseconds` is None where nothing of its kind was measured."""

    spec: str
    gigabytes: float  # computed
    where: str  # in memory or on disk, and what it is
    milliseconds: float | None = None  # a question, extrapolated
    nearest: Measured | None = None  # what it was extrapolated from

    @property
    def rule(self) -> str:
        """What the time was taken to grow with, besides the dimension."""
        return RULES[family(self.spec)] if self.nearest is not None else ""


def family(spec: str) -> str:
    """The kind of index that a factory string names, "" for one that the planner does not know.

    >>> family("IVF64,PQ32x4"), family("HNSW32"), family("LSH")
    ('IVF, codes', 'graph', '')
    """
    return next((name for name, pattern in FAMILIES.items() if re.match(pattern, spec)), "")


def planned_indexes(
    count: int, dimension: int, measured: Sequence[Measured] = (), *, least_recall: float = 0.9
) -> list[Planned]:
    """The indexes of `kit.bench.index_sizes` for `count` vectors of `dimension`, with times where they can be told.

    A time is extrapolated from the fastest measured index of the same kind with a recall of at least `least_recall`;
    without one there is no time. Recall is not extrapolated: more passages lie closer together.
    """
    for name, number in (("passages", count), ("dimension", dimension)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise KitError(f"plan, {name}", "a whole number of at least 1", repr(number))
    rows = []
    for size in index_sizes(count, dimension):
        kind = "" if size.name.startswith("vectors") else family(size.name)
        nearest = _nearest(kind, measured, least_recall)
        ms = None if nearest is None else extrapolated(nearest, size.name, count, dimension)
        rows.append(Planned(size.name, size.value, size.note, ms, nearest))
    return rows


def extrapolated(measured: Measured, spec: str, count: int, dimension: int) -> float:
    """Milliseconds a question of `spec` on `count` vectors of `dimension`: see `RULES`; for codes, codes grow alike.

    >>> one = Measured("Flat", "", None, 1.0, 0.5, 0, 0.0, 0, 1_000, 64)
    >>> extrapolated(one, "Flat", 10_000, 128)  # ten times the vectors, twice the numbers in each
    10.0
    """
    kind, wider = family(measured.spec), dimension / measured.dimension
    if not kind or kind != family(spec):
        raise KitError("extrapolation", f"an index of the kind of {spec}", measured.spec)
    if kind == "graph":
        return measured.milliseconds * wider * math.log(max(2, count)) / math.log(max(2, measured.count))
    named = re.search(r"IVF(\d+)", spec)
    if not measured.cells or measured.setting is None or named is None:
        return measured.milliseconds * wider * count / measured.count
    share, cells = measured.setting / measured.cells, int(named[1])
    looked = (share * count + cells) / (share * measured.count + measured.cells)
    return measured.milliseconds * wider * looked


def _nearest(kind: str, measured: Sequence[Measured], least_recall: float) -> Measured | None:
    alike = [one for one in measured if kind and family(one.spec) == kind]
    enough = [one for one in alike if one.recall >= least_recall]
    return min(enough, key=lambda one: one.milliseconds, default=None)
