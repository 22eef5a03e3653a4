"""What reading, teaching and searching cost on this machine, and what a whole corpus would: `kit bench`.

Ratios compare the kit's way with the plain way in the same run (`kit.bench.measures`); the plan for a corpus multiplies
what was measured (`kit.bench.plan`): it is an extrapolation, and says so.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from kit.bench.measures import SIZES, Measure, measure_search
from kit.bench.plan import index_sizes, make_plan
from kit.device import pick_device, thread_count
from kit.types import KitError

__all__ = ["SIZES", "WIKIPEDIA", "Bench", "Measure", "describe_machine", "index_sizes", "make_plan", "run_bench"]

WIKIPEDIA = 21_015_324  # passages of psgs_w100: Karpukhin et al. 2020


@dataclass(frozen=True)
class Bench:
    """What `run_bench` measured.

    `ratios` above 1: the kit's way is faster than the plain way in the same run. `shares` are of the matmul peak.
    """

    machine: str
    settings: dict[str, Any]
    measures: tuple[Measure, ...]
    ratios: tuple[Measure, ...]
    shares: tuple[Measure, ...]
    plan: tuple[Measure, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON's types."""
        return asdict(self) | {"plan_is": "an extrapolation from the measures, not a measurement"}


def run_bench(
    size: str = "small",
    *,
    n_context: int = 10,
    corpus: int = WIKIPEDIA,
    device: str = "auto",
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Bench:
    """Measures of an encoder, a reader and a search of `size` (a name in `SIZES`), ratios, and a plan for `corpus`.

    `n_context` passages a question. On a GPU the reader computes in bfloat16 where it can, as it does by default.
    """
    from kit.bench.models import measure_encoder, measure_reader

    if size not in SIZES:
        raise KitError("size", f"one of {', '.join(SIZES)}", repr(size))
    place, sizes = pick_device(device), SIZES[size]
    say(f"encoder ({size})")
    encoding = measure_encoder(sizes, place, seed)
    say(f"reader ({size}), {n_context} passages a question")
    reading = measure_reader(sizes, n_context, place, seed)
    say(f"search of {sizes.vectors:,} vectors")
    searching = measure_search(sizes, seed)
    every = [*encoding, *reading, *searching]
    ratios, shares = (tuple(one for one in every if one.unit == unit) for unit in ("times", "of peak"))
    measures = {one.name: one for one in every if one.unit not in ("times", "of peak")}
    settings = {"size": size, "n_context": n_context, "corpus": corpus, "seed": seed, **asdict(sizes)}
    plan = tuple(make_plan(measures, corpus, n_context, sizes.d_model))
    return Bench(describe_machine(place), settings, tuple(measures.values()), ratios, shares, plan)


def describe_machine(device: torch.device) -> str:
    """The processes and threads that compute, the processors, and the GPU where it is used, in one line."""
    cores, processes = thread_count(), int(os.environ.get("WORLD_SIZE", "1"))
    count = torch.get_num_threads()
    texts = (f"{processes} process{'' if processes == 1 else 'es'}", f"{count} thread{'' if count == 1 else 's'}")
    threads = f"{' of '.join(texts)} on {cores} of {os.cpu_count()} processors ({platform.machine()})"
    name = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f"; busy (load {load:.1f}): times are too long" if load > 1.5 * cores else ""
    return f"{name}{threads}, torch {torch.__version__}{busy}"
