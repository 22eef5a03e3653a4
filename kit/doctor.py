"""What stands in the way on this machine: versions against the tested ranges, GPU, memory, threads.

The ranges are the package's own requirements, so they are written in one place. Imports torch only to ask for the GPU.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

SHOWN = ("torch", "transformers", "ipywidgets", "anywidget", "plotly", "jupyterlab")
FAISS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")  # they hold the same module
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What widgets need of each other, and the extension that each brings to JupyterLab, Notebook 7 and Voila.
WIDGETS = {"ipywidgets": None, "jupyterlab_widgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
LITTLE_MEMORY = 4e9  # bytes; the toy's quickstart needs less than half of it
LITTLE_DISK = 5e9
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is as it should be, what was found, and what to do (also where it is well)."""

    name: str
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Requirements:
    """What the package says that it needs."""

    python: str
    packages: tuple[Requirement, ...]
    faiss: Requirement | None


def checks() -> list[Check]:
    """Every check, in the order in which they should be read; none of them changes anything."""
    wanted = requirements()
    if wanted is None:
        advice = "pip install -e . in a checkout of the kit"
        return [Check("kit", False, "neither installed nor a checkout: no versions are known", advice)]
    return [
        check_python(wanted.python),
        *check_packages(wanted.packages),
        check_faiss(wanted.faiss),
        *(_guarded(name, look) for name, look in MACHINE.items()),
    ]


def requirements() -> Requirements | None:
    """The requirements of the installed package, or of the checkout that this file stands in; None without either."""
    try:
        about = importlib.metadata.metadata("kit")
        python, lines = about["Requires-Python"] or "", importlib.metadata.requires("kit") or []
    except importlib.metadata.PackageNotFoundError:
        if not (CHECKOUT / "pyproject.toml").is_file():
            return None
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        python = project["requires-python"]
        lines = [*project["dependencies"], *(line for each in extras.values() for line in each if line in _faiss(each))]
    found = [Requirement(line) for line in lines]
    faiss = next((one for one in found if one.name in FAISS), None)
    plain = [
        one for one in found if one.name not in FAISS and (one.marker is None or one.marker.evaluate({"extra": ""}))
    ]
    return Requirements(python, tuple(plain), faiss)


def _faiss(lines: list[str]) -> list[str]:
    return [line for line in lines if Requirement(line).name in FAISS]


def check_python(wanted: str) -> Check:
    """The running Python against the package's range."""
    given = platform.python_version()
    ok = SpecifierSet(wanted).contains(given, prereleases=True)
    return Check("python", ok, f"{given} (wanted {wanted})", "" if ok else f"a Python {wanted}")


def check_packages(wanted: tuple[Requirement, ...]) -> list[Check]:
    """A check for each package of `SHOWN`, and one for all others."""
    found = {one.name: check_package(one) for one in wanted}
    rest = {name: check for name, check in found.items() if name not in SHOWN}
    wrong = [check for check in rest.values() if not check.ok]
    told = "; ".join(f"{check.name} {check.found}" for check in wrong) or f"{len(rest)} as they should be"
    advice = "" if not wrong else "; ".join(check.advice for check in wrong)
    shown = [found[name] for name in SHOWN if name in found]
    return [*shown, Check("other packages", not wrong, told, advice)]


def check_package(wanted: Requirement) -> Check:
    """An installed package against its range."""
    remedy = f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        given = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(wanted.name, False, f"missing (wanted {wanted.specifier})", remedy)
    ok = wanted.specifier.contains(given, prereleases=True)
    return Check(wanted.name, ok, f"{given} (wanted {wanted.specifier})", "" if ok else remedy)


def check_faiss(wanted: Requirement | None) -> Check:
    """One of faiss's packages: none is missing, two overwrite each other. conda's is called plain faiss."""
    installed = [name for name in (*FAISS, "faiss") if _version(name) is not None]
    if len([name for name in installed if name != "faiss"]) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)}, then pip install the one you want"
        return Check("faiss", False, f"{' and '.join(installed)}, which overwrite each other", remedy)
    if not installed:
        return Check("faiss", False, "missing", "pip install faiss-cpu (or faiss-gpu, never both)")
    if find_spec("faiss") is None:
        remedy = f"pip install --force-reinstall {installed[0]}"
        return Check("faiss", False, f"{installed[0]} without its module", remedy)
    given = _version(installed[0]) or ""
    ok = wanted is None or wanted.specifier.contains(given, prereleases=True)
    told = f"{installed[0]} {given}" + ("" if wanted is None else f" (wanted {wanted.specifier})")
    return Check("faiss", ok, told, "" if ok else f"pip install '{installed[0]}{wanted.specifier}'")


def check_widgets() -> Check:
    """Whether the widgets' packages fit each other, and JupyterLab has their extensions, whole and switched on."""
    missing = [name for name in WIDGETS if _version(name) is None]
    if missing:
        return Check("widgets", False, f"{', '.join(missing)} missing", f"pip install {' '.join(missing)}")
    told = ", ".join(f"{name} {_version(name)}" for name in WIDGETS)
    for name in WIDGETS:
        for need in map(Requirement, importlib.metadata.requires(name) or []):
            given = _version(need.name)
            if need.name not in WIDGETS or given is None or need.marker is not None:
                continue
            if not need.specifier.contains(given, prereleases=True):
                remedy = f"pip install --upgrade {' '.join(WIDGETS)}"
                return Check("widgets", False, f"{name} {_version(name)} needs {need}, here is {given}", remedy)
    for name, extension in WIDGETS.items():
        if extension and (trouble := _extension_trouble(name, extension)):
            return Check("widgets", False, *trouble)
    advice = "where JupyterLab runs in another environment, that one needs jupyterlab_widgets and anywidget too"
    return Check("widgets", True, told, "" if _version("jupyterlab") else advice)


def _extension_trouble(name: str, extension: str) -> tuple[str, str] | None:
    """What keeps JupyterLab from a widgets' extension, and what to do; None where all is well."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    found = [
        place for path in jupyter_path("labextensions") if (place := Path(path, extension, "package.json")).exists()
    ]
    if not found:
        remedy = f"pip install --force-reinstall {name}, then reload the page"
        return f"JupyterLab lacks the extension {extension} of {name}: its widgets stay empty", remedy
    versions = {json.loads(place.read_text(encoding="utf-8")).get("version") for place in found}
    if len(versions) > 1:
        first = found[0].parent
        return f"{extension} is there in several versions, and {first} hides the others", f"remove {first}"
    for folder in jupyter_config_path():
        page = Path(folder, "labconfig", "page_config.json")
        switched_off = (
            json.loads(page.read_text(encoding="utf-8")).get("disabledExtensions", {}) if page.exists() else {}
        )
        if switched_off.get(extension) if isinstance(switched_off, dict) else extension in switched_off:
            return f"{extension} is switched off in {page}", f"jupyter labextension enable {extension}"
    return None


def check_gpu() -> Check:
    """The GPUs that torch sees. None is no mistake: the toy scale needs none."""
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        told = ", ".join(f"{one.name} ({one.total_memory / 1e9:.0f} GB)" for one in devices)
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Check("gpu", True, told, "" if native else "no bfloat16 here: use --dtype float32 and --precision no")
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
    told = f"{total / 1e9:.1f} GB, {min(memory.available, total) / 1e9:.1f} GB free"
    ok = total >= LITTLE_MEMORY
    return Check("memory", ok, told, "" if ok else f"{LITTLE_MEMORY / 1e9:.0f} GB at least: notebooks may be killed")


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
    """The threads that torch computes with, and the cores that this process may use."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    advice = ""
    if threads > cores:
        advice = f"more threads than cores slow each other down: OMP_NUM_THREADS={cores}"
    elif threads < cores // 2:
        advice = f"fewer threads than cores: is OMP_NUM_THREADS set? Now {os.environ.get('OMP_NUM_THREADS')}"
    return Check("threads", True, f"{threads} of torch on {cores} cores", advice)


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
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return Check("chromium (optional)", True, found or "none: the widgets' browser tests are left out")


MACHINE: dict[str, Callable[[], Check]] = {
    "widgets": check_widgets,
    "gpu": check_gpu,
    "memory": check_memory,
    "threads": check_threads,
    "disk": check_disk,
    "toy models": check_toy_models,
    "chromium": check_browser,
}


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """The check, or what kept it from being made (a package that does not import)."""
    try:
        return look()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return Check(name, False, f"{type(error).__name__}: {error}".splitlines()[0], "see the packages above")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
