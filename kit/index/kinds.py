"""FAISS itself: loading it, and what kinds of index are right here: bounds, metric, cells looked into, devices."""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from kit.arguments import instance_of, whole_number
from kit.threads import chosen_by_user, thread_count
from kit.types import KitError

FAISS_PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")
MOST_CELLS, MOST_LINKS = 1 << 24, 512


def load_faiss() -> ModuleType:
    """The faiss module; `KitError` where none of its packages is installed, or two that overwrite each other."""
    installed = [name for name in FAISS_PACKAGES if _is_installed(name)]
    if len(installed) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)}, then pip install the one you want"
        raise KitError("faiss", f"one package ({remedy})", " and ".join(installed))
    try:
        import faiss
    except ImportError as error:
        raise KitError("faiss", "faiss-cpu or faiss-gpu (pip install faiss-cpu)", error) from None
    if chosen_by_user() is None and faiss.omp_get_max_threads() > thread_count():
        faiss.omp_set_num_threads(thread_count())
    return faiss


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_spec(spec: str, count: int) -> None:
    """Refuse what FAISS would take and then run out of memory with, or end the process."""
    where = f"build_index, spec {instance_of('build_index', spec, str, 'a factory string of FAISS')!r}"
    for cells in re.findall(r"IVF(\d+)", spec):
        whole_number(where, "cells", int(cells), most=min(MOST_CELLS, count))
    for links in re.findall(r"(?:HNSW|NSG)(\d+)", spec):
        whole_number(where, "links", int(links), least=2, most=MOST_LINKS)


def check_metric(index: Any, where: str) -> None:
    """Raises `KitError` if FAISS measures by anything but inner products, in the index or in a part of it.

    FAISS takes the metric for the outer index of some composed kinds alone (HNSW32_PQ8): its codes are then compared by
    distance, and the results are sorted wrongly without a word.
    """
    metric = load_faiss().METRIC_INNER_PRODUCT
    wrong = next((part for part in parts_of(index) if part.metric_type != metric), None)
    if wrong is not None:
        given = f"{type(wrong).__name__}, which measures otherwise"
        raise KitError(where, "an index that compares by inner products in all its parts", given)


def parts_of(index: Any) -> Iterator[Any]:
    """The index and all indexes inside it."""
    faiss = load_faiss()
    part = faiss.downcast_index(index)
    yield part
    for name in ("index", "storage", "quantizer", "refine_index", "base_index"):
        inner = getattr(part, name, None)
        if isinstance(inner, faiss.Index):
            yield from parts_of(inner)


def inside(index: Any) -> Any:
    """The index behind a transformation of the vectors (OPQ, PCA, RR), or the index itself."""
    faiss = load_faiss()
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def look_into_enough_cells(index: Any) -> None:
    """Set how many cells an IVF index looks into without `nprobe`: the root of their number, where FAISS takes one."""
    cells = load_faiss().try_extract_index_ivf(index)
    if cells is not None and cells.nprobe == 1:
        cells.nprobe = max(1, math.ceil(math.sqrt(cells.nlist)))


def to_gpu(index: Any, device: str) -> Any:
    faiss = load_faiss()
    kind, _, number = device.partition(":")
    gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
    if kind != "cuda" or not (number or "0").isdecimal():
        raise KitError("device", "cpu, cuda or cuda:<n>", repr(device))
    if not gpus:
        raise KitError(f"device {device!r}", "faiss-gpu and a GPU that it sees", "faiss without GPUs (device='cpu')")
    if int(number or 0) >= gpus:
        raise KitError(f"device {device!r}", f"one of {gpus} GPUs", number)
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), int(number or 0), index)


def reason_of(error: Exception) -> str:
    """What FAISS says, without its own source lines."""
    return str(error).strip().splitlines()[0].partition(": ")[2] or str(error).strip().splitlines()[0]
