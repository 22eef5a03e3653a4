"""FAISS indexes over vectors, searched by inner product, with string ids; saved as FAISS's own file, ids and a JSON.

Knows nothing of encoders and scales: scores are plain inner products, and the
fingerprint it is given tells whose vectors it holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow

from kit.arguments import list_of, whole_number
from kit.files import file_digest, folder_aside, read_json, restored, write_json
from kit.index.kinds import (
    MOST_CELLS,
    check_metric,
    check_spec,
    inside,
    load_faiss,
    look_into_enough_cells,
    parts_of,
    reason_of,
    to_gpu,
)
from kit.index.vectors import Vectors, id_column, ids_of_rows, ids_sha256, read_ids, write_ids
from kit.types import KitError

ROWS_AT_ONCE = 65_536
QUESTIONS_AT_ONCE = 4096
MOST_K = 100_000  # passages a question
INDEX, IDS, ABOUT = "index.faiss", "ids.parquet", "index.json"


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """A FAISS index and the id of each of its rows. Made by `build_index` or `VectorIndex.load`."""

    faiss_index: Any = field(repr=False)
    ids: pyarrow.Array = field(repr=False)
    spec: str
    fingerprint: str = ""  # of the encoder whose vectors it holds, "" when unknown
    device: str = "cpu"

    def __len__(self) -> int:
        return self.faiss_index.ntotal

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        return self.faiss_index.d

    @property
    def search_option(self) -> str | None:
        """The option of `search` that this kind of index takes: "nprobe" (IVF), "ef_search" (HNSW) or None."""
        kind = type(inside(self.faiss_index)).__name__
        return "nprobe" if "IVF" in kind else "ef_search" if "HNSW" in kind else None

    @property
    def cells(self) -> int:
        """How many cells an IVF index has, the most that `nprobe` can be; 0 for another kind."""
        return inside(self.faiss_index).nlist if self.search_option == "nprobe" else 0

    @property
    def bytes(self) -> int:
        """The size of the FAISS index in bytes, as it is saved and, about, in memory; string ids are not counted."""
        faiss, sizes = load_faiss(), []

        def count(block: Any) -> int:
            sizes.append(len(block))
            return len(block)

        faiss.write_index(self._on_cpu(), faiss.PyCallbackIOWriter(count))
        return sum(sizes)

    @property
    def cells_searched(self) -> int:
        """How many cells a search looks into if it is given no `nprobe`; 0 for an index without cells."""
        return inside(self.faiss_index).nprobe if self.cells else 0

    def __repr__(self) -> str:
        return f"VectorIndex({self.spec!r}, {len(self):,} vectors of {self.dimension}, on {self.device})"

    def search(
        self, vectors: Any, k: int, *, nprobe: int | None = None, ef_search: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids (x, k) and inner products (x, k) float32 of the k nearest rows, best first, equal ones in row order.

        What is not found (k larger than the index, few cells probed) is "" and NaN. `nprobe`: cells of an IVF index
        to look into; `ef_search`: breadth of an HNSW search; more is slower and finds more.

        >>> index = build_index(["a", "b", "c"], np.array([[1, 0], [0, 1], [1, 1]]))
        >>> ids, scores = index.search(np.array([[2, 1]]), k=4)
        >>> ids.tolist(), scores.tolist()
        ([['c', 'a', 'b', '']], [[3.0, 2.0, 1.0, nan]])
        """
        k = whole_number("search", "k", k, most=MOST_K)
        vectors = matrix_of(vectors, "question vectors")
        if vectors.shape[1] != self.dimension:
            raise KitError("search", f"vectors of the index's dimension {self.dimension}", vectors.shape[1])
        options = self._options(nprobe, ef_search)
        rows = np.full((len(vectors), k), -1, dtype=np.int64)
        scores = np.full((len(vectors), k), np.nan, dtype=np.float32)
        width = min(k, len(self))
        for start in range(0, len(vectors), QUESTIONS_AT_ONCE):
            stop = start + QUESTIONS_AT_ONCE
            found, at = self._faiss_search(vectors[start:stop], width, options)  # (x, width) twice
            order = np.lexsort((at, np.where(at < 0, np.inf, -found)), axis=-1)
            rows[start:stop, :width] = np.take_along_axis(at, order, 1)
            scores[start:stop, :width] = np.take_along_axis(found, order, 1)
        return ids_of_rows(self.ids, rows), np.where(rows < 0, np.float32(np.nan), scores)

    def _faiss_search(self, vectors: np.ndarray, k: int, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self.faiss_index.search(vectors, k, **options)
        except RuntimeError as error:  # a GPU gives 2048 at most
            raise KitError(f"search, k={k} on {self.device}", "what this index can do", reason_of(error)) from None

    def _options(self, nprobe: int | None, ef_search: int | None) -> dict[str, Any]:
        if nprobe is None and ef_search is None:
            return {}
        faiss, option = load_faiss(), self.search_option
        for name, value in (("nprobe", nprobe), ("ef_search", ef_search)):
            if value is not None:
                whole_number("search", name, value, most=MOST_CELLS)
        if nprobe is not None and option == "nprobe" and ef_search is None:
            params = faiss.SearchParametersIVF(nprobe=nprobe)
        elif ef_search is not None and option == "ef_search" and nprobe is None:
            params = faiss.SearchParametersHNSW(efSearch=ef_search)
        else:
            raise KitError("search", "nprobe with an IVF index, or ef_search with an HNSW index", repr(self.spec))
        if inside(self.faiss_index) is not self.faiss_index:
            params = faiss.SearchParametersPreTransform(index_params=params)
        return {"params": params}

    def _on_cpu(self) -> Any:
        return self.faiss_index if self.device == "cpu" else load_faiss().index_gpu_to_cpu(self.faiss_index)

    def save(self, directory: str | Path) -> None:
        """Write index.faiss, ids.parquet and index.json into a folder, which appears whole; an earlier index goes."""
        with folder_aside(directory, ABOUT) as new:
            load_faiss().write_index(self._on_cpu(), str(new / INDEX))
            write_ids(new / IDS, self.ids)
            about = {"format": "kit.VectorIndex", "version": 3, "spec": self.spec, "count": len(self)}
            about |= {"dimension": self.dimension, "fingerprint": self.fingerprint, "ids_sha256": ids_sha256(self.ids)}
            about |= {name: digest(new / INDEX) for name, digest in DIGESTS.items()}
            write_json(new / ABOUT, about)

    @classmethod
    def load(
        cls, directory: str | Path, *, device: str = "cpu", fingerprint: str | None = None, mmap: bool = False
    ) -> VectorIndex:
        """The index that `save` wrote; `mmap` leaves its vectors on the disk, and checks parts of them alone.

        `KitError` where a file is missing, the parts do not belong together, or the vectors are those of an encoder
        other than `fingerprint`'s.
        """
        faiss, directory = load_faiss(), restored(directory)
        if not (directory / ABOUT).exists():
            raise KitError(str(directory), f"an index saved by the kit ({ABOUT})", "none")
        about = read_json(directory / ABOUT, dict)
        try:
            index = faiss.read_index(str(directory / INDEX), faiss.IO_FLAG_MMAP if mmap else 0)
        except RuntimeError as error:
            raise KitError(str(directory / INDEX), "a whole FAISS index", reason_of(error)) from None
        ids = read_ids(directory / IDS)
        found = {"count": index.ntotal, "dimension": index.d, "ids_sha256": ids_sha256(ids)}
        known = [name for name in DIGESTS if name in about]  # version 1 has none, version 2 the one of parts
        found |= {name: DIGESTS[name](directory / INDEX) for name in (known[:1] if mmap else known[-1:])}
        for name, value in found.items():
            if value != about.get(name):
                raise KitError(str(directory), f"{name} {about.get(name)}, as {ABOUT} says", value)
        spec, encoder = (str(about.get(name, "")) for name in ("spec", "fingerprint"))
        if fingerprint is not None and encoder != fingerprint:
            raise KitError(str(directory), f"vectors of the encoder {fingerprint}", f"those of {encoder}")
        check_metric(index, str(directory / INDEX))
        look_into_enough_cells(index)
        loaded = cls(index, ids, spec, encoder)
        return loaded if device == "cpu" else replace(loaded, faiss_index=to_gpu(index, device), device=device)


def build_index(
    ids: Sequence[str] | pyarrow.Array | None,
    vectors: Any,
    spec: str = "Flat",
    *,
    device: str = "cpu",
    fingerprint: str = "",
    seed: int = 0,
    train_rows: int | None = None,
) -> VectorIndex:
    """An index of `vectors` (count, d), an array or `Vectors` on disk, searched by inner product.

    `spec` is FAISS's factory string: Flat is exact; SQfp16 halves its memory; IVF4096,Flat looks into
    a part, by default the root of the number of its cells (`nprobe`); PQ96 or
    OPQ64_256,IVF65536,PQ64 keep codes of the vectors; HNSW32 is a graph. PCA changes the order: it centres vectors.
    A spec that must be trained is, on `train_rows` rows drawn with `seed` (default: 64 a cell and at least 65,536, or
    all).
    `ids` may be None for `Vectors`, which bring their own and their `fingerprint`. Errors: `KitError`.
    """
    faiss = load_faiss()
    if isinstance(vectors, Vectors):
        ids = vectors.ids if ids is None else ids
        fingerprint = fingerprint or vectors.fingerprint
    else:
        vectors = vectors.detach().cpu() if hasattr(vectors, "detach") else vectors
        vectors = vectors if isinstance(vectors, np.ndarray) else matrix_of(vectors, "vectors")
    if not (ids is None or isinstance(ids, pyarrow.Array)):
        ids = list_of("build_index", ids, str, "ids")
    if ids is None or len(vectors.shape) != 2 or len(ids) != len(vectors) or not len(ids):
        given = f"{'no' if ids is None else len(ids)} ids, vectors {tuple(vectors.shape)}"
        raise KitError("build_index", "as many ids as vectors (count, d)", given)
    names = id_column(ids)
    check_spec(spec, len(names))
    try:
        index = faiss.index_factory(int(vectors.shape[1]), spec, faiss.METRIC_INNER_PRODUCT)
        check_metric(index, f"build_index, spec {spec!r}")
        look_into_enough_cells(index)
        for part in parts_of(index):
            if hasattr(part, "do_polysemous_training"):  # minutes of training, for a kind of search not used here
                part.do_polysemous_training = False
        index = index if device == "cpu" else to_gpu(index, device)
        if not index.is_trained:
            index.train(_sample(vectors, train_rows or _enough(faiss, index), seed))
        for block in _blocks(vectors):
            index.add(block)
    except RuntimeError as error:
        where = f"build_index, spec {spec!r}, {len(ids):,} vectors of {vectors.shape[1]}"
        raise KitError(where, "a factory string of FAISS that fits them", reason_of(error)) from None
    return VectorIndex(index, names, spec, fingerprint, device)


def _digest_of_parts(path: Path) -> str:
    """A digest of a file's size and of up to 256 blocks of it: tells two builds apart without reading 60 GB."""
    size, block = path.stat().st_size, 1 << 16
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for start in np.linspace(0, max(0, size - block), min(256, size // block + 1), dtype=np.int64).tolist():
            file.seek(start)
            digest.update(file.read(block))
    return digest.hexdigest()


# The whole file: 1.6 GB a second on one core, 20 s for Wikipedia's 32 GB in half precision, less than reading them.
DIGESTS = {"index_digest": _digest_of_parts, "index_sha256": file_digest}


def matrix_of(vectors: Any, what: str) -> np.ndarray:
    """Contiguous float32 (x, d); `KitError` for another shape, or the first row that is not finite."""
    if hasattr(vectors, "detach"):  # a torch tensor, without importing torch
        vectors = vectors.detach().cpu().float().numpy()
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite, which is refused below
            matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        raise KitError(what, "a matrix of numbers (x, d)", f"{vectors!r:.60}") from None
    if matrix.ndim != 2:
        raise KitError(what, "a matrix (x, d)", f"an array of shape {matrix.shape}")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        raise KitError(f"{what}, row {broken[0]}", "finite numbers", "NaN or infinity")
    return matrix


def _blocks(vectors: Any) -> Iterator[np.ndarray]:
    shards = vectors.shards() if isinstance(vectors, Vectors) else [(0, vectors)]
    for first, shard in shards:
        for start in range(0, len(shard), ROWS_AT_ONCE):
            yield matrix_of(shard[start : start + ROWS_AT_ONCE], f"vectors from row {first + start}")


def _sample(vectors: Any, count: int, seed: int) -> np.ndarray:
    """Rows for training, drawn without repetition, in their order."""
    rows = np.arange(len(vectors))
    if count < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))
    shards = vectors.shards() if isinstance(vectors, Vectors) else [(0, vectors)]
    parts = [shard[rows[(rows >= first) & (rows < first + len(shard))] - first] for first, shard in shards]
    return matrix_of(np.concatenate(parts), "vectors")


def _enough(faiss: ModuleType, index: Any) -> int:
    cells = faiss.try_extract_index_ivf(index)
    return max(65_536, 64 * cells.nlist if cells is not None else 0)
