"""How many processors this process may use: a container's quota and the affinity, not the cores of the host.

Loads nothing heavy, so that it can be called before torch and FAISS are loaded.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

USER_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # the number of threads, if the user chose one
SPIN_COUNT = "50000"  # turns of a waiting thread before it sleeps


def thread_count() -> int:
    """The processors that this process may use at once, at least 1: its affinity, or the container's quota if less."""
    allowed = getattr(os, "process_cpu_count", os.cpu_count)() or 1  # Python 3.13 on: heeds PYTHON_CPU_COUNT too
    if hasattr(os, "sched_getaffinity"):
        allowed = min(allowed, len(os.sched_getaffinity(0)))
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def chosen_by_user() -> str | None:
    """The environment variable with which the user set the number of threads, or None."""
    return next((name for name in USER_SETTINGS if os.environ.get(name)), None)


def choose_waiting() -> None:
    """Choose what OpenMP's threads do while they wait, unless the user chose or torch is loaded.

    On a crowded machine they sleep at once: spinning takes the processors from those that compute. Elsewhere they spin
    for a moment first: a wake-up at every operation costs more than the operations of small models. docs/speed.md has
    both measured. Only GNU's OpenMP, which torch has on Linux, reads GOMP_SPINCOUNT.
    """
    chosen = "OMP_WAIT_POLICY" in os.environ or os.environ.get("GOMP_SPINCOUNT", SPIN_COUNT) != SPIN_COUNT
    if chosen or "torch" in sys.modules:
        return
    os.environ.pop("GOMP_SPINCOUNT", None)  # a parent's choice, as `kit lab` leaves to its kernels, is made again
    if crowded():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    else:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


def crowded(stat: Path = Path("/proc/stat")) -> bool:
    """Whether other processes want all processors of this machine, now or in the last minute; takes 10 milliseconds."""
    processors = os.cpu_count() or 1
    if hasattr(os, "getloadavg") and os.getloadavg()[0] >= processors:
        return True
    return all(_others_running(stat) >= processors for _ in range(5))


def _others_running(stat: Path) -> int:
    """How many threads beside this one run or wait for a processor; 0 if the system does not say."""
    time.sleep(0.002)
    try:
        return int(re.search(r"^procs_running (\d+)", stat.read_text(), re.M)[1]) - 1  # type: ignore[index]
    except (OSError, TypeError):
        return 0


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> float | None:
    """The processors that the control groups of this process allow (version 1 or 2, and those above), or None."""
    try:
        lines = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    quotas = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = root / ("cpu" if controllers else ".")
        for name in ("", *path.strip("/").split("/")):
            folder = folder / name
            quotas.append(_quota_of(folder))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = map(float, (folder / "cpu.max").read_text().split())
        else:
            quota, period = (float((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
    return quota / period if quota > 0 and period > 0 else None
