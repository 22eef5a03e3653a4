"""The machine: GPU, memory, threads, disk, the toy's models, a browser. Imports torch only to ask for its own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from kit.doctor.packages import Check, version_of
from kit.threads import chosen_by_user, cpu_quota, thread_count

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # what OpenMP's threads do while they wait
LITTLE_MEMORY = 4e9  # bytes; the toy's quickstart needs less than half of it
LITTLE_DISK = 5e9


def check_gpu() -> Check:
    """The GPUs that torch sees. None is no mistake: the toy scale needs none."""
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        names = ", ".join(f"{one.name} ({one.total_memory / 1e9:.0f} GB)" for one in devices)
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Check("gpu", True, names, "" if native else "no bfloat16 here: use --dtype float32 and --precision no")
    if Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi"):
        build = torch.version.cuda
        why = f"is built for CUDA {build}: is the driver new enough?" if build else "is built without CUDA"
        return Check("gpu", True, "an NVIDIA driver, but torch sees no GPU", f"torch {torch.__version__} {why}")
    return Check("gpu", True, "none (the toy scale needs none)")


def check_memory() -> Check:
    """The memory of this machine, or of this container where it has less."""
    import psutil

    memory = psutil.virtual_memory()
    limit = _container_limit()
    total = memory.total if limit is None else min(limit, memory.total)
    found = f"{total / 1e9:.1f} GB, {min(memory.available, total) / 1e9:.1f} GB free"
    ok = total >= LITTLE_MEMORY
    return Check("memory", ok, found, "" if ok else f"{LITTLE_MEMORY / 1e9:.0f} GB at least: notebooks may be killed")


def _container_limit() -> int | None:
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return int(text)
    return None


def check_threads() -> Check:
    """The threads that torch computes with under the kit, and the processors that this process may use."""
    import torch

    import kit.device  # noqa: F401  (it lowers torch's threads, as every reader and encoder does)

    threads, allowed, quota, setting = torch.get_num_threads(), thread_count(), cpu_quota(), chosen_by_user()
    found = f"{threads} of torch on {allowed} of {os.cpu_count()} processors"
    found += "" if quota is None else f" (the container's quota: {quota:.3g})"
    found += f"; {setting}={os.environ[setting]}" if setting else ""
    found += "".join(f"; {name} {os.environ[name]}" for name in WAITING if name in os.environ)
    advice = ""
    if threads > allowed:
        advice = f"more threads than processors slow each other down: OMP_NUM_THREADS={allowed}"
    elif threads < allowed // 2:
        advice = f"{threads} of {allowed} processors are used" + (f": {setting} is set" if setting else "")
    return Check("threads", True, found, advice)


def check_openmp() -> Check:
    """Whether torch and faiss bring an OpenMP each, which on macOS can end Python without a word."""
    if sys.platform != "darwin":
        return Check("openmp", True, "torch and faiss get on with each other on this system")
    found = "macOS: torch's and faiss's packages bring an OpenMP each, and Python may crash when both compute"
    advice = "if Python crashes in a search: OMP_NUM_THREADS=1 before it starts, or both from conda-forge (one OpenMP)"
    return Check("openmp", True, found, advice)


def check_disk() -> Check:
    """The free disk in the working folder; Wikipedia's vectors alone are 32 GB."""
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= LITTLE_DISK else "enough for the toy, not for released checkpoints and their indexes"
    return Check("disk", True, f"{free / 1e9:.1f} GB free in {Path.cwd()}", advice)


def check_toy_models() -> Check:
    """The toy models that quickstart and the notebooks begin from."""
    from kit.checkpoints.downloads import TOYS
    from kit.shipped import DATA

    missing = [name for name in TOYS.values() if not (DATA / name / "config.json").is_file()]
    if missing:
        return Check("toy models", False, f"no {' and no '.join(missing)} in {DATA}", "a whole checkout has them")
    return Check("toy models", True, f"{', '.join(TOYS.values())} in {DATA}")


def check_browser() -> Check:
    """A browser for the widgets' own tests; nothing else needs one."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None and version_of("playwright") is not None:
        advice = "for the explorers' tests: apt-get install chromium"
        return Check("browser (optional)", True, "none: the tests in tests/browser cannot run", advice)
    return Check("browser (optional)", True, browser or "none (only the explorers' own tests need one)")
