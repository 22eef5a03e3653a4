"""What a whole corpus would take, multiplied up from what was measured: a plan, and no measurement."""

from __future__ import annotations

from collections.abc import Mapping

from kit.bench.measures import Measure

NQ_TRAIN = 79_168  # training questions of Natural Questions in FiD's files


def make_plan(measures: Mapping[str, Measure], corpus: int, n_context: int, dimension: int) -> list[Measure]:
    """What a corpus of so many passages would take: times multiplied up from the measures, sizes computed."""
    hour = 3600
    embed = corpus / measures["embedding passages"].value / hour
    score, train = (measures[f"reader: {name}"].value for name in ("score", "train step"))
    streamed = measures["search: exact, streamed"]
    searched = int(streamed.note.split()[0].replace(",", ""))
    once = streamed.value * corpus / searched / 60
    how = "one process like this one"
    return [
        Measure("embed the corpus", embed, "hours", how),
        *index_sizes(corpus, dimension),
        Measure("exact search, one pass", once, "minutes", "64 questions together, if the disk keeps up"),
        Measure("score NQ's questions", score * NQ_TRAIN / hour, "hours", f"{NQ_TRAIN:,}, {n_context} passages each"),
        Measure("train a reader as FiD's", train * 10_000 * 64 / hour, "hours", "10,000 steps of 64 questions"),
    ]


def index_sizes(count: int, dimension: int) -> list[Measure]:
    """Gigabytes of the vectors on disk and of indexes in memory, with 8 bytes a passage for its id.

    >>> {one.name: round(one.value, 1) for one in index_sizes(21_015_324, 768)}["vectors, float32"]
    64.6
    """
    cells, codes, links = 65_536, max(1, dimension // 8), 32
    ivf = cells * dimension * 4 + count * 8  # centroids, and FAISS's own ids
    bytes_of = {
        "vectors, float16": (count * dimension * 2, "on disk"),
        "vectors, float32": (count * dimension * 4, "on disk"),
        "Flat": (count * (dimension * 4 + 8), "in memory, exact"),
        "SQfp16": (count * (dimension * 2 + 8), "in memory, exact up to rounding"),
        f"IVF{cells},Flat": (count * (dimension * 4 + 8) + ivf, "in memory, looks into some cells"),
        f"IVF{cells},PQ{codes}": (count * (codes + 8) + ivf + dimension * 1024, "in memory, codes of the vectors"),
        f"HNSW{links}": (count * (dimension * 4 + 8 + 2 * links * 4), "in memory, a graph"),
    }
    return [Measure(name, size / 1e9, "GB", note) for name, (size, note) in bytes_of.items()]
