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

from kit.bench.measures import SIZES, Measure, measure_encoder, measure_reader, measure_search
from kit.bench.plan import index_sizes, make_plan
from kit.device import pick_device
from kit.types import KitError

__all__ = ["SIZES", "WIKIPEDIA", "Bench", "Measure", "describe_machine", "index_sizes", "make_plan", "run_bench"]

WIKIPEDIA = 21_015_324  # passages of psgs_w100: Karpukhin et al. 2020


@dataclass(frozen=True)
class Bench:
    """What `run_bench` found: `ratios` above 1 mean that the kit's way is faster than the plain way."""

    machine: str
    settings: dict[str, Any]
    measures: tuple[Measure, ...]
    ratios: tuple[Measure, ...]
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
    if size not in SIZES:
        raise KitError("size", f"one of {', '.join(SIZES)}", repr(size))
    place, sizes = pick_device(device), SIZES[size]
    say(f"encoder ({size})")
    encoding = measure_encoder(sizes, place, seed)
    say(f"reader ({size}), {n_context} passages a question")
    reading = measure_reader(sizes, n_context, place, seed)
    say(f"search of {sizes.vectors:,} vectors")
    searching = measure_search(sizes, seed)
    measures = {one.name: one for part in (encoding, reading, searching) for one in part}
    settings = {"size": size, "n_context": n_context, "corpus": corpus, "seed": seed, **asdict(sizes)}
    return Bench(
        describe_machine(place),
        settings,
        tuple(one for one in measures.values() if one.unit != "times"),
        tuple(one for one in measures.values() if one.unit == "times"),
        tuple(make_plan(measures, corpus, n_context, sizes.d_model)),
    )


def describe_machine(device: torch.device) -> str:
    """The processor, its threads, and the GPU where it is used, in one line."""
    cores = os.cpu_count() or 1
    count = torch.get_num_threads()
    threads = f"{count} {'thread' if count == 1 else 'threads'} on {cores} cores ({platform.machine()})"
    name = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f"; busy (load {load:.1f}): times are too long" if load > 1.5 * cores else ""
    return f"{name}{threads}, torch {torch.__version__}{busy}"
