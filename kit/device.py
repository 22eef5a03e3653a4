"""Where and how models compute: device, number format, threads, evaluation mode. Knows no model.

Importing it loads torch and lowers torch's number of threads to `thread_count()`, unless the user set one: in a
container torch starts a thread for every core of the host, and those that wait for a core slow the others down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from kit.threads import chosen_by_user, thread_count
from kit.types import KitError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}

COMPUTING = ("cpu", "cuda", "mps", "xpu")  # torch has names of devices that hold no numbers, as meta


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; `auto`: a GPU if torch sees one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or chosen.type not in COMPUTING:
        raise KitError("device", "auto, cpu, cuda or cuda:<n>", repr(device))
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise KitError("device", "a GPU that torch sees", f"{str(device)!r}, of {torch.cuda.device_count()}")
    return chosen


def pick_dtype(dtype: str | torch.dtype, device: torch.device, *, float16: bool = True) -> torch.dtype:
    """The torch dtype of a name; `auto`: bfloat16 on a GPU that computes in it, else float32.

    With `float16` off that one is refused, for T5, which overflows in it.
    """
    if dtype == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    allowed = {name: kind for name, kind in DTYPES.items() if float16 or kind != torch.float16}
    chosen = allowed.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in allowed.values():
        overflow = "" if float16 else " (T5 overflows in float16)"
        raise KitError("dtype", f"one of auto, {', '.join(allowed)}{overflow}", repr(dtype))
    return chosen


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """The module without dropout and gradients; afterwards each of its parts is in the mode that it was in."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


def _fit_threads() -> None:
    """Lower torch's threads to the processors there are; a number that is not torch's own choice stays."""
    if chosen_by_user() is None and torch.get_num_threads() in _torch_defaults():
        torch.set_num_threads(min(torch.get_num_threads(), thread_count()))


def _torch_defaults() -> set[int]:
    """The numbers of threads that torch may have begun with: the processors, or the cores if two share one."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = psutil.cpu_count(logical=False) or allowed
    return {allowed, os.cpu_count() or allowed, cores, min(allowed, cores), (allowed + 1) // 2}


_fit_threads()
