"""Vectors on disk: a folder of .npy shards with their ids, written so that a stopped run goes on.

    ids.parquet  plan.json  vectors-00000.npy ... vectors-00210.npy  manifest.json

plan.json tells at the start what will be there, each shard is written aside and renamed, manifest.json comes last and
holds the checksums. Knows nothing of encoders: it keeps the fingerprint it is given. Needs numpy and pyarrow only.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from kit.files import file_digest, read_json, write_json, written_aside
from kit.types import KitError

DTYPES = ("float16", "float32")
IDS, PLAN, MANIFEST = "ids.parquet", "plan.json", "manifest.json"


@dataclass(frozen=True)
class Plan:
    """What a folder of vectors holds, or will: agreed before the first shard, so that no two runs are mixed."""

    count: int
    shard_size: int
    dtype: str
    fingerprint: str  # of the encoder, "" when unknown
    ids_sha256: str

    @property
    def shards(self) -> int:
        """How many shards there will be; the last one takes what remains."""
        return -(-self.count // self.shard_size)


@dataclass(frozen=True)
class Vectors:
    """Finished vectors on disk: (count, dimension) of `dtype`, made by the encoder with this `fingerprint`."""

    directory: Path
    plan: Plan
    dimension: int
    sha256: tuple[str, ...] = field(repr=False)  # of each shard

    def __len__(self) -> int:
        return self.plan.count

    @property
    def shape(self) -> tuple[int, int]:
        """(count, dimension)."""
        return self.plan.count, self.dimension

    @property
    def fingerprint(self) -> str:
        """The encoder's, "" when unknown."""
        return self.plan.fingerprint

    @cached_property
    def ids(self) -> pyarrow.Array:
        """The id of each row, read when first asked for: `ids.take([3, 0]).to_pylist()`."""
        return read_ids(self.directory / IDS)

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, memory-mapped array (x, dimension)) of each shard, in order."""
        for number in range(self.plan.shards):
            yield number * self.plan.shard_size, np.load(_shard(self.directory, number), mmap_mode="r")

    def to_array(self) -> np.ndarray:
        """All vectors in memory: float32 (count, dimension)."""
        return np.concatenate([np.asarray(shard, np.float32) for _, shard in self.shards()])


def write_vectors(
    directory: str | Path,
    ids: Sequence[str],
    encode: Callable[[list[str]], Any] | Any,
    *,
    shard_size: int = 100_000,
    dtype: str = "float16",
    fingerprint: str = "",
    part: tuple[int, int] = (0, 1),
    progress: bool = False,
) -> Vectors | None:
    """The finished vectors of `ids`; shards that a stopped run has left whole are not made again.

    `encode`: a function of a shard's ids that gives (x, d), or all vectors (count, d) as an array.
    `part` (i, n): make only every n-th shard, for n processes or machines on one folder; the one that makes the last
    missing shard finishes the folder, the others get None. Errors: `KitError` when the folder holds other vectors, and
    for vectors that are not finite in `dtype`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_vectors(folder, ["a", "b", "c"], np.eye(3), shard_size=2).to_array()[2].tolist()
    [0.0, 0.0, 1.0]
    """
    from tqdm.auto import tqdm

    directory = Path(directory)
    plan = _agreed(directory, ids, shard_size, dtype, fingerprint)
    if (directory / MANIFEST).exists():
        return read_vectors(directory)
    _need_disk(directory, plan, encode)
    mine = [number for number in range(part[0], plan.shards, part[1]) if not _shard(directory, number).exists()]
    for number in tqdm(mine, unit="shard", disable=not progress):
        rows = slice(number * plan.shard_size, min((number + 1) * plan.shard_size, plan.count))
        vectors = encode(list(ids[rows])) if callable(encode) else encode[rows]
        vectors = _checked(vectors, ids[rows], plan, f"{directory}, shard {number}")
        with written_aside(_shard(directory, number)) as aside, open(aside, "wb") as file:
            np.save(file, vectors, allow_pickle=False)
    if all(_shard(directory, number).exists() for number in range(plan.shards)):
        return _finish(directory, plan)
    return None


def read_vectors(directory: str | Path, *, fingerprint: str | None = None, verify: bool = False) -> Vectors:
    """The finished vectors of a folder. `fingerprint`: refuse another encoder's. `verify`: read and check all."""
    directory = Path(directory)
    if not (directory / MANIFEST).exists():
        done = len(list(directory.glob("vectors-*.npy")))
        raise KitError(str(directory), "finished vectors (a manifest.json)", f"{done} shards; run the writing again")
    manifest = read_json(directory / MANIFEST, dict)
    sha256, dimension = tuple(manifest.pop("sha256")), manifest.pop("dimension")
    vectors = Vectors(directory, Plan(**manifest), dimension, sha256)
    if fingerprint is not None and vectors.fingerprint != fingerprint:
        raise KitError(
            str(directory), f"vectors of the encoder {fingerprint}", f"those of {vectors.fingerprint or '?'}"
        )
    rows = 0
    for number, (_, shard) in enumerate(vectors.shards()):
        rows += len(shard)
        if verify and file_digest(_shard(directory, number)) != sha256[number]:
            raise KitError(str(_shard(directory, number)), f"sha256 {sha256[number]}", "another: the file was changed")
    if rows != len(vectors) or pyarrow.parquet.read_metadata(directory / IDS).num_rows != len(vectors):
        raise KitError(str(directory), f"{len(vectors)} vectors and ids", f"{rows} vectors")
    return vectors


def id_column(ids: Sequence[str] | pyarrow.Array) -> pyarrow.Array:
    """Ids as an Arrow array of strings; `KitError` for one that is empty, no string, or there twice."""
    if not isinstance(ids, pyarrow.Array):
        wrong = next((row for row, name in enumerate(ids) if not isinstance(name, str) or not name), None)
        if wrong is not None:
            raise KitError(f"id {wrong}", "a string that is not empty", repr(ids[wrong]))
        ids = pyarrow.array(list(ids), pyarrow.large_string())
    if pyarrow.compute.count_distinct(ids).as_py() != len(ids):
        twice = next(name for name, count in Counter(ids.to_pylist()).items() if count > 1)
        raise KitError("ids", "ids that differ", f"{twice!r} twice")
    return ids


def write_ids(path: Path, ids: pyarrow.Array) -> None:
    """Write ids, one a row, as Parquet."""
    with written_aside(path) as aside:
        pyarrow.parquet.write_table(pyarrow.table({"id": ids}), aside, compression="zstd")


def read_ids(path: Path) -> pyarrow.Array:
    """The ids that `write_ids` wrote."""
    try:
        return pyarrow.parquet.read_table(path, columns=["id"]).column("id").combine_chunks()
    except (OSError, pyarrow.ArrowException) as error:
        raise KitError(str(path), "ids written by the kit", str(error).splitlines()[0]) from None


def ids_of_rows(ids: pyarrow.Array, rows: np.ndarray) -> np.ndarray:
    """The ids of rows as a str array of the same shape; "" for row -1.

    >>> ids_of_rows(id_column(["a", "b"]), np.array([[1, -1]])).tolist()
    [['b', '']]
    """
    known = rows >= 0
    names = np.full(rows.shape, "", dtype=object)
    names[known] = ids.take(pyarrow.array(rows[known])).to_pylist()
    return names.astype(np.str_)


def ids_sha256(ids: pyarrow.Array) -> str:
    """A checksum of ids in their order."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), 1 << 16):
        digest.update("".join(f"{len(name)}:{name}" for name in ids[start : start + (1 << 16)].to_pylist()).encode())
    return digest.hexdigest()


def _agreed(directory: Path, ids: Sequence[str], shard_size: int, dtype: str, fingerprint: str) -> Plan:
    """The plan of this folder: written on the first run, and the same on every other."""
    if dtype not in DTYPES:
        raise KitError("dtype", " or ".join(DTYPES), repr(dtype))
    if shard_size < 1 or not len(ids):
        raise KitError(
            "write_vectors", "at least one id, and one vector a shard", f"{len(ids)} ids, {shard_size} a shard"
        )
    names = id_column(ids)
    plan = Plan(len(ids), shard_size, dtype, fingerprint, ids_sha256(names))
    path = directory / PLAN
    if path.exists():
        earlier = Plan(**read_json(path, dict))
        differ = [name for name, value in asdict(plan).items() if asdict(earlier)[name] != value]
        if differ:
            wanted = f"the {differ[0]} of the vectors that it holds, {asdict(earlier)[differ[0]]!r}"
            raise KitError(str(directory), wanted, f"{asdict(plan)[differ[0]]!r} (take another folder)")
        return plan
    write_ids(directory / IDS, names)
    write_json(path, asdict(plan))
    return plan


def _checked(vectors: Any, ids: Sequence[str], plan: Plan, where: str) -> np.ndarray:
    if hasattr(vectors, "detach"):  # a torch tensor, without importing torch
        vectors = vectors.detach().cpu().float().numpy()
    with np.errstate(over="ignore"):
        vectors = np.asarray(vectors).astype(plan.dtype)
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise KitError(where, f"{len(ids)} vectors, one an id", f"an array of shape {vectors.shape}")
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        name = ids[int(np.flatnonzero(broken)[0])]
        raise KitError(f"{where}, id {name!r}", f"a vector that is finite in {plan.dtype}", "one with NaN or infinity")
    return vectors


def _finish(directory: Path, plan: Plan) -> Vectors:
    first = np.load(_shard(directory, 0), mmap_mode="r")
    for number in range(plan.shards):
        shape = np.load(_shard(directory, number), mmap_mode="r").shape
        rows = min(plan.shard_size, plan.count - number * plan.shard_size)
        if shape != (rows, first.shape[1]):
            raise KitError(str(_shard(directory, number)), f"vectors {(rows, first.shape[1])}", f"{shape}")
    sha256 = [file_digest(_shard(directory, number)) for number in range(plan.shards)]
    write_json(directory / MANIFEST, {**asdict(plan), "dimension": first.shape[1], "sha256": sha256})
    return read_vectors(directory)


def _need_disk(directory: Path, plan: Plan, encode: Any) -> None:
    """Refuses what cannot fit, where the dimension is known beforehand."""
    if not callable(encode):
        size = plan.count * np.shape(encode)[-1] * np.dtype(plan.dtype).itemsize
        free = shutil.disk_usage(directory).free
        if size > free:
            raise KitError(str(directory), f"{size / 1e9:.1f} GB of free disk", f"{free / 1e9:.1f} GB")


def _shard(directory: Path, number: int) -> Path:
    return directory / f"vectors-{number:05d}.npy"
